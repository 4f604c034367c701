/**
 * The checked saving session of a defined device: device memory and packed registers become spans
 * of the checked stream, handed out where they lie.
 *
 * In STOP_COPY a run of pages is a span of device memory itself, after one pass for its checksum. In
 * PRE_COPY the device still writes, so runs are copied into a frame with their section headers, and their
 * dirty bits are cleared before the copy: a write after that is sent again, and no checksum can be wrong.
 * Short runs, scattered over memory, go through a frame in STOP_COPY too: a copy of 4 KiB costs less than
 * handing it out by itself. With compression all pages go through frames; else, with a worker, the checksums
 * of the next sections in place are computed there.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import {
  type ChecksumKind,
  FRAME_BYTES,
  PAGE_BYTES,
  SECTION_HEADER_BYTES,
  type SectionPlan,
  StreamWriter,
  Tag,
} from '../format/index.ts'
import type { PrecopyInfo, SaveEnd, SessionWorker } from '../session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../uapi/index.ts'
import { attachWorker } from './attach-worker.ts'
import { CompressedFrames, type Compression, STAGING_BYTES } from './compressed-frames.ts'
import { ContentSweep } from './content-sweep.ts'
import type { MemoryRegion } from './memory-region.ts'
import { CURSOR_BYTES, FRAME_PAGES, PageCursor } from './page-runs.ts'
import { PAGE_SECTIONS_BYTES, PageSections } from './page-sections.ts'
import { SectionsAhead } from './sections-ahead.ts'
import { SpanQueue } from './span-queue.ts'
import { PlannedPages } from './planned-pages.ts'
import { closingBytes, openingBytes } from './stream-length.ts'

/**
 * Frames that sections are copied into, two writes of a transport; in PRE_COPY, and with compression or
 * foreign pages in STOP_COPY too, all of them leased out is EAGAIN.
 */
const FRAME_COUNT = 8

/** What the source needs of its device. */
export interface CheckedSourceOptions {
  readonly engine: Engine
  readonly checksum: ChecksumKind
  readonly compression: Compression
  readonly deviceType: string
  readonly deviceVersion: number
  readonly fingerprint: Uint8Array
  /** The encoded configuration. */
  readonly configuration: Uint8Array
  readonly regions: readonly MemoryRegion[]
  /** Bytes of packed state. */
  readonly stateBytes: number
  /** True when the device goes on running while the session is read (PRE_COPY). */
  readonly running: boolean
  /** Called at the end with what settles when no other thread reads the device's memory any more. */
  readonly onRelease: (released: Promise<void> | undefined) => void
}

