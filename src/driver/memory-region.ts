/**
 * A memory region of a device: bytes in engine memory and a bit per page that says "written since".
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import { PAGE_BYTES, type RegionDeclaration } from '../format/index.ts'
import { setBits } from './dirty-bits.ts'
import type { ForeignMemory } from './foreign-memory.ts'
import { ForeignPages } from './foreign-pages.ts'
import type { PageRecord, Tracking } from './page-record.ts'
import { EnginePages, type PageStore } from './page-store.ts'

/** A region as a definition declares it. */
export interface RegionOptions extends RegionDeclaration {
  /** Default 'marked'. */
  readonly tracking?: Tracking | undefined
  /** The address at which DMA logging sees the region. */
  readonly iova?: bigint | undefined
  /** Where its pages are, when they are not in the engine; the device has taken it. */
  readonly foreign?: ForeignMemory | undefined
}

/** What a device model, and through it its user, sees of a memory region. */
export interface DeviceMemory {
  readonly byteLength: number
  /**
   * The memory itself. Whoever writes through it must {@link mark} what it wrote, unless tracking finds it.
   * Of wrapped memory a view that is taken anew: use it at once, it may be detached later.
   */
  readonly bytes: Uint8Array
  /** Copies out; EINVAL outside the region. */
  read(offset: number, dst: Uint8Array): void
  /** Copies in and marks the pages; EINVAL outside the region, EBUSY in STOP_COPY and RESUMING. */
  write(offset: number, src: Uint8Array): void
  /** Marks the pages of a written range as dirty. */
  mark(offset: number, byteLength: number): void
}

/** The region as the driver sees it: also its dirty bitmap, and its pages' record when it has one. */
export class MemoryRegion implements DeviceMemory {
  readonly name: string
  readonly byteLength: number
  readonly pageCount: number
  readonly pages: PageStore
  /** Bit n of word n / 32: page n was written since the bit was cleared. */
  readonly dirty: Uint32Array
  /** Where {@link dirty} stands in engine memory. */
  readonly dirtyPointer: number
  /** Called when a page of a region without dirty pages is marked. */
  onDirty: (() => void) | undefined
  /** Called with every marked range. */
  onMark: ((offset: number, byteLength: number) => void) | undefined
  /** What the pages held when they were last sent; none when the device marks what it writes. */
  readonly record: PageRecord | undefined
  readonly tracking: Tracking
  readonly iova: bigint | undefined
  /** A session hands out or fills this very memory: in STOP_COPY and RESUMING. */
  frozen = false
  #anyDirty = false
  readonly #engine: Engine

  /** Takes the memory, its bitmap and its record: ENOMEM when they do not fit, and nothing changed. */
  constructor(engine: Engine, options: RegionOptions) {
    const { name, byteLength, tracking = 'marked' } = options
    this.name = name
    this.tracking = tracking
    this.iova = options.iova
    this.byteLength = byteLength
    this.pageCount = Math.ceil(byteLength / PAGE_BYTES)
    this.#engine = engine
    const words = Math.ceil(this.pageCount / 32)
    this.dirtyPointer = engine.allocate(words * 4)
    let pages: PageStore | undefined
    try {
      const { foreign } = options
      this.pages = pages =
        foreign === undefined ? new EnginePages(engine, byteLength) : new ForeignPages(engine, foreign)
      if (tracking !== 'marked') this.record = pages.createRecord(tracking)
    } catch (error) {
      engine.free(this.dirtyPointer)
      pages?.free()
      throw error
    }
    const { buffer, byteOffset } = engine.bytes
    this.dirty = new Uint32Array(buffer, byteOffset + this.dirtyPointer, words)
  }

  /** Gives the memory back. */
  free(): void {
    this.record?.free()
    this.pages.free()
    this.#engine.free(this.dirtyPointer)
  }

  get bytes(): Uint8Array {
    return this.pages.bytes
  }

  read(offset: number, dst: Uint8Array): void {
    this.#check('read', offset, dst.length)
    dst.set(this.bytes.subarray(offset, offset + dst.length))
  }

  write(offset: number, src: Uint8Array): void {
    this.#check('write', offset, src.length)
    if (this.frozen)
      throw new VfioError(
        'EBUSY',
        `Cannot write memory "${this.name}": a session is moving it, leave STOP_COPY or RESUMING first`,
      )
    this.bytes.set(src, offset)
    this.mark(offset, src.length)
  }

  mark(offset: number, byteLength: number): void {
    this.#check('mark', offset, byteLength)
    if (byteLength === 0) return
    const first = Math.floor(offset / PAGE_BYTES)
    setBits(this.dirty, first, Math.floor((offset + byteLength - 1) / PAGE_BYTES) - first + 1)
    this.onMark?.(offset, byteLength)
    this.#becameDirty()
  }

  /**
   * Marks the pages, of `count` from `first` (a multiple of 8) on, whose content is not what was last sent.
   * How many: pages that are dirty already are not looked at.
   */
  markWritten(first: number, count: number): number {
    const found = this.record?.findWritten(first, count, this.dirtyPointer) ?? 0
    if (found > 0) this.#becameDirty()
    return found
  }

  /** False when no page is dirty; true says that some may be. */
  get mayBeDirty(): boolean {
    return this.#anyDirty
  }

  /** All pages are clean: forget every mark. */
  clearDirty(): void {
    if (this.#anyDirty) this.dirty.fill(0)
    this.#anyDirty = false
  }

  #becameDirty(): void {
    if (this.#anyDirty) return
    this.#anyDirty = true
    this.onDirty?.()
  }

  #check(action: string, offset: number, byteLength: number): void {
    if (
      offset >= 0 &&
      byteLength >= 0 &&
      Number.isSafeInteger(offset) &&
      offset + byteLength <= this.byteLength
    )
      return
    throw new VfioError(
      'EINVAL',
      `Cannot ${action} memory "${this.name}": ${byteLength} bytes at ${offset} pass its ${this.byteLength} bytes, stay inside`,
    )
  }
}
