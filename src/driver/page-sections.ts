/**
 * Sections of the runs that a page cursor finds: in place, or copied into a frame.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import {
  type ChecksumKind,
  PAGE_BYTES,
  SECTION_HEADER_BYTES,
  type SectionPlan,
  setSafeUint64,
  type StreamWriter,
  Tag,
  ZERO_PAYLOAD_BYTES,
} from '../format/index.ts'
import type { CompressedFrames } from './compressed-frames.ts'
import type { MemoryRegion } from './memory-region.ts'
import type { PageRecord } from './page-record.ts'
import { FRAME_PAGES, type PageCursor } from './page-runs.ts'

/** Runs below this many pages cost less to copy than to hand out one by one. */
const LONG_RUN_PAGES = 4

/**
 * Engine memory that page sections need: the payload of a zero run, the runs that a zero scan found, and a
 * checksum that was computed elsewhere.
 */
export const PAGE_SECTIONS_BYTES = 64
const ZERO_SCAN_AT = 16
const CHECKSUM_AT = 32

/** Where the sections come from. */
export interface PageSectionsOptions {
  readonly regions: readonly MemoryRegion[]
  readonly checksum: ChecksumKind
  /** {@link PAGE_SECTIONS_BYTES} of engine memory. */
  readonly scratch: number
  /** Pages with content go through it; then every section goes into a frame. */
  readonly compressed?: CompressedFrames | undefined
}

/** Turns the runs of a cursor into sections of a writer. */
export class PageSections {
  readonly #engine: Engine
  readonly #writer: StreamWriter
  readonly #cursor: PageCursor
  readonly #regions: readonly MemoryRegion[]
  readonly #checksum: ChecksumKind
  readonly #scratch: number
  readonly #view: DataView
  readonly #compressed: CompressedFrames | undefined

  constructor(engine: Engine, writer: StreamWriter, cursor: PageCursor, options: PageSectionsOptions) {
    this.#engine = engine
    this.#writer = writer
    this.#cursor = cursor
    this.#regions = options.regions
    this.#checksum = options.checksum
    this.#scratch = options.scratch
    this.#compressed = options.compressed
    const { buffer, byteOffset } = engine.bytes
    this.#view = new DataView(buffer, byteOffset + options.scratch, PAGE_SECTIONS_BYTES)
  }

  /** Whether several short runs come next. */
  get scattered(): boolean {
    const cursor = this.#cursor
    if (cursor.countUpTo(LONG_RUN_PAGES - 1) < 2) return false
    // Zero pages among them would be copied.
    if (!cursor.scanned) cursor.scan()
    return cursor.countUpTo(LONG_RUN_PAGES - 1) > 1
  }

  /** Whether the pages that come next cannot be sent where they lie, though the device has stopped. */
  get mustCopy(): boolean {
    const cursor = this.#cursor
    return cursor.fill() && !cursor.zero && !this.#region.pages.leasable
  }

