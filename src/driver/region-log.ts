/**
 * DMA logging of memory regions: what the device marks in a region with an `iova`, and what is found written
 * in one that it does not mark, shows in the device's dirty log.
 *
 * Unmarked writes are found against a record of its own, taken when logging starts and renewed by each
 * report, since a session's record says what was sent instead. A page that between two reports goes back to
 * just what it held at the first is not reported.
 *
 * @module
 */

import type { DirtyLog } from '../device/dirty-log.ts'
import type { DirtyLogOps, DmaRange } from '../device/driver.ts'
import type { Engine } from '../engine/index.ts'
import { PAGE_BYTES } from '../format/index.ts'
import { clearBits, firstSetBit } from './dirty-bits.ts'
import type { MemoryRegion } from './memory-region.ts'
import type { PageRecord } from './page-record.ts'

/** Pages between two looks at the clock: a megabyte. */
const PIECE_PAGES = 256
/** How long a scan runs between two turns of the event loop. */
const TURN_MS = 5

/** A region in the log. */
interface LoggedRegion {
  readonly region: MemoryRegion
  readonly iova: bigint
}

/** A region whose writes have to be found. */
interface ScannedRegion extends LoggedRegion {
  readonly record: PageRecord
  /** Where the bits of the pages found written stand in engine memory, and the bits. */
  readonly bitmap: number
  readonly bits: Uint32Array
}

/** The log operations of a device some of whose regions have an `iova`. */
export class RegionLog implements DirtyLogOps {
  readonly #log: DirtyLog
  readonly #opened: () => { engine: Engine; regions: readonly MemoryRegion[] }
  #scanned: ScannedRegion[] = []
  #logged: readonly LoggedRegion[] = []
  #engine: Engine | undefined

  /**
   * @param log takes the marks
   * @param opened the open device's engine and regions
   */
  constructor(log: DirtyLog, opened: () => { engine: Engine; regions: readonly MemoryRegion[] }) {
    this.#log = log
    this.#opened = opened
  }

  /** ENOMEM also when the records do not fit in the engine; logging is off then. */
  async start(ranges: readonly DmaRange[], pageSize: bigint): Promise<bigint> {
    const { engine, regions } = this.#opened()
    const used = this.#log.start(ranges, pageSize)
    this.#engine = engine
    this.#logged = regions.flatMap((region) => {
      const { iova, byteLength } = region
      const isLogged = ranges.some((range) => iova !== undefined && overlaps(range, iova, byteLength))
      return iova === undefined || !isLogged ? [] : [{ region, iova }]
    })
    try {
      for (const { region, iova } of this.#logged) {
        region.onMark = (offset, byteLength) => this.#log.mark(iova + BigInt(offset), byteLength)
        if (region.tracking !== 'marked') await this.#takeRecord(engine, region, iova)
      }
    } catch (error) {
      this.stop()
      throw error
    }
    return used
  }

  stop(): void {
    this.#log.stop()
    for (const { region } of this.#logged) region.onMark = undefined
    for (const { record, bitmap } of this.#scanned) {
      record.free()
      this.#engine?.free(bitmap)
    }
    this.#logged = []
    this.#scanned = []
  }

  /** Finds what was written in the range without a mark, then reports. */
  async report(range: DmaRange, mark: (dirty: DmaRange) => void): Promise<void> {
    for (const scanned of this.#scanned) {
      const { region, iova } = scanned
      if (!overlaps(range, iova, region.byteLength)) continue
      const first = range.iova > iova ? Number((range.iova - iova) / BigInt(PAGE_BYTES)) : 0
      const last = Number((range.iova + range.length - 1n - iova) / BigInt(PAGE_BYTES))
      // The scan wants a multiple of 8; it may look at more than was asked for.
      await eachPiece(first - (first % 8), Math.min(last + 1, region.pageCount), (from, count) => {
        this.#scan(scanned, from, count)
      })
    }
    this.#log.report(range, mark)
  }

  async #takeRecord(engine: Engine, region: MemoryRegion, iova: bigint): Promise<void> {
    if (region.tracking === 'marked') return
    const words = Math.ceil(region.pageCount / 32)
    const bitmap = engine.allocate(words * 4)
    let record: PageRecord
    try {
      record = region.pages.createRecord(region.tracking)
    } catch (error) {
      engine.free(bitmap)
      throw error
    }
    const bits = new Uint32Array(engine.bytes.buffer, engine.bytes.byteOffset + bitmap, words)
    this.#scanned.push({ region, iova, record, bitmap, bits })
    await eachPiece(0, region.pageCount, (first, count) => record.remember(first, count))
  }

  /** Marks the pages written since the record was taken, and renews it for them. */
  #scan({ region, iova, record, bitmap, bits }: ScannedRegion, first: number, count: number): void {
    if (record.findWritten(first, count, bitmap) === 0) return
    for (let page = firstSetBit(bits, first); page >= 0; page = firstSetBit(bits, page + 1)) {
      const from = page * PAGE_BYTES
      this.#log.mark(iova + BigInt(from), Math.min(PAGE_BYTES, region.byteLength - from))
      record.remember(page, 1)
    }
    clearBits(bits, first, count)
  }
}

function overlaps(range: DmaRange, iova: bigint, byteLength: number): boolean {
  return range.iova < iova + BigInt(byteLength) && iova < range.iova + range.length
}

/** Calls `work` for pieces of the pages, and pauses now and then. */
async function eachPiece(
  first: number,
  end: number,
  work: (first: number, count: number) => void,
): Promise<void> {
  let turnEndMs = performance.now() + TURN_MS
  for (let at = first; at < end; at += PIECE_PAGES) {
    work(at, Math.min(PIECE_PAGES, end - at))
    if (performance.now() < turnEndMs) continue
    await new Promise((resolve) => setTimeout(resolve))
    turnEndMs = performance.now() + TURN_MS
  }
}
