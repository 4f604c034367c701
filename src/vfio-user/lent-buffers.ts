/**
 * Receive buffers: filled in stream order, lent out in pieces, used again once nobody looks at them.
 *
 * @module
 */

/** One buffer, and how many leases show parts of it. */
export interface ReceiveBuffer {
  readonly bytes: Uint8Array
  /** Unread bytes. */
  start: number
  end: number
  leases: number
}

const NONE = new Uint8Array(0)

/** The buffers of one session. */
export class LentBuffers {
  readonly #byteLength: number
  readonly #most: number
  #made = 0
  /** Last in, first out: the one that is warm. */
  readonly #spare: ReceiveBuffer[] = []
  /** With unread bytes, in stream order. */
  readonly #filled: ReceiveBuffer[] = []
  /** Of each lease that is out, oldest first. */
  readonly #lent: ReceiveBuffer[] = []

  /** @param most - how many buffers there may be */
  constructor(byteLength: number, most: number) {
    this.#byteLength = byteLength
    this.#most = most
  }

  /** How many buffers have unread bytes. */
  get filled(): number {
    return this.#filled.length
  }

  /** How many leases are out. */
  get lent(): number {
    return this.#lent.length
  }

  get hasSpare(): boolean {
    return this.#spare.length > 0 || this.#made < this.#most
  }

  /** A buffer to receive into. */
  take(): ReceiveBuffer | undefined {
    const spare = this.#spare.pop()
    if (spare !== undefined || this.#made >= this.#most) return spare
    this.#made++
    return { bytes: new Uint8Array(this.#byteLength), start: 0, end: 0, leases: 0 }
  }

  /** A buffer with nothing of use in it. */
  giveBack(buffer: ReceiveBuffer): void {
    this.#spare.push(buffer)
  }

  /** The next bytes of the stream: those from `start` to `end` of `buffer`. */
  fill(buffer: ReceiveBuffer, start: number, end: number): void {
    buffer.start = start
    buffer.end = end
    this.#filled.push(buffer)
  }

  /** The next 1 to `maxBytes` bytes where they lie; none when nothing is filled. */
  lend(maxBytes: number): Uint8Array {
    const buffer = this.#filled[0]
    if (buffer === undefined) return NONE
    buffer.leases++
    this.#lent.push(buffer)
    return this.#next(buffer, maxBytes)
  }

  /** Copies the next bytes, as many as one buffer has. */
  copy(dst: Uint8Array): number {
    const buffer = this.#filled[0]
    if (buffer === undefined) return 0
    const bytes = this.#next(buffer, dst.length)
    dst.set(bytes)
    this.#reuse(buffer)
    return bytes.length
  }

  /** Takes the oldest lease back; false when none is out. */
  release(): boolean {
    const buffer = this.#lent.shift()
    if (buffer === undefined) return false
    buffer.leases--
    this.#reuse(buffer)
    return true
  }

  /** What is unread is not wanted any more; leases stay. */
  drop(): void {
    for (const buffer of this.#filled.splice(0)) buffer.start = buffer.end
    this.#spare.length = 0
  }

  /** Leases will not be released. */
  reclaim(): void {
    this.#lent.length = 0
  }

  #next(buffer: ReceiveBuffer, maxBytes: number): Uint8Array {
    const from = buffer.start
    buffer.start = Math.min(buffer.end, from + maxBytes)
    if (buffer.start === buffer.end) this.#filled.shift()
    return buffer.bytes.subarray(from, buffer.start)
  }

  #reuse(buffer: ReceiveBuffer): void {
    if (buffer.leases === 0 && buffer.start === buffer.end) this.#spare.push(buffer)
  }
}