/** The driver's side of a saving session. */
export class CheckedSource implements SaveEnd {
  readonly direction = 'save'
  readonly #options: CheckedSourceOptions
  readonly #engine: Engine
  readonly #writer: StreamWriter
  /** One allocation: work bytes, state snapshot, configuration, frames. */
  readonly #block: number
  readonly #state: number
  readonly #frames: readonly number[]
  readonly #freeFrames: number[]
  readonly #frameBytes: number
  readonly #cursor: PageCursor
  readonly #planned: PlannedPages
  readonly #sections: PageSections
  readonly #compressing: boolean
  /** Whether pages go through frames in STOP_COPY, too: compressed ones, and foreign ones that may change. */
  readonly #framing: boolean
  readonly #sweep: ContentSweep
  readonly #spans: SpanQueue = new SpanQueue((frame) => {
    this.#freeFrames.push(frame)
    this.#wake()
  })
  #stage: 'header' | 'pages' | 'state' | 'done' = 'header'
  #stateSent = 0
  #running: boolean
  /** True once a run was cut that is not of the first pass. */
  #resending = false
  #ended = false
  #wake: () => void = () => {}
  #ahead: SectionsAhead | undefined
  #awaitsAhead = false

  /** ENOMEM when the engine has no room for the frames and the state snapshot. */
  constructor(options: CheckedSourceOptions) {
    const { engine, regions, stateBytes, configuration, compression, running, checksum } = options
    this.#options = options
    this.#engine = engine
    this.#running = running
    const pages = regions.reduce((total, region) => total + region.pageCount, 0)
    // Room for every page by itself, or for the longest run.
    const frameBytes = align(
      Math.min(SECTION_HEADER_BYTES + FRAME_BYTES, pages * (SECTION_HEADER_BYTES + PAGE_BYTES)),
    )
    this.#compressing = compression === 'lz4' && pages > 0
    this.#framing =
      this.#compressing || regions.some((region) => region.pageCount > 0 && !region.pages.leasable)
    const frameCount =
      (running && pages > 0) || this.#framing ? Math.min(FRAME_COUNT, 1 + Math.ceil(pages / FRAME_PAGES)) : 0
    const isStaged = running || regions.some((region) => region.pages.pointer === undefined)
    const stagingBytes = this.#compressing && isStaged ? Math.min(STAGING_BYTES, frameBytes) : 0
    const fixed = align(WORK_BYTES + stateBytes) + align(configuration.length)
    this.#writer = new StreamWriter(engine, { ...options, opaque: false })
    try {
      this.#block = engine.allocate(fixed + frameCount * frameBytes + stagingBytes)
    } catch (error) {
      this.#writer.dispose()
      throw error
    }
    this.#state = this.#block + WORK_BYTES
    this.#frameBytes = frameBytes
    this.#frames = Array.from({ length: frameCount }, (_, index) => this.#block + fixed + index * frameBytes)
    this.#freeFrames = [...this.#frames]
    for (const region of regions) region.clearDirty()
    this.#cursor = new PageCursor(engine, regions, this.#block + CURSOR_AT)
    this.#planned = new PlannedPages(this.#cursor, regions, this.#block + DRY_CURSOR_AT)
    // What goes on record is looked at before: a copy that is taken back would be there already.
    this.#cursor.mayTrust =
      running && !this.#compressing && regions.every(({ record }) => record === undefined)
    this.#sections = new PageSections(engine, this.#writer, this.#cursor, {
      regions,
      checksum,
      scratch: this.#block,
      compressed: this.#compressing
        ? new CompressedFrames(engine, this.#writer, this.#block + fixed + frameCount * frameBytes)
        : undefined,
    })
    this.#sweep = new ContentSweep(regions, this.#cursor)
    engine.bytes.set(configuration, this.#block + align(WORK_BYTES + stateBytes))
  }

  /** True once the session ended: its memory may be someone else's. */
  get ended(): boolean {
    return this.#ended
  }

  /** Where the packed state goes before {@link enterStopCopy}. */
  get statePointer(): number {
    return this.#state
  }

  /** The device has stopped: finds what it wrote without marking it, and lets nobody write any more. */
  async findUnmarked(): Promise<void> {
    this.#freeze(true)
    this.#cursor.recheckZeroRuns()
    await this.#sweep.finish()
  }

  /** The device has stopped and its state is packed: what is left can be told now. */
  enterStopCopy(): void {
    this.#running = false
    // A compressed section cannot be taken back for a zero page found late: its pages are looked at before.
    this.#cursor.mayTrust = !this.#compressing
    this.#freeze(true)
    this.#wake()
  }

  /** Bytes that the session would still deliver if STOP_COPY were entered now. */
  get remainingBytes(): number {
    const queued = this.#spans.byteLength + this.#headerBytes + (this.#ahead?.byteLength ?? 0)
    if (this.#stage === 'done') return queued
    const { stateBytes } = this.#options
    const planned = this.#planned.bytes
    return queued + planned.initial + planned.dirty + closingBytes(stateBytes - this.#stateSent)
  }

  attach(wake: () => void): void {
    this.#wake = wake
    for (const region of this.#options.regions) region.onDirty = wake
  }

  async attachWorker(worker: SessionWorker): Promise<void> {
    const { engine, checksum } = this.#options
    const usable = (): boolean => !this.#ended && !this.#compressing && this.#ahead === undefined
    const take = (): SectionPlan | undefined => {
      this.#planned.forget()
      return this.#sections.takeInPlace()
    }
    await attachWorker(worker, engine, usable, (jobs) => {
      this.#ahead = new SectionsAhead(engine, jobs, checksum, take)
    })
  }

  poll(): number {
    if (!this.#spans.empty || this.#stage === 'header') return READABLE
    if (this.#waiting) {
      if (!this.#awaitsAhead) void this.#awaitAhead()
      return 0
    }
    // The permanent end is readable too: a read answers 0 at once.
    if (!this.#running) return this.#outOfFrames ? 0 : READABLE
    if (this.#outOfFrames) return 0
    if (!this.#cursor.exhausted) return READABLE
    // Who sees nothing waits for the wake that only a first mark gives.
    for (const region of this.#options.regions) region.clearDirty()
    this.#sweep.search()
    return 0
  }

  precopyInfo(): PrecopyInfo {
    const { initial, dirty } = this.#planned.bytes
    // What is queued is of the first pass until a dirty run was cut.
    const queued = this.#spans.byteLength
    return {
      initialBytes: this.#headerBytes + initial + (this.#resending ? 0 : queued),
      dirtyBytes: dirty + (this.#resending ? queued : 0),
      reinit: false,
    }
  }

  read(dst: Uint8Array): number {
    let filled = 0
    while (filled < dst.length && this.#fill(filled === 0)) filled += this.#spans.read(dst, filled)
    return filled
  }

  lease(maxBytes: number): Uint8Array {
    this.#fill(true)
    return this.#spans.lease(maxBytes)
  }

  release(): void {
    const out = this.#spans.leased
    this.#spans.release()
    if (out && this.#ended && !this.#spans.leased) this.#free()
  }

  end(): void {
    this.#ended = true
    this.#sweep.stop()
    this.#spans.drop()
    this.#freeze(false)
    this.#options.onRelease(this.#ahead?.end())
    for (const region of this.#options.regions) region.onDirty = undefined
    if (!this.#spans.leased) this.#free()
    else abandoned.register(this, this.#memory, this)
  }

  /** Whether the next pages need a frame and all are leased out; only asked while pages are sent. */
  get #outOfFrames(): boolean {
    if (this.#freeFrames.length > 0 || this.#frames.length === 0) return false
    return this.#running || (this.#framing && !this.#cursor.exhausted)
  }

  get #headerBytes(): number {
    return this.#stage === 'header' ? openingBytes(this.#options.configuration.length) : 0
  }

  /** Whether there is something to take; EAGAIN (only when `must`) while all frames are out. */
  #fill(must: boolean): boolean {
    while (this.#spans.empty) {
      if (this.#stage === 'pages' && this.#outOfFrames) {
        if (!must) return false
        throw new VfioError('EAGAIN', 'Cannot read migration data: all frames are leased out, release one')
      }
      if (this.#waiting) {
        if (!must) return false
        throw new VfioError(
          'EAGAIN',
          'Cannot read migration data: its checksum is under way, wait for POLLIN',
        )
      }
      if (!this.#produce()) return false
    }
    return true
  }

  /** Whether the next section's checksum is under way on a worker. */
  get #waiting(): boolean {
    return !this.#running && this.#stage === 'pages' && (this.#ahead?.waiting ?? false)
  }

  async #awaitAhead(): Promise<void> {
    this.#awaitsAhead = true
    await this.#ahead?.ready()
    this.#awaitsAhead = false
    this.#wake()
  }

  /** Appends the next section to the queue; false when there is nothing to send now. */
  #produce(): boolean {
    if (this.#stage === 'header') {
      this.#stage = 'pages'
      const { configuration } = this.#options
      const payload = this.#block + align(WORK_BYTES + this.#options.stateBytes)
      this.#spans.push(this.#writer.header())
      this.#section(Tag.CONFIG, payload, configuration.length)
      return true
    }
    if (this.#stage === 'pages') {
      const prepared = this.#ahead?.next()
      if (prepared !== undefined) {
        const { plan, checksum } = prepared
        this.#spans.push(this.#writer.section(plan, checksum))
        this.#spans.push(this.#engine.bytes.subarray(plan.payload, plan.payload + plan.payloadBytes))
        return true
      }
      if (this.#cursor.fill()) {
        this.#resending = !this.#cursor.initial
        this.#pages()
        return true
      }
      if (this.#running) {
        for (const region of this.#options.regions) region.clearDirty()
        return this.#sweep.step() && this.#produce()
      }
      this.#stage = 'state'
    }
    if (this.#stage === 'state') {
      const first = this.#stateSent
      const bytes = Math.min(FRAME_BYTES, this.#options.stateBytes - first)
      if (bytes > 0) {
        this.#stateSent += bytes
        this.#section(Tag.STATE, this.#state + first, bytes, first)
        return true
      }
      this.#stage = 'done'
      this.#spans.push(this.#writer.end())
      return true
    }
    return false
  }

  /** Sends what is at the cursor's front: a frame of copied sections, or one section in place. */
  #pages(): void {
    this.#planned.forget()
    const sections = this.#sections
    const isCopied = this.#running || this.#compressing || sections.mustCopy
    if (isCopied || (sections.scattered && this.#freeFrames.length > 0)) {
      const frame = this.#freeFrames.pop() as number
      const used = sections.fill(frame, this.#frameBytes, this.#running)
      this.#spans.push(this.#engine.bytes.subarray(frame, frame + used), frame)
      return
    }
    const { header, payload } = sections.next()
    this.#spans.push(header)
    this.#spans.push(payload)
  }

  #section(tag: number, payload: number, payloadBytes: number, first = 0): void {
    this.#spans.push(this.#writer.section({ tag, payload, payloadBytes, first }))
    this.#spans.push(this.#engine.bytes.subarray(payload, payload + payloadBytes))
  }

  #freeze(frozen: boolean): void {
    for (const region of this.#options.regions) region.frozen = frozen
  }

  #free(): void {
    abandoned.unregister(this)
    freeMemory(this.#memory)
  }

  get #memory(): SourceMemory {
    return { engine: this.#engine, writer: this.#writer, block: this.#block }
  }
}

interface SourceMemory {
  readonly engine: Engine
  readonly writer: StreamWriter
  readonly block: number
}

function freeMemory({ engine, writer, block }: SourceMemory): void {
  writer.dispose()
  engine.free(block)
}

/** Sessions that ended with leases out and were dropped without a release. */
const abandoned = new FinalizationRegistry<SourceMemory>(freeMemory)

const READABLE: number = POLLIN | POLLRDNORM
// The block: what page sections need, the cursor, the cursor of dry runs.
const CURSOR_AT = PAGE_SECTIONS_BYTES
const DRY_CURSOR_AT = CURSOR_AT + CURSOR_BYTES
const WORK_BYTES = align(DRY_CURSOR_AT + CURSOR_BYTES)

function align(byteLength: number): number {
  return Math.ceil(byteLength / 64) * 64
}
