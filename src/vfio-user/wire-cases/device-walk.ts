/**
 * Brings a device from state to state by raw messages, on ways that leave no stream half done.
 *
 * @module
 */

import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { answerText } from './answer.ts'
import { getState, migData, setState } from './messages.ts'
import type { RawPeer } from './raw-peer.ts'
import { NotApplicable } from './wire-case.ts'

const { ERROR, STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY, PRE_COPY_P2P } = DeviceState

/** Bytes of a read. */
const READ_BYTES = 64 * 1024
/** Bytes of a write: what every server takes. */
const WRITE_BYTES = 32 * 1024
/** Longest stream that is kept, to be written again. */
const MAX_STREAM_BYTES = 64 * 1024 * 1024
/** A stream without end must end a case. */
const MAX_READS = 2 ** 20

/** One device on one connection. */
export class DeviceWalk {
  readonly peer: RawPeer
  readonly #hasPrecopy: boolean
  #stream: Uint8Array | undefined
  /** A whole stream went out on this connection: the C sample server dies of RUNNING without. */
  #hasPassed = false

  constructor(peer: RawPeer, hasPrecopy: boolean, stream: Uint8Array | undefined) {
    this.peer = peer
    this.#hasPrecopy = hasPrecopy
    this.#stream = stream
  }

  /** The stream of {@link donorStream}, once it was read. */
  get stream(): Uint8Array | undefined {
    return this.#stream
  }

  /** Goes to `target`. @throws {@link NotApplicable} when the device refuses on the way */
  async reach(target: number): Promise<void> {
    const now = await this.state()
    if (now === target) return
    if (now === RUNNING && target === PRE_COPY) return this.#set(PRE_COPY)
    if (target === STOP_COPY && (now === RUNNING || now === PRE_COPY)) return this.#set(STOP_COPY)
    if (target === RESUMING) await this.donorStream()
    await this.#stop()
    if (target === STOP) return
    if (target === STOP_COPY || target === RESUMING) return this.#set(target)
    if (!this.#hasPassed) await this.#pass()
    await this.#set(RUNNING)
    if (target === PRE_COPY && this.#hasPrecopy) await this.#set(PRE_COPY)
  }

  /** The state now. */
  async state(): Promise<number> {
    const answer = await this.peer.call({ command: VfioUserCommand.DEVICE_FEATURE, payload: getState() })
    if (answer.kind !== 'reply' || answer.payload.length < 16)
      throw new NotApplicable(`the device does not tell its state: ${answerText(answer)}`)
    const { buffer, byteOffset } = answer.payload
    return new DataView(buffer, byteOffset + 8, 8).getUint32(0, true)
  }

  /** A stream from STOP through STOP_COPY; the device is in STOP then. */
  async donorStream(): Promise<Uint8Array> {
    if (this.#stream !== undefined) return this.#stream
    await this.#stop()
    const chunks = await this.#pass()
    if (chunks === undefined) throw new NotApplicable('the stream of the device is longer than 64 MiB')
    const stream = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const chunk of chunks) {
      stream.set(chunk, at)
      at += chunk.length
    }
    this.#stream = stream
    return stream
  }

  /** Reads to the end; undefined when it was too long to keep. */
  async #drain(): Promise<Uint8Array[] | undefined> {
    const chunks: Uint8Array[] = []
    let total = 0
    for (let turn = 0; turn < MAX_READS; turn++) {
      const payload = migData(READ_BYTES)
      const answer = await this.peer.call({ command: VfioUserCommand.MIG_DATA_READ, payload })
      if (answer.kind !== 'reply' || answer.payload.length < 8)
        throw new NotApplicable(`the stream could not be read to its end: ${answerText(answer)}`)
      const count = new DataView(answer.payload.buffer, answer.payload.byteOffset, 8).getUint32(4, true)
      if (count === 0) return total > MAX_STREAM_BYTES ? undefined : chunks
      total += count
      if (total <= MAX_STREAM_BYTES) chunks.push(answer.payload.slice(8, 8 + count))
      else chunks.length = 0
    }
    throw new NotApplicable('the stream did not end')
  }

  /** Writes a whole stream in RESUMING, until a write is refused. */
  async #load(stream: Uint8Array): Promise<void> {
    for (let at = 0; at < stream.length; at += WRITE_BYTES) {
      const piece = stream.subarray(at, at + WRITE_BYTES)
      const payload = migData(piece.length, piece)
      const answer = await this.peer.call({ command: VfioUserCommand.MIG_DATA_WRITE, payload })
      if (answer.kind !== 'reply') return
    }
  }

  /** From STOP through STOP_COPY back to STOP. */
  async #pass(): Promise<Uint8Array[] | undefined> {
    await this.#set(STOP_COPY)
    const chunks = await this.#drain()
    await this.#set(STOP)
    this.#hasPassed = true
    return chunks
  }

  async #stop(): Promise<void> {
    const now = await this.state()
    if (now === STOP) return
    if (now === ERROR) return this.#resetTo(STOP)
    if (now === RESUMING) return this.#leaveResuming()
    if (now === RUNNING || now === PRE_COPY || now === PRE_COPY_P2P) await this.#set(STOP_COPY)
    await this.#drain()
    await this.#set(STOP)
    this.#hasPassed = true
  }

  /** With a whole stream, and else by a reset. */
  async #leaveResuming(): Promise<void> {
    if (this.#stream !== undefined) await this.#load(this.#stream)
    const answer = await this.peer.call({ command: VfioUserCommand.DEVICE_FEATURE, payload: setState(STOP) })
    if (answer.kind !== 'reply') await this.#resetTo(STOP)
  }

  async #resetTo(target: number): Promise<void> {
    await this.peer.call({ command: VfioUserCommand.DEVICE_RESET, payload: new Uint8Array(0) })
    const now = await this.state()
    if (now !== RUNNING)
      throw new NotApplicable(`the device could not be brought out of ${deviceStateName(now)}`)
    await this.#set(target)
  }

  async #set(state: number): Promise<void> {
    const answer = await this.peer.call({ command: VfioUserCommand.DEVICE_FEATURE, payload: setState(state) })
    if (answer.kind === 'reply') return
    throw new NotApplicable(
      `the device could not be brought to ${deviceStateName(state)}: ${answerText(answer)}`,
    )
  }
}
