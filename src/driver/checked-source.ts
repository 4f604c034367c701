/**
 * The checked saving session of a defined device: device memory and packed registers become spans
 * of the checked stream, handed out where they lie.
 *
 * In STOP_COPY a page's span is device memory itself. In PRE_COPY the device still writes, so a run
 * is copied into a frame first, and its dirty bit is cleared before the copy: a write after that is
 * sent again, and no checksum can be wrong.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import {
  type ChecksumKind,
  FRAME_BYTES,
  PAGE_BYTES,
  StreamWriter,
  Tag,
  ZERO_PAYLOAD_BYTES,
} from '../format/index.ts'
import type { PrecopyInfo, SaveEnd } from '../session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../uapi/index.ts'
import { BITMAP_PAGES, type MemoryRegion } from './memory-region.ts'
import { PageCursor, type PageRun } from './page-runs.ts'
import { closingBytes, openingBytes, plannedPageBytes, runBytes } from './stream-length.ts'

/** Frames that PRE_COPY copies into; all of them leased out is EAGAIN. */
const FRAME_COUNT = 4

/** What the source needs of its device. */
export interface CheckedSourceOptions {
  readonly engine: Engine
  readonly checksum: ChecksumKind
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
}

/** Bytes of the stream, and the frame that must stay untouched until they are released. */
interface Span {
  readonly bytes: Uint8Array
  readonly frame: number | undefined
  taken: number
  leases: number
}

/** The driver's side of a saving session. */
export class CheckedSource implements SaveEnd {
  readonly direction = 'save'
  readonly #options: CheckedSourceOptions
  readonly #engine: Engine
  readonly #writer: StreamWriter
  /** One allocation: scan bitmap, work bytes, state snapshot, configuration, frames. */
  readonly #block: number
  readonly #state: number
  readonly #frames: readonly number[]
  readonly #freeFrames: number[]
  readonly #cursor: PageCursor
  readonly #spans: Span[] = []
  readonly #leased: Span[] = []
  #stage: 'header' | 'pages' | 'state' | 'done' = 'header'
  #stateSent = 0
  #running: boolean
  /** True once a run was cut that is not of the first pass. */
  #resending = false
  #ended = false
  #wake: () => void = () => {}

