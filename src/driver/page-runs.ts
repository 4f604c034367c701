/**
 * Finds the runs of pages that a saving session sends next: all pages once, then those written since.
 *
 * Runs are found in batches by the engine's kernels and wait in a queue in engine memory, where the kernel
 * that gathers pages reads them. A page's dirty bit is cleared when its batch is found, *before* its content
 * is looked at or copied: what is written after that sets the bit again and is sent again.
 *
 * @module
 */

import { type Engine, ZERO_RUN_FLAG } from '../engine/index.ts'
import { FRAME_BYTES, PAGE_BYTES } from '../format/index.ts'
import { clearBits, firstSetBit } from './dirty-bits.ts'
import type { MemoryRegion } from './memory-region.ts'

/** Pages of a section at the most. */
export const FRAME_PAGES: number = FRAME_BYTES / PAGE_BYTES
/** Pages whose content one batch looks at: a megabyte. */
const BATCH_PAGES = 256
/** Pages of a zero run at the most: keeps one batch under about two milliseconds. */
const ZERO_RUN_PAGES = 16_384
/** Runs of dirty pages that one batch takes from the bitmap. */
const DIRTY_RUNS = 64
/** Bits of the bitmap that one batch looks at. */
const DIRTY_WINDOW_BITS = 65_536
/** Runs of the queue: those of a batch, and of the one that ends a long zero run. */
const QUEUED_RUNS: number = 2 * BATCH_PAGES
/** Engine memory of a cursor. */
export const CURSOR_BYTES: number = (QUEUED_RUNS + DIRTY_RUNS) * 8

/** A run of pages of one kind. */
export interface PageRun {
  readonly region: number
  readonly first: number
  readonly count: number
  readonly zero: boolean
}

interface DryRun {
  /** Up to where the first pass had found pages when it began. */
  readonly region: number
  readonly page: number
  /** Where the sweep began. */
  readonly sweepPage: number
  regionsLeft: number
}

/** The cursor over a device's memory: the first pass takes every page in order, later ones the dirty pages. */
export class PageCursor {
  readonly #engine: Engine
  readonly #regions: readonly MemoryRegion[]
  readonly #pointer: number
  /** Pairs of first page and count, the count with {@link ZERO_RUN_FLAG} for zero pages. */
  readonly #queue: Uint32Array
  readonly #found: Uint32Array
  /** Of a dry run: it leaves the dirty bitmap alone and sweeps once what was found when it began. */
  #dry: DryRun | undefined
  /**
   * Nothing changes any more, so batches may be queued without a look at their content: a page's first
   * touch costs as much as a twentieth of its checksum, and behind the checksum nothing.
   */
  mayTrust = false
  /** The last batch had no zero page. */
  #trusted = true
  #scanned = true
  #batchFirst = 0
  #head = 0
  #tail = 0
  #queueRegion = 0
  #queueInitial = true
  #region = 0
  #page = 0
  #sweepRegion = 0
  #sweepPage = 0

  /** @param pointer {@link CURSOR_BYTES} of engine memory at a multiple of 4 */
  constructor(engine: Engine, regions: readonly MemoryRegion[], pointer: number) {
    this.#engine = engine
    this.#regions = regions
    this.#pointer = pointer
    const { buffer, byteOffset } = engine.bytes
    this.#queue = new Uint32Array(buffer, byteOffset + pointer, QUEUED_RUNS * 2)
    this.#found = new Uint32Array(buffer, byteOffset + pointer + QUEUED_RUNS * 8, DIRTY_RUNS * 2)
    this.#skipEmpty()
  }

  /** A cursor at the same place, over `pointer`, that tells what this one would give and clears no bit. */
  dryRun(pointer: number): PageCursor {
    const twin = new PageCursor(this.#engine, this.#regions, pointer)
    twin.#queue.set(this.#queue.subarray(2 * this.#head, 2 * this.#tail))
    twin.#tail = this.#tail - this.#head
    twin.#queueRegion = this.#queueRegion
    twin.#queueInitial = this.#queueInitial
    twin.#batchFirst = this.#batchFirst
    twin.#region = this.#region
    twin.#page = this.#page
    twin.#sweepRegion = this.#sweepRegion
    twin.#sweepPage = this.#sweepPage
    twin.#dry = {
      region: this.#region,
      page: this.#page,
      sweepPage: this.#sweepPage,
      regionsLeft: this.#regions.length,
    }
    if (!this.#scanned) twin.scan()
    return twin
  }

  /** True while the first pass has pages left to find. */
  get #finding(): boolean {
    return this.#region < this.#regions.length
  }