  /** Takes the next section of pages in place; undefined when something else comes next. */
  takeInPlace(): SectionPlan | undefined {
    const cursor = this.#cursor
    // No worker of the engine sees foreign pages.
    if (!cursor.fill() || this.#region.pages.pointer === undefined) return undefined
    // Its checksum will be another thread's, so nothing else brings the pages into this one's cache.
    if (!cursor.scanned) cursor.scan()
    if (cursor.zero || this.scattered) return undefined
    const plan = this.#pages()
    cursor.take(this.#frontPages)
    return plan
  }

  /** The next section, its pages where they lie. There must be a run at the cursor's front. */
  next(): { header: Uint8Array; payload: Uint8Array } {
    const { bytes } = this.#engine
    const cursor = this.#cursor
    if (cursor.zero) {
      const header = this.#writer.section(this.#zeroRun(false))
      // A copy: the next zero run is counted in the same place.
      return { header, payload: bytes.slice(this.#scratch, this.#scratch + ZERO_PAYLOAD_BYTES) }
    }
    const plan = this.#pages()
    const { pages } = this.#region
    const isForeign = pages.pointer === undefined
    const from = cursor.first * PAGE_BYTES
    const checksum = isForeign ? this.#scratch + CHECKSUM_AT : undefined
    if (checksum !== undefined) pages.storeChecksum(this.#checksum, from, plan.payloadBytes, checksum)
    const header = this.#writer.section(plan, checksum)
    // The checksum has brought the pages into the cache: only now a look at each costs next to nothing.
    if (!cursor.scanned && this.#hasZeroPage()) {
      this.#writer.retract(plan)
      cursor.scan()
      return this.next()
    }
    cursor.take(this.#frontPages)
    if (isForeign) return { header, payload: pages.bytes.subarray(from, from + plan.payloadBytes) }
    return { header, payload: bytes.subarray(plan.payload, plan.payload + plan.payloadBytes) }
  }

  /**
   * Copies sections into a frame until it is full, the first pass ends or, unless `running` or compressed, a
   * long run comes. Of a running device, what is copied goes on the regions' records.
   *
   * @returns the bytes of the frame that are used
   */
  fill(frame: number, frameBytes: number, running: boolean): number {
    const cursor = this.#cursor
    const compressed = this.#compressed
    const { initial } = cursor
    let used = 0
    while (cursor.fill() && cursor.initial === initial) {
      // What is copied is looked at before: zero pages are not worth a place in a frame.
      if (!cursor.scanned) cursor.scan()
      const out = frame + used
      const room = frameBytes - used
      const { pages: store, record } = this.#region
      const isForeign = store.pointer === undefined
      const maxPages = running || !store.leasable ? FRAME_PAGES : LONG_RUN_PAGES - 1
      const runCount = compressed === undefined && !isForeign ? cursor.countUpTo(maxPages) : 0
      if (runCount > 0) {
        const gathered = this.#gather(runCount, out, room, running)
        used += this.#writer.gatheredBytes
        if (gathered < runCount) break
      } else if (cursor.zero) {
        if (room < SECTION_HEADER_BYTES + ZERO_PAYLOAD_BYTES) break
        used += this.#writer.sectionTo(out, this.#zeroRun(running))
      } else {
        const { first } = cursor
        const pages = this.#pagesFor(room, maxPages)
        if (pages === 0) break
        const plan = this.#pages(pages)
        // Before the copy, as with the dirty bit: what another thread writes in between differs from the record.
        if (running) record?.remember(first, pages)
        const stage = (dst: number): void => store.copyOut(first * PAGE_BYTES, plan.payloadBytes, dst)
        if (compressed !== undefined)
          used += compressed.sectionTo(out, plan, running || isForeign ? stage : undefined)
        else {
          const payload = isForeign ? out + SECTION_HEADER_BYTES : plan.payload
          if (isForeign) stage(payload)
          used += this.#writer.sectionTo(out, { ...plan, payload })
        }
        cursor.take(pages)
      }
    }
    return used
  }

  /** Gathers the first of `runCount` runs at the cursor's front that fit; how many they are. */
  #gather(runCount: number, out: number, outBytes: number, running: boolean): number {
    const { region, runs } = this.#cursor
    const { pages, byteLength: memoryBytes, record } = this.#region
    const memory = pages.pointer as number
    if (running && record !== undefined) this.#remember(record, runCount, outBytes)
    const gathered = this.#writer.gather({ region, memory, memoryBytes, runs, runCount, out, outBytes })
    this.#cursor.drop(gathered)
    return gathered
  }

  /** Puts the runs at the cursor's front that fit `outBytes` on record, before they are copied. */
  #remember(record: PageRecord, runCount: number, outBytes: number): void {
    const { buffer, byteOffset } = this.#engine.bytes
    const runs = new Uint32Array(buffer, byteOffset + this.#cursor.runs, 2 * runCount)
    let room = outBytes
    for (let run = 0; run < runCount && room > 0; run++) {
      const pages = runs[2 * run + 1] as number
      // One more than fit may be remembered: it stays queued, and is when it goes.
      record.remember(runs[2 * run] as number, pages)
      room -= SECTION_HEADER_BYTES + pages * PAGE_BYTES
    }
  }

  /** Takes the zero run at the cursor's front. */
  #zeroRun(running: boolean): SectionPlan {
    const { region, first, count } = this.#cursor
    if (running) this.#regions[region]?.record?.rememberZero(first, count)
    this.#cursor.take(count)
    setSafeUint64(this.#view, 0, count)
    return { tag: Tag.ZERO, payload: this.#scratch, payloadBytes: ZERO_PAYLOAD_BYTES, region, first }
  }

  /** Pages at the cursor's front that go into one section. */
  get #frontPages(): number {
    return Math.min(this.#cursor.count, FRAME_PAGES)
  }

  /** How many pages of the run at the front, which is not gathered, are the frame's next section; 0 is none. */
  #pagesFor(room: number, maxPages: number): number {
    if (this.#compressed !== undefined) return this.#compressed.pagesFor(this.#cursor.count, room)
    const pages = this.#frontPages
    return pages <= maxPages && SECTION_HEADER_BYTES + pages * PAGE_BYTES <= room ? pages : 0
  }

  /** The region of the run at the front. */
  get #region(): MemoryRegion {
    return this.#regions[this.#cursor.region] as MemoryRegion
  }

  /** The section of `pages` pages at the cursor's front. */
  #pages(pages = this.#frontPages): SectionPlan {
    const { region, first } = this.#cursor
    const { pages: store, byteLength } = this.#region
    const from = first * PAGE_BYTES
    const payloadBytes = Math.min(pages * PAGE_BYTES, byteLength - from)
    // Foreign pages have no place in the engine yet.
    return { tag: Tag.PAGES, payload: (store.pointer ?? -from) + from, payloadBytes, region, first }
  }

  #hasZeroPage(): boolean {
    const found = this.#scratch + ZERO_SCAN_AT
    const pages = this.#frontPages
    const runs = this.#region.pages.zeroRuns(this.#cursor.first, pages, found, 2)
    // One run, and its count without the flag of zero pages.
    return runs > 1 || this.#view.getUint32(ZERO_SCAN_AT + 4, true) !== pages
  }
}
