/**
 * Which pages of the client's memory the device wrote: bits for what was written, none for what was not, so that
 * a huge region costs nothing before the device writes to it.
 *
 * @module
 */

import { PageBits } from '../device/page-bits.ts'

/** Granularity, bytes. Reports of smaller pages repeat its bits, those of larger ones gather them. */
const PAGE_BYTES = 4096
/** Pages of one block of bits: 128 MiB of memory, 4 KiB of bits. */
const BLOCK_PAGES = 32_768
/** Blocks of all regions of a connection: 16 MiB of bits. Beyond, a whole region counts as written. */
const MOST_BLOCKS = 4096

/** Blocks that are in use, over all regions. */
export class DirtyBudget {
  blocks = 0
}

/** The log of one region. */
export class DirtyPages {
  readonly #byteLength: number
  readonly #budget: DirtyBudget
  readonly #blocks = new Map<number, PageBits>()
  #isEverything = false

  /** @param byteLength - of the region, a safe integer */
  constructor(byteLength: number, budget: DirtyBudget) {
    this.#byteLength = byteLength
    this.#budget = budget
  }

  /** `byteLength` bytes at `offset` of the region were written; both inside it. */
  mark(offset: number, byteLength: number): void {
    if (this.#isEverything || byteLength === 0) return
    const end = Math.floor((offset + byteLength - 1) / PAGE_BYTES) + 1
    for (let page = Math.floor(offset / PAGE_BYTES); page < end;) {
      const index = Math.floor(page / BLOCK_PAGES)
      const base = index * BLOCK_PAGES
      const bits = this.#block(index)
      if (bits === undefined) return
      bits.set(page - base, Math.min(end - base, BLOCK_PAGES))
      page = base + BLOCK_PAGES
    }
  }

  /** Sets a bit of `dst` for each page of `pageBytes` that was written, and forgets what was. */
  collect(pageBytes: number, dst: PageBits): void {
    const set = (from: number, to: number): void => {
      const end = Math.min(to, this.#byteLength)
      if (from < end) dst.set(Math.floor(from / pageBytes), Math.ceil(end / pageBytes))
    }
    if (this.#isEverything) set(0, this.#byteLength)
    for (const [index, bits] of this.#blocks) {
      for (let from = bits.nextSet(0, BLOCK_PAGES); from < BLOCK_PAGES;) {
        const to = bits.nextClear(from, BLOCK_PAGES)
        set((index * BLOCK_PAGES + from) * PAGE_BYTES, (index * BLOCK_PAGES + to) * PAGE_BYTES)
        from = bits.nextSet(to, BLOCK_PAGES)
      }
    }
    this.clear()
  }

  /** Nothing was written. */
  clear(): void {
    this.#budget.blocks -= this.#blocks.size
    this.#blocks.clear()
    this.#isEverything = false
  }

  #block(index: number): PageBits | undefined {
    const known = this.#blocks.get(index)
    if (known !== undefined) return known
    if (this.#budget.blocks >= MOST_BLOCKS) {
      this.clear()
      this.#isEverything = true
      return undefined
    }
    const bits = new PageBits(BLOCK_PAGES / 8)
    this.#blocks.set(index, bits)
    this.#budget.blocks++
    return bits
  }
}