  /** True when the next run, or what will be found next, is of the first pass. */
  get initial(): boolean {
    return this.#head < this.#tail ? this.#queueInitial : this.#finding
  }

  /** True when nothing is left to give out now. */
  get exhausted(): boolean {
    return this.#head === this.#tail && !this.#finding && !this.#dirty
  }

  /** True when a page that was found was written since. */
  get #dirty(): boolean {
    return this.#regions.some((region) => region.mayBeDirty && firstSetBit(region.dirty, 0) >= 0)
  }

  /** How many pages of a region the first pass has found. */
  foundPages(index: number): number {
    if (index === this.#region) return this.#page
    return index < this.#region ? (this.#regions[index] as MemoryRegion).pageCount : 0
  }

  /** Makes sure that there is a run at the front; false when nothing is left now. */
  fill(): boolean {
    while (this.#head === this.#tail) {
      this.#head = 0
      this.#tail = 0
      if (this.#finding) this.#findInitial()
      else if (!this.#findDirty()) return false
    }
    return true
  }

  /** Whether the queued runs were looked at: else none counts as zero, and whoever sends one must look. */
  get scanned(): boolean {
    return this.#scanned
  }

  /** Looks at the queued runs for zero pages. */
  scan(): void {
    const region = this.#regions[this.#queueRegion] as MemoryRegion
    const queued = this.#queue.slice(2 * this.#head, 2 * this.#tail)
    this.#head = 0
    this.#tail = 0
    this.#scanned = true
    for (let at = 0; at < queued.length; at += 2)
      this.#split(region, queued[at] as number, queued[at + 1] as number)
    const whole = this.#queueInitial && this.#queue[0] === this.#batchFirst
    if (whole && this.#region === this.#queueRegion) this.#extend(region)
  }

  /**
   * The device stopped: queued zero runs of a region with a record, whose pages are no longer all zero, become
   * runs of content. A page that went back to what is on record is on no other list.
   */
  recheckZeroRuns(): void {
    const { pages, record } = this.#regions[this.#queueRegion] ?? {}
    if (pages === undefined || record === undefined) return
    const found = this.#pointer + QUEUED_RUNS * 8
    for (let at = 2 * this.#head; at < 2 * this.#tail; at += 2) {
      const flagged = this.#queue[at + 1] as number
      if ((flagged & ZERO_RUN_FLAG) === 0) continue
      const first = this.#queue[at] as number
      const count = (flagged & ~ZERO_RUN_FLAG) >>> 0
      const runs = pages.zeroRuns(first, count, found, 2)
      if (runs > 1 || this.#found[1] !== flagged) this.#queue[at + 1] = count
    }
  }

  /** Region of the run at the front. */
  get region(): number {
    return this.#queueRegion
  }

  /** First page of the run at the front. */
  get first(): number {
    return this.#queue[2 * this.#head] as number
  }

  /** Pages of the run at the front. */
  get count(): number {
    return ((this.#queue[2 * this.#head + 1] as number) & ~ZERO_RUN_FLAG) >>> 0
  }

  /** Whether the pages at the front are all zero. */
  get zero(): boolean {
    return ((this.#queue[2 * this.#head + 1] as number) & ZERO_RUN_FLAG) !== 0
  }

  /** Where in engine memory the runs from the front on stand. */
  get runs(): number {
    return this.#pointer + 8 * this.#head
  }

  /** How many runs at the front are not zero and have at most `maxPages`. */
  countUpTo(maxPages: number): number {
    let at = this.#head
    while (at < this.#tail && (this.#queue[2 * at + 1] as number) <= maxPages) at++
    return at - this.#head
  }

  /** Takes `runs` runs from the front. */
  drop(runs: number): void {
    this.#head += runs
  }

  /** Takes the first `pages` pages of the run at the front. */
  take(pages: number): void {
    const at = 2 * this.#head
    if (pages === this.count) this.#head++
    else {
      this.#queue[at] = (this.#queue[at] as number) + pages
      this.#queue[at + 1] = (this.#queue[at + 1] as number) - pages
    }
  }

  /** The next run, at most a frame of pages with content, or undefined when nothing is left now. */
  next(): PageRun | undefined {
    if (!this.fill()) return undefined
    const { region, first, zero } = this
    const count = zero ? this.count : Math.min(this.count, FRAME_PAGES)
    this.take(count)
    return { region, first, count, zero }
  }

  #findInitial(): void {
    const region = this.#regions[this.#region] as MemoryRegion
    this.#begin(this.#region, true)
    this.#batchFirst = this.#page
    this.#page += this.#append(region, this.#page, region.pageCount - this.#page, BATCH_PAGES)
    if (this.#scanned) this.#extend(region)
    if (this.#page < region.pageCount) return
    this.#region++
    this.#page = 0
    this.#skipEmpty()
  }

  /** Goes on with a zero run that filled the batch of the first pass. */
  #extend(region: MemoryRegion): void {
    const end = Math.min(region.pageCount, this.#batchFirst + ZERO_RUN_PAGES)
    while (this.#tail === 1 && this.zero && this.#page < end) {
      this.#page += this.#append(region, this.#page, end - this.#page, BATCH_PAGES)
      this.#join()
    }
  }

  #findDirty(): boolean {
    // Goes on where the last batch stopped, so that a page written again and again starves no other.
    for (let turn = 0; turn <= this.#regions.length; turn++) {
      const index = this.#sweepRegion
      const region = this.#regions[index]
      if (region === undefined) return false
      if (this.#findDirtyIn(index, region)) return true
      if (this.#dry !== undefined && --this.#dry.regionsLeft < 0) return false
      this.#sweepRegion = (index + 1) % this.#regions.length
      this.#sweepPage = 0
    }
    return false
  }

  /** Where the sweep of a region ends: a dry run's does not come back to where it began. */
  #sweepEnd(index: number, { pageCount }: MemoryRegion): number {
    if (this.#dry === undefined) return pageCount
    const { region, page, sweepPage, regionsLeft } = this.#dry
    if (regionsLeft === 0) return sweepPage
    return index < region ? pageCount : index === region ? page : 0
  }

  /** Queues the dirty runs of one batch from the sweep's place on; false when there is none in the region. */
  #findDirtyIn(index: number, region: MemoryRegion): boolean {
    if (!region.mayBeDirty) return false
    const end = this.#sweepEnd(index, region)
    const from = firstSetBit(region.dirty, this.#sweepPage)
    if (from < 0 || from >= end) return false
    this.#begin(index, false)
    const found = this.#pointer + QUEUED_RUNS * 8
    const window = Math.min(end - from, DIRTY_WINDOW_BITS)
    const runs = this.#engine.kernels.bitmapRuns(region.dirtyPointer, from, window, found, DIRTY_RUNS)
    let left = BATCH_PAGES
    for (let run = 0; run < runs && left > 0; run++) {
      const first = this.#found[2 * run] as number
      const pages = this.#append(region, first, this.#found[2 * run + 1] as number, left)
      left -= pages
      this.#sweepPage = first + pages
    }
    return true
  }

  /** Begins a batch. */
  #begin(region: number, initial: boolean): void {
    this.#queueRegion = region
    this.#queueInitial = initial
    this.#scanned = !(this.mayTrust && this.#trusted)
    this.#trusted = true
  }

  /** Queues at most `maxPages` of `count` pages, their dirty bits cleared; how many pages. */
  #append(region: MemoryRegion, first: number, count: number, maxPages: number): number {
    const pages = Math.min(count, maxPages)
    if (this.#dry === undefined) clearBits(region.dirty, first, pages)
    if (this.#scanned) this.#split(region, first, pages)
    else {
      this.#queue[2 * this.#tail] = first
      this.#queue[2 * this.#tail + 1] = pages
      this.#tail++
    }
    return pages
  }

  /** Queues pages as runs of zero and of other pages. */
  #split(region: MemoryRegion, first: number, pages: number): void {
    const runs = this.#pointer + 8 * this.#tail
    const room = QUEUED_RUNS - this.#tail
    const found = region.pages.zeroRuns(first, pages, runs, room)
    for (let at = this.#tail; at < this.#tail + found; at++)
      if (((this.#queue[2 * at + 1] as number) & ZERO_RUN_FLAG) !== 0) this.#trusted = false
    this.#tail += found
  }

  /** Joins the second run of the queue with the first when both are zero. */
  #join(): void {
    const first = this.#queue[1] as number
    const second = this.#queue[3] as number
    if ((first & second & ZERO_RUN_FLAG) === 0) return
    this.#queue[1] = first + ((second & ~ZERO_RUN_FLAG) >>> 0)
    this.#queue.copyWithin(2, 4, 2 * this.#tail)
    this.#tail--
  }

  #skipEmpty(): void {
    while (this.#regions[this.#region]?.pageCount === 0) this.#region++
  }
}
