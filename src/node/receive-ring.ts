/**
 * Memory that a socket receives into, again and again.
 *
 * Node asks for the place of the next read when it tells of the last one, before anybody could use that. So
 * the place is fixed ahead, and while somebody still holds it, the socket does not read.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Most bytes of one read. */
const PLACE_BYTES: number = 256 * 1024

/** A piece of the memory: received, and read or lent out up to `read`. */
interface Span {
  start: number
  end: number
}

/** Bytes in the order they came, in places that follow each other around the memory. */
export class ReceiveRing {
  readonly #memory: Uint8Array
  readonly #placeBytes: number
  /** What was received and not lent out or read, oldest first; neighbours are one span. */
  readonly #unread: Span[] = []
  /** What is lent out, oldest first. */
  readonly #lent: Span[] = []
  #unreadBytes = 0
  #place: Span

  /** EINVAL when `memory` has fewer than 64 KiB */
  constructor(memory: Uint8Array) {
    if (memory.length < 65_536) {
      throw new VfioError('EINVAL', `Cannot receive into ${memory.length} bytes: give 65536 or more`)
    }
    this.#memory = memory
    this.#placeBytes = Math.min(PLACE_BYTES, memory.length >>> 1)
    this.#place = { start: 0, end: this.#placeBytes }
  }

  get byteLength(): number {
    return this.#unreadBytes
  }

  /** Where the next read lands. */
  get place(): Uint8Array {
    return this.#memory.subarray(this.#place.start, this.#place.end)
  }

  /** Whether nobody holds the place of the next read. */
  get free(): boolean {
    const { start, end } = this.#place
    const holds = (span: Span): boolean => span.start < end && start < span.end
    return !this.#unread.some(holds) && !this.#lent.some(holds)
  }

  /** The first `byteLength` bytes of the place were received. */
  received(byteLength: number): void {
    const { start } = this.#place
    const end = start + byteLength
    const last = this.#unread.at(-1)
    if (last?.end === start) last.end = end
    else this.#unread.push({ start, end })
    this.#unreadBytes += byteLength
    const next = end + this.#placeBytes > this.#memory.length ? 0 : end
    this.#place = { start: next, end: next + this.#placeBytes }
  }

  /** Copies the next bytes, as many as are in one piece. */
  take(dst: Uint8Array): number {
    const { start, end } = this.#next(dst.length)
    dst.set(this.#memory.subarray(start, end))
    return end - start
  }

  /** The next 1 to `maxBytes` bytes, where they lie. */
  lend(maxBytes: number): Uint8Array {
    const span = this.#next(maxBytes)
    this.#lent.push(span)
    return this.#memory.subarray(span.start, span.end)
  }

  /** Gives back the oldest lease. */
  release(): void {
    if (this.#lent.shift() === undefined) {
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first')
    }
  }

  /** Drops what was not read. */
  clear(): void {
    this.#unread.length = 0
    this.#unreadBytes = 0
  }

  #next(maxBytes: number): Span {
    const first = this.#unread[0] as Span
    const { start } = first
    const end = Math.min(first.end, start + maxBytes)
    if (end === first.end) this.#unread.shift()
    else first.start = end
    this.#unreadBytes -= end - start
    return { start, end }
  }
}