  /** ENOMEM when the engine has no room for the frames and the state snapshot. */
  constructor(options: CheckedSourceOptions) {
    const { engine, regions, stateBytes, configuration } = options
    this.#options = options
    this.#engine = engine
    this.#running = options.running
    const memoryBytes = regions.reduce((total, region) => total + region.byteLength, 0)
    const frameBytes = Math.min(FRAME_BYTES, Math.ceil(memoryBytes / PAGE_BYTES) * PAGE_BYTES)
    const frameCount = options.running && memoryBytes > 0 ? FRAME_COUNT : 0
    const fixed = align(WORK_BYTES + stateBytes) + align(configuration.length)
    this.#writer = new StreamWriter(engine, { ...options, opaque: false })
    try {
      this.#block = engine.allocate(fixed + frameCount * frameBytes)
    } catch (error) {
      this.#writer.dispose()
      throw error
    }
    this.#state = this.#block + WORK_BYTES
    this.#frames = Array.from({ length: frameCount }, (_, index) => this.#block + fixed + index * frameBytes)
    this.#freeFrames = [...this.#frames]
    for (const region of regions) region.clearDirty()
    this.#cursor = new PageCursor(engine, regions, this.#block)
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

  /** The device has stopped and its state is packed: what is left can be told now. */
  enterStopCopy(): void {
    this.#running = false
    this.#freeze(true)
    this.#wake()
  }

  /** Bytes that the session would still deliver if STOP_COPY were entered now. */
  get remainingBytes(): number {
    const queued = this.#queuedBytes + this.#headerBytes
    if (this.#stage === 'done') return queued
    const { regions, stateBytes } = this.#options
    const planned = plannedPageBytes(this.#cursor, regions)
    return queued + planned.initial + planned.dirty + closingBytes(stateBytes - this.#stateSent)
  }

  attach(wake: () => void): void {
    this.#wake = wake
    for (const region of this.#options.regions) region.onDirty = wake
  }

  poll(): number {
    if (this.#spans.length > 0 || this.#stage === 'header') return READABLE
    // The permanent end is readable too: a read answers 0 at once.
    if (!this.#running) return READABLE
    if (this.#freeFrames.length === 0 && this.#frames.length > 0) return 0
    if (this.#cursor.initial || this.#cursor.dirty) return READABLE
    // Who sees nothing waits for the wake that only a first mark gives.
    for (const region of this.#options.regions) region.clearDirty()
    return 0
  }

  precopyInfo(): PrecopyInfo {
    const { initial, dirty } = plannedPageBytes(this.#cursor, this.#options.regions)
    // What is queued is of the first pass until a dirty run was cut.
    const queued = this.#queuedBytes
    return {
      initialBytes: this.#headerBytes + initial + (this.#resending ? 0 : queued),
      dirtyBytes: dirty + (this.#resending ? queued : 0),
      reinit: false,
    }
  }

  read(dst: Uint8Array): number {
    let filled = 0
    while (filled < dst.length) {
      const span = this.#front(filled === 0)
      if (span === undefined) break
      const bytes = span.bytes.subarray(span.taken, span.taken + dst.length - filled)
      dst.set(bytes, filled)
      filled += bytes.length
      this.#take(span, bytes.length)
    }
    return filled
  }

  lease(maxBytes: number): Uint8Array {
    const span = this.#front(true)
    if (span === undefined) return new Uint8Array(0)
    const bytes = span.bytes.subarray(span.taken, span.taken + maxBytes)
    span.leases++
    this.#leased.push(span)
    this.#take(span, bytes.length)
    return bytes
  }

  release(): void {
    const span = this.#leased.shift()
    if (span === undefined) return
    span.leases--
    this.#settle(span)
    if (this.#ended && this.#leased.length === 0) this.#free()
  }

  end(): void {
    this.#ended = true
    this.#spans.length = 0
    this.#freeze(false)
    for (const region of this.#options.regions) region.onDirty = undefined
    if (this.#leased.length === 0) this.#free()
    else abandoned.register(this, this.#memory, this)
  }

  get #queuedBytes(): number {
    return this.#spans.reduce((total, span) => total + span.bytes.length - span.taken, 0)
  }

  get #headerBytes(): number {
    return this.#stage === 'header' ? openingBytes(this.#options.configuration.length) : 0
  }

  /** The span that comes next; EAGAIN (only when `must`) while all frames are out. */
  #front(must: boolean): Span | undefined {
    while (this.#spans.length === 0) {
      if (
        this.#running &&
        this.#stage === 'pages' &&
        this.#frames.length > 0 &&
        this.#freeFrames.length === 0
      ) {
        if (!must) return undefined
        throw new VfioError('EAGAIN', 'Cannot read migration data: all frames are leased out, release one')
      }
      if (!this.#produce()) return undefined
    }
    return this.#spans[0]
  }

  #take(span: Span, byteLength: number): void {
    span.taken += byteLength
    if (span.taken < span.bytes.length) return
    this.#spans.shift()
    this.#settle(span)
  }

  #settle(span: Span): void {
    if (span.frame === undefined || span.leases > 0 || span.taken < span.bytes.length) return
    this.#freeFrames.push(span.frame)
    this.#wake()
  }

  /** Appends the next section to the queue; false when there is nothing to send now. */
  #produce(): boolean {
    if (this.#stage === 'header') {
      this.#stage = 'pages'
      const { configuration } = this.#options
      const payload = this.#block + align(WORK_BYTES + this.#options.stateBytes)
      this.#push(this.#writer.header())
      this.#section(Tag.CONFIG, payload, configuration.length)
      return true
    }
    if (this.#stage === 'pages') {
      this.#resending = !this.#cursor.initial
      const run = this.#cursor.next()
      if (run !== undefined) {
        this.#pages(run)
        return true
      }
      if (this.#running) {
        for (const region of this.#options.regions) region.clearDirty()
        return false
      }
      this.#stage = 'state'
    }
    if (this.#stage === 'state') {
      const first = this.#stateSent
      const bytes = Math.min(FRAME_BYTES, this.#options.stateBytes - first)
      if (bytes > 0) {
        this.#stateSent += bytes
        this.#section(Tag.STATE, this.#state + first, bytes, { first })
        return true
      }
      this.#stage = 'done'
      this.#push(this.#writer.end())
      return true
    }
    return false
  }

  #pages(run: PageRun): void {
    const { region: index, first, count, zero } = run
    const region = this.#options.regions[index] as MemoryRegion
    if (zero) {
      const view = new DataView(
        this.#engine.bytes.buffer,
        this.#engine.bytes.byteOffset + this.#block + ZERO_AT,
        8,
      )
      view.setUint32(0, count, true)
      view.setUint32(4, 0, true)
      const payload = this.#block + ZERO_AT
      this.#push(
        this.#writer.section({
          tag: Tag.ZERO,
          payload,
          payloadBytes: ZERO_PAYLOAD_BYTES,
          region: index,
          first,
        }),
      )
      this.#push(this.#engine.bytes.slice(payload, payload + ZERO_PAYLOAD_BYTES))
      return
    }
    const src = region.pointer + first * PAGE_BYTES
    const bytes = runBytes(run, region)
    if (!this.#running) {
      this.#section(Tag.PAGES, src, bytes, { region: index, first })
      return
    }
    const frame = this.#freeFrames.pop() as number
    this.#engine.kernels.copy(frame, src, bytes)
    this.#section(Tag.PAGES, frame, bytes, { region: index, first, frame })
  }

  #section(
    tag: number,
    payload: number,
    payloadBytes: number,
    options: { region?: number; first?: number; frame?: number } = {},
  ): void {
    const { frame, ...place } = options
    this.#push(this.#writer.section({ tag, payload, payloadBytes, ...place }))
    this.#push(this.#engine.bytes.subarray(payload, payload + payloadBytes), frame)
  }

  #push(bytes: Uint8Array, frame?: number): void {
    this.#spans.push({ bytes, frame, taken: 0, leases: 0 })
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
const ZERO_AT = BITMAP_PAGES / 8
const WORK_BYTES = align(ZERO_AT + ZERO_PAYLOAD_BYTES)

function align(byteLength: number): number {
  return Math.ceil(byteLength / 64) * 64
}
