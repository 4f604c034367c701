/**
 * A set of pages that knows how many it has.
 *
 * @module
 */

import { PageBits } from '../device/page-bits.ts'

/** Pages `0` to `pageCount`; one bit each. */
export class PageSet {
  readonly pageCount: number
  readonly #bits: PageBits
  #count = 0

  constructor(pageCount: number) {
    this.pageCount = pageCount
    this.#bits = new PageBits(Math.ceil(pageCount / 8))
  }

  /** Pages in the set. */
  get count(): number {
    return this.#count
  }

  /** Adds pages `first` to `end`, `end` not included. */
  add(first: number, end: number): void {
    let from = this.#bits.nextClear(first, end)
    while (from < end) {
      const to = this.#bits.nextSet(from, end)
      this.#bits.set(from, to)
      this.#count += to - from
      from = this.#bits.nextClear(to, end)
    }
  }

  addAll(): void {
    this.add(0, this.pageCount)
  }

  /** Removes a run of pages that are all in the set. */
  removeRun(first: number, end: number): void {
    this.#bits.clear(first, end)
    this.#count -= end - first
  }

  /** The first page in the set from `from` on, or `end`. */
  next(from: number, end: number = this.pageCount): number {
    return this.#bits.nextSet(from, end)
  }

  /** The first page not in the set from `from` on, or `end`. */
  nextMissing(from: number, end: number = this.pageCount): number {
    return this.#bits.nextClear(from, end)
  }
}
