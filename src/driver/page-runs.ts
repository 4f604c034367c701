/**
 * Finds the runs of pages that a saving session sends next: all pages once, then those written since.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { FRAME_BYTES, PAGE_BYTES } from '../format/index.ts'
import { BITMAP_PAGES, type MemoryRegion } from './memory-region.ts'

/** Pages of a frame at the most. */
export const FRAME_PAGES: number = FRAME_BYTES / PAGE_BYTES
/** Pages of a zero run at the most: keeps one scan under about two milliseconds. */
const ZERO_RUN_PAGES = 16_384

/** A run of pages of one kind. */
export interface PageRun {
  readonly region: number
  readonly first: number
  readonly count: number
  readonly zero: boolean
}

/**
 * The cursor over a device's memory: the first pass takes every page in order, later ones the dirty
 * pages. A page's dirty bit is cleared when the run with it is given out, *before* it is copied.
 */
export class PageCursor {
  readonly #engine: Engine
  readonly #regions: readonly MemoryRegion[]
  readonly #bitmap: number
  readonly #dirty: readonly Uint32Array[]
  #region = 0
  #page = 0
  #sweepRegion = 0
  #sweepPage = 0

  /**
   * @param bitmap 32 bytes of engine memory for zero scans
   * @param dirty the dirty bitmaps to consume; a copy makes a dry run
   */
  constructor(
    engine: Engine,
    regions: readonly MemoryRegion[],
    bitmap: number,
    dirty?: readonly Uint32Array[],
  ) {
    this.#engine = engine
    this.#regions = regions
    this.#bitmap = bitmap
    this.#dirty = dirty ?? regions.map((region) => region.dirty)
    this.#skipEmpty()
  }

  /** A cursor at the same place over copies of the dirty bitmaps. */
  dryRun(): PageCursor {
    const twin = new PageCursor(
      this.#engine,
      this.#regions,
      this.#bitmap,
      this.#dirty.map((words) => words.slice()),
    )
    twin.#region = this.#region
    twin.#page = this.#page
    twin.#sweepRegion = this.#sweepRegion
    twin.#sweepPage = this.#sweepPage
    return twin
  }

  /** True while the first pass has pages left. */
  get initial(): boolean {
    return this.#region < this.#regions.length
  }

  /** True when a page that was given out was written since. */
  get dirty(): boolean {
    for (const [index, words] of this.#dirty.entries()) {
      if (index > this.#region) return false
      const { pageCount, mayBeDirty } = this.#regions[index] as MemoryRegion
      const first = mayBeDirty ? firstSet(words, 0) : -1
      if (first >= 0 && first < (index === this.#region ? this.#page : pageCount)) return true
    }
    return false
  }

  /** The next run, at most a frame of pages with content, or undefined when nothing is left now. */
  next(): PageRun | undefined {
    return this.initial ? this.#nextInitial() : this.#nextDirty()
  }

  #nextInitial(): PageRun {
    const index = this.#region
    const region = this.#regions[index] as MemoryRegion
    const run = this.#classify(index, this.#page, region.pageCount - this.#page)
    this.#clean(run)
    this.#page += run.count
    if (this.#page === region.pageCount) {
      this.#region++
      this.#page = 0
      this.#skipEmpty()
    }
    return run
  }

  #nextDirty(): PageRun | undefined {
    // Goes on where the last run stopped, so that a page written again and again starves no other.
    for (let turn = 0; turn <= this.#regions.length; turn++) {
      const index = this.#sweepRegion
      const words = this.#dirty[index]
      if (words === undefined) return undefined
      const first = firstSet(words, this.#sweepPage)
      if (first >= 0) {
        const { pageCount } = this.#regions[index] as MemoryRegion
        let count = 1
        while (first + count < pageCount && isSet(words, first + count)) count++
        const run = this.#classify(index, first, count)
        this.#clean(run)
        this.#sweepPage = run.first + run.count
        return run
      }
      this.#sweepRegion = (index + 1) % this.#regions.length
      this.#sweepPage = 0
    }
    return undefined
  }

  /** The longest run of one kind at the start of `available` pages. */
  #classify(index: number, first: number, available: number): PageRun {
    const region = this.#regions[index] as MemoryRegion
    let count = 0
    let zero = false
    const limit = (): number => Math.min(available, zero ? ZERO_RUN_PAGES : FRAME_PAGES)
    do {
      const pages = Math.min(limit() - count, BITMAP_PAGES)
      const from = (first + count) * PAGE_BYTES
      const byteLength = Math.min(pages * PAGE_BYTES, region.byteLength - from)
      this.#engine.kernels.zeroPages(region.pointer + from, byteLength, PAGE_BYTES, this.#bitmap)
      if (count === 0) zero = this.#isZero(0)
      for (let page = 0; page < pages; page++) {
        if (this.#isZero(page) !== zero) return { region: index, first, count, zero }
        count++
      }
    } while (count < limit())
    return { region: index, first, count, zero }
  }

  #isZero(page: number): boolean {
    return ((this.#engine.bytes[this.#bitmap + (page >>> 3)] as number) & (1 << (page & 7))) !== 0
  }

  #clean(run: PageRun): void {
    const words = this.#dirty[run.region] as Uint32Array
    for (let page = run.first; page < run.first + run.count; page++)
      words[page >>> 5] = (words[page >>> 5] as number) & ~(1 << (page & 31))
  }

  #skipEmpty(): void {
    while (this.#regions[this.#region]?.pageCount === 0) this.#region++
  }
}

function isSet(words: Uint32Array, page: number): boolean {
  return ((words[page >>> 5] as number) & (1 << (page & 31))) !== 0
}

/** The first set bit at or after `from`, or -1. */
function firstSet(words: Uint32Array, from: number): number {
  let word = from >>> 5
  let bits = (words[word] ?? 0) & (-1 << (from & 31))
  while (bits === 0) {
    if (++word >= words.length) return -1
    bits = words[word] as number
  }
  return word * 32 + (31 - Math.clz32(bits & -bits))
}
