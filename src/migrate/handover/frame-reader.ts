/**
 * The receiving half of one connection of a migration.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../../errors.ts'
import type { ByteSource, ByteWindows } from '../../transport/index.ts'
import { checkPayload, decodeHeader, FRAME_HEADER_BYTES, type FrameHeader } from './frame.ts'
import { MessageType } from './message-type.ts'

/** A frame. Of DATA only the header: its payload is read from {@link FrameReader.payload}. */
export interface Frame extends FrameHeader {
  /** Verified; empty for DATA. */
  readonly payload: Uint8Array
}

/** Reads frames. */
export class FrameReader {
  readonly #source: ByteSource
  readonly #onBytes: () => void
  readonly #header: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES)
  #payload: PayloadSource | undefined
  /** Bytes of the next header that came behind a payload. */
  #headerBytes = 0

  /** @param onBytes - called whenever a message or bytes of a DATA payload came: the peer is alive */
  constructor(source: ByteSource, onBytes: () => void = () => {}) {
    this.#source = source
    this.#onBytes = onBytes
  }

  /**
   * The next frame, or undefined when the peer ended the connection between two. What is left of a DATA
   * payload is passed over first.
   *
   * @throws {@link VfioError} EPIPE when it ended inside one; EPROTO, EBADMSG, EMSGSIZE, EOPNOTSUPP as
   * `decodeHeader` and `checkPayload`; else as the connection
   */
  async next(): Promise<Frame | undefined> {
    await this.#payload?.skip()
    this.#payload = undefined
    const came = this.#headerBytes
    this.#headerBytes = 0
    if (!(await this.#fill(this.#header.subarray(came), came === 0))) return undefined
    const header = decodeHeader(this.#header)
    if (header.type === MessageType.DATA) {
      this.#onBytes()
      this.#payload = new PayloadSource(this.#source, header.payloadBytes, {
        onBytes: this.#onBytes,
        header: this.#header,
        onHeader: (byteLength) => (this.#headerBytes = byteLength),
      })
      return { ...header, payload: EMPTY }
    }
    const payload = new Uint8Array(header.payloadBytes)
    await this.#fill(payload, false)
    checkPayload(header, payload)
    // Not for a part: a peer that drips bytes is not alive.
    this.#onBytes()
    return { ...header, payload }
  }

  /**
   * The payload of the DATA frame that {@link next} gave, as a source that ends with it.
   *
   * @param follows - whether a frame that comes right behind it belongs to it: then the source goes on with its
   * payload. Reading on straight into windows, without stopping at each frame, saves a copy of what came with
   * its header
   */
  payload(follows?: (next: FrameHeader) => boolean): ByteSource {
    const payload = this.#payload as PayloadSource
    payload.follows = follows
    return payload
  }

  /** No more frames are wanted. */
  async cancel(reason: unknown): Promise<void> {
    await this.#source.cancel(reason)
  }

  /** Fills `dst`; false when the source ended before its first byte and may. */
  async #fill(dst: Uint8Array, mayEnd: boolean): Promise<boolean> {
    for (let filled = 0; filled < dst.length;) {
      const byteLength = await this.#source.read(dst.subarray(filled))
      if (byteLength === 0) {
        if (filled === 0 && mayEnd) return false
        throw cutShort()
      }
      filled += byteLength
    }
    return true
  }
}

const EMPTY = new Uint8Array(0)

/** What a payload has to do with the frames around it. */
interface PayloadPlace {
  readonly onBytes: () => void
  /** Where the next frame's header goes. */
  readonly header: Uint8Array
  /** So many bytes of it came, and are not of this payload. */
  readonly onHeader: (byteLength: number) => void
}

/** The next `byteLength` bytes of a source, which must have them. */
class PayloadSource implements ByteSource {
  readonly lease?: (maxBytes: number) => Awaitable<Uint8Array>
  readonly release?: () => void
  readonly readInto?: (windows: ByteWindows, signal?: AbortSignal) => Promise<boolean>
  follows: ((next: FrameHeader) => boolean) | undefined
  readonly #source: ByteSource
  readonly #place: PayloadPlace
  #left: number
  /** Of the next header; a whole one that does not follow ends this payload. */
  #headerBytes = 0
  #isOver = false

  constructor(source: ByteSource, byteLength: number, place: PayloadPlace) {
    this.#source = source
    this.#left = byteLength
    this.#place = place
    if (source.readInto !== undefined) this.readInto = (windows, signal) => this.#readInto(windows, signal)
    if (source.lease === undefined) return
    this.lease = (maxBytes) => this.#lease(maxBytes)
    this.release = () => source.release?.()
  }

  async read(dst: Uint8Array): Promise<number> {
    if (this.#left === 0) return 0
    const byteLength = await this.#source.read(dst.subarray(0, this.#left))
    return this.#came(byteLength)
  }

  async skip(): Promise<void> {
    const scratch = new Uint8Array(Math.min(this.#left, 64 * 1024))
    while (this.#left > 0) await this.read(scratch)
  }

  async cancel(reason: unknown): Promise<void> {
    await this.#source.cancel(reason)
  }

  async #lease(maxBytes: number): Promise<Uint8Array> {
    if (this.#left === 0) return EMPTY
    const bytes = await (this.#source.lease as (bytes: number) => Awaitable<Uint8Array>)(
      Math.min(maxBytes, this.#left),
    )
    this.#came(bytes.length)
    return bytes
  }

  async #readInto(windows: ByteWindows, signal?: AbortSignal): Promise<boolean> {
    const bounded: ByteWindows = {
      window: (maxBytes) => {
        if (this.#left > 0) return windows.window(Math.min(maxBytes, this.#left))
        if (this.follows === undefined || this.#isOver) return EMPTY
        return this.#place.header.subarray(this.#headerBytes)
      },
      commit: (byteLength) => {
        if (this.#left === 0) return this.#cameOfHeader(byteLength)
        if (byteLength > 0) this.#came(byteLength)
        windows.commit(byteLength)
      },
    }
    const mayRead = this.#left > 0 || (this.follows !== undefined && !this.#isOver)
    const ended = mayRead && (await this.#source.readInto?.(bounded, signal))
    if (this.#left > 0) {
      if (ended) throw cutShort()
      return false
    }
    if (ended && this.#headerBytes > 0) throw cutShort()
    this.#isOver = true
    return true
  }

  #cameOfHeader(byteLength: number): void {
    this.#headerBytes += byteLength
    if (this.#headerBytes < this.#place.header.length) {
      this.#place.onHeader(this.#headerBytes)
      return
    }
    const header = decodeHeader(this.#place.header)
    if (header.type === MessageType.DATA && this.follows?.(header) === true) {
      this.#headerBytes = 0
      this.#place.onHeader(0)
      this.#left = header.payloadBytes
      this.#place.onBytes()
      return
    }
    this.#place.onHeader(this.#headerBytes)
    this.#isOver = true
  }

  #came(byteLength: number): number {
    if (byteLength === 0) throw cutShort()
    this.#left -= byteLength
    this.#place.onBytes()
    return byteLength
  }
}

function cutShort(): VfioError {
  return new VfioError('EPIPE', 'Cannot read the migration link: it was cut inside a frame, connect again')
}
