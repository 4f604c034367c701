/**
 * Brings the DATA frames of several connections into each stream's order. Nothing is stored for that: a
 * connection whose frame is early is not read on until its turn comes.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { FrameHeader, OutgoingMessage } from '../handover/frame.ts'
import type { Frame } from '../handover/frame-reader.ts'
import { MessageType } from '../handover/message-type.ts'
import type { IncomingStream } from './incoming-stream.ts'

/** Most announcements that may wait for their position. */
const MAX_PENDING = 1024

/** All streams of one migration. */
export class DataIntake {
  readonly #connections: number
  readonly #tell: (message: OutgoingMessage) => Promise<void>
  #streams: readonly IncomingStream[] = []
  /** Frames being taken, and of which stream. */
  readonly #taking = new Map<Promise<unknown>, IncomingStream>()
  readonly #waiters = new Set<() => void>()
  #initial: Pick<Frame, 'index' | 'position' | 'epoch'>[] = []

  constructor(connections: number, tell: (message: OutgoingMessage) => Promise<void>) {
    this.#connections = connections
    this.#tell = tell
  }

  begin(streams: readonly IncomingStream[]): void {
    this.#streams = [...streams]
  }

  /** Bytes that the devices took. */
  get bytes(): number {
    return this.#streams.reduce((total, { position }) => total + position, 0)
  }

  get streams(): { type: string; bytes: number }[] {
    return this.#streams.map(({ device, position }) => ({ type: device.identity.type, bytes: position }))
  }

  /** Whether all of a frame came before: it is a repeated one. */
  has({ index, position, payloadBytes }: Frame): boolean {
    const stream = this.#streams[index]
    return stream !== undefined && position + payloadBytes <= stream.position
  }

  /** Whether a frame right behind another one goes on with the same stream. */
  follows(frame: FrameHeader, next: FrameHeader): boolean {
    const stream = this.#streams[frame.index]
    return stream !== undefined && next.index === frame.index && next.position === stream.position
  }

  /**
   * Waits for the frame's turn and takes it; a repeated frame is passed over.
   *
   * @throws {@link VfioError} EPROTO no such stream, or a piece is missing; else what the device throws
   */
  async take(
    frame: Frame,
    signal: AbortSignal,
    pump: (stream: IncomingStream) => Promise<number>,
  ): Promise<void> {
    const stream = this.#streams[frame.index]
    if (stream === undefined)
      throw new VfioError('EPROTO', `Cannot receive: data of device ${frame.index}, which was not offered`)
    if (this.has(frame)) return
    // One connection keeps its order: what is not here yet will not come.
    // The last bytes of the frame before are there a little earlier than its pump lets go of the windows.
    if (this.#connections > 1)
      await this.#until(() => stream.position >= frame.position && !this.#isTaken(stream), signal)
    if (stream.position !== frame.position)
      throw new VfioError(
        'EPROTO',
        `Cannot receive: byte ${stream.position} of a stream was due and byte ${frame.position} came, migrate again`,
      )
    const taking = pump(stream)
    this.#taking.set(taking, stream)
    try {
      await taking
    } finally {
      this.#taking.delete(taking)
      this.#advanced()
    }
  }

  /** The acknowledgement, at once or when the bytes have come. */
  initialSent({ index, position, epoch }: Frame): OutgoingMessage | undefined {
    const stream = this.#streams[index]
    if (stream === undefined || this.#initial.length >= MAX_PENDING)
      throw new VfioError('EPROTO', `Cannot receive: initial bytes of device ${index} announced in vain`)
    if (stream.position >= position) return loaded(index, epoch)
    const isKnown = this.#initial.some((each) => each.index === index && each.epoch === epoch)
    if (!isKnown) this.#initial.push({ index, position, epoch })
    return undefined
  }

  /** Settles when every stream has as many bytes as the source says. */
  async allCame(expected: readonly { bytes: number }[], signal: AbortSignal): Promise<void> {
    if (expected.length !== this.#streams.length)
      throw new VfioError('EPROTO', 'Cannot receive: END tells of another number of devices')
    // With one connection END is behind all data; what is missing then is told by the load.
    if (this.#connections === 1) return
    await this.#until(
      () =>
        // The last bytes are there before their frame is done with: until then it asks for a window.
        this.#taking.size === 0 &&
        this.#streams.every(({ position }, index) => position >= (expected[index]?.bytes ?? 0)),
      signal,
    )
  }

  /** Settles when no frame is being taken any more. */
  async stopped(): Promise<void> {
    await Promise.allSettled(this.#taking.keys())
  }

  #isTaken(stream: IncomingStream): boolean {
    return [...this.#taking.values()].includes(stream)
  }

  #advanced(): void {
    for (const look of this.#waiters) look()
    if (this.#initial.length === 0) return
    const due = this.#initial.filter(({ index, position }) => this.#reached(index, position))
    this.#initial = this.#initial.filter(({ index, position }) => !this.#reached(index, position))
    for (const { index, epoch } of due) void this.#tell(loaded(index, epoch))
  }

  #reached(index: number, position: number): boolean {
    return (this.#streams[index]?.position ?? 0) >= position
  }

  #until(isTrue: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!signal.aborted && !isTrue()) return
        this.#waiters.delete(look)
        signal.removeEventListener('abort', look)
        if (signal.aborted) reject(signal.reason as Error)
        else resolve()
      }
      this.#waiters.add(look)
      signal.addEventListener('abort', look)
      look()
    })
  }
}

function loaded(index: number, epoch: number): OutgoingMessage {
  return { type: MessageType.INITIAL_LOADED, index, epoch }
}
