/**
 * One bit per page: bit n is bit n % 8 of byte n / 8, as in every bitmap of the protocol.
 *
 * @module
 */

/** Runs are filled by bytes and searched by words: both views see one buffer, little endian. */
export class PageBits {
  readonly bytes: Uint8Array
  readonly #words: Int32Array

  /** @param byteLength - of the bitmap; rounded up to whole 32-bit words */
  constructor(byteLength: number) {
    this.#words = new Int32Array(Math.ceil(byteLength / 4))
    this.bytes = new Uint8Array(this.#words.buffer)
  }

  /** Sets bits `first` to `end`, `end` not included. */
  set(first: number, end: number): void {
    this.#cover(first, end, (index, mask) => (this.bytes[index]! |= mask), 0xff)
  }

  /** Clears bits `first` to `end`, `end` not included. */
  clear(first: number, end: number): void {
    this.#cover(first, end, (index, mask) => (this.bytes[index]! &= ~mask), 0)
  }

  /** The first set bit from `from` on, or `end`. */
  nextSet(from: number, end: number): number {
    return this.#search(from, end, 0)
  }

  /** The first clear bit from `from` on, or `end`. */
  nextClear(from: number, end: number): number {
    return this.#search(from, end, -1)
  }

  /** Whole bytes get `fill`; the ends go through `edge` with the mask of their bits. */
  #cover(first: number, end: number, edge: (index: number, mask: number) => void, fill: number): void {
    if (first >= end) return
    const last = end - 1
    const firstByte = Math.floor(first / 8)
    const lastByte = Math.floor(last / 8)
    const head = (0xff << (first % 8)) & 0xff
    const tail = 0xff >> (7 - (last % 8))
    if (firstByte === lastByte) {
      edge(firstByte, head & tail)
      return
    }
    edge(firstByte, head)
    this.bytes.fill(fill, firstByte + 1, lastByte)
    edge(lastByte, tail)
  }

  /** The first bit from `from` on that differs from the bits of `skip`, or `end`. */
  #search(from: number, end: number, skip: number): number {
    if (from >= end) return end
    let index = Math.floor(from / 32)
    let differing = (this.#words[index]! ^ skip) & (-1 << (from % 32))
    while (differing === 0) {
      index++
      if (index * 32 >= end) return end
      differing = this.#words[index]! ^ skip
    }
    const lowest = 31 - Math.clz32(differing & -differing)
    return Math.min(index * 32 + lowest, end)
  }
}
