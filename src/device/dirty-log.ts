/**
 * A page-granular dirty log that any device can mark: the part of DMA logging that hardware does
 * (facts A.6, column "suggested").
 *
 * Ranges are kept as page numbers, which stay exact numbers for every 64-bit address, sorted, and merged
 * where they touch. Memory is one bit per logged page.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { DirtyLogOps, DmaRange } from './driver.ts'
import { PageBits } from './page-bits.ts'

/** Smallest page size in use, bytes; a smaller hint is clamped. */
export const DIRTY_LOG_MIN_PAGE_SIZE = 4096n

/** Largest page size in use, bytes; a larger hint is clamped. */
export const DIRTY_LOG_MAX_PAGE_SIZE = 2_097_152n

/** Most pages one log can cover: 256 MiB of bits, 8 TiB of 4 KiB pages. More is ENOMEM. */
export const DIRTY_LOG_MAX_PAGES: number = 2 ** 31

/** Pages `first` to `end`, `end` not included, that are logged. */
interface Segment {
  readonly first: number
  readonly end: number
  readonly bits: PageBits
}

/**
 * Log operations for a driver's `dirtyLog`, and `mark` for its DMA.
 *
 * @example
 * ```ts
 * const log = new DirtyLog()
 * const driver = { ...rest, dirtyLog: log }
 * log.mark(0x1000n, 64) // after every DMA write; costs next to nothing while logging is off
 * ```
 */
export class DirtyLog implements DirtyLogOps {
  #segments: readonly Segment[] | undefined
  #pageSize = DIRTY_LOG_MIN_PAGE_SIZE

  /** Whether logging is on. */
  get started(): boolean {
    return this.#segments !== undefined
  }

  /**
   * Starts logging writes to `ranges`, which are checked: aligned, disjoint, non-empty.
   *
   * @returns `pageSize` clamped to what the log can do
   * @throws {@link VfioError} EINVAL when started; ENOMEM above {@link DIRTY_LOG_MAX_PAGES}
   */
  start(ranges: readonly DmaRange[], pageSize: bigint): bigint {
    if (this.started) throw refusal('EINVAL', 'start DMA logging: it is started, stop it first')
    this.#pageSize = clamp(pageSize)
    this.#segments = allocate(mergePages(ranges, this.#pageSize))
    return this.#pageSize
  }

  stop(): void {
    this.#segments = undefined
  }

  /** The device wrote `byteLength` bytes at `iova`. Nothing happens while off or outside the ranges. */
  mark(iova: bigint | number, byteLength: number): void {
    if (this.#segments === undefined || byteLength <= 0) return
    const first = this.#pageOf(iova)
    const end = this.#pageOf(lastAddress(iova, byteLength)) + 1
    for (let index = this.#segmentAfter(first); index < this.#segments.length; index++) {
      const segment = this.#segments[index]!
      if (segment.first >= end) return
      const from = Math.max(first, segment.first) - segment.first
      segment.bits.set(from, Math.min(end, segment.end) - segment.first)
    }
  }

  /**
   * Marks runs of dirty pages and clears them. A page that only partly lies in the range is marked and
   * stays dirty: its rest was not asked for yet.
   *
   * @throws {@link VfioError} EINVAL when off, for length 0, and outside the logged ranges
   */
  report(range: DmaRange, mark: (dirty: DmaRange) => void): void {
    if (this.#segments === undefined) throw refusal('EINVAL', 'report dirty pages: logging is off, start it')
    const first = this.#pageOf(range.iova)
    const end = this.#pageOf(range.iova + range.length - 1n) + 1
    const segment = this.#segments[this.#segmentAfter(first)]
    if (range.length === 0n || segment === undefined || first < segment.first || end > segment.end) {
      throw refusal(
        'EINVAL',
        'report dirty pages: the range is not logged, ask inside the ranges of the start',
      )
    }
    const { bits } = segment
    const stop = end - segment.first
    let from = bits.nextSet(first - segment.first, stop)
    while (from < stop) {
      const to = bits.nextClear(from, stop)
      mark({
        iova: BigInt(segment.first + from) * this.#pageSize,
        length: BigInt(to - from) * this.#pageSize,
      })
      from = bits.nextSet(to, stop)
    }
    const wholeFirst = this.#pageOf(range.iova + this.#pageSize - 1n)
    const wholeEnd = this.#pageOf(range.iova + range.length)
    bits.clear(wholeFirst - segment.first, wholeEnd - segment.first)
  }

  #pageOf(address: bigint | number): number {
    return typeof address === 'bigint'
      ? Number(address / this.#pageSize)
      : Math.floor(address / Number(this.#pageSize))
  }

  /** Index of the first segment that ends after `page`. */
  #segmentAfter(page: number): number {
    const segments = this.#segments!
    let low = 0
    let high = segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (segments[middle]!.end > page) high = middle
      else low = middle + 1
    }
    return low
  }
}

function lastAddress(iova: bigint | number, byteLength: number): bigint | number {
  return typeof iova === 'bigint' ? iova + BigInt(byteLength) - 1n : iova + byteLength - 1
}

function clamp(pageSize: bigint): bigint {
  if (pageSize < DIRTY_LOG_MIN_PAGE_SIZE) return DIRTY_LOG_MIN_PAGE_SIZE
  return pageSize > DIRTY_LOG_MAX_PAGE_SIZE ? DIRTY_LOG_MAX_PAGE_SIZE : pageSize
}

/** A clamped page size can make separate ranges share a page, so they are rounded outwards and merged. */
function mergePages(ranges: readonly DmaRange[], pageSize: bigint): { first: number; end: number }[] {
  const pages = ranges
    .map(({ iova, length }) => ({
      first: Number(iova / pageSize),
      end: Number((iova + length + pageSize - 1n) / pageSize),
    }))
    .sort((a, b) => a.first - b.first)
  const merged: { first: number; end: number }[] = []
  for (const { first, end } of pages) {
    const previous = merged.at(-1)
    if (previous !== undefined && first <= previous.end) previous.end = Math.max(previous.end, end)
    else merged.push({ first, end })
  }
  return merged
}

function allocate(pages: readonly { first: number; end: number }[]): Segment[] {
  const pageCount = pages.reduce((sum, { first, end }) => sum + end - first, 0)
  if (pageCount > DIRTY_LOG_MAX_PAGES) throw noMemory(pageCount)
  try {
    return pages.map(({ first, end }) => ({ first, end, bits: new PageBits(Math.ceil((end - first) / 8)) }))
  } catch {
    throw noMemory(pageCount)
  }
}

function noMemory(pageCount: number): VfioError {
  return refusal('ENOMEM', `start DMA logging: ${pageCount} pages are too many, log less or by larger pages`)
}

function refusal(code: 'EINVAL' | 'ENOMEM', reason: string): VfioError {
  return new VfioError(code, `Cannot ${reason}`, { syscall: 'ioctl' })
}
