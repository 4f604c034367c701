/**
 * Where the pages of a region lie, and what is done with them there.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { type ChecksumKind, PAGE_BYTES } from '../format/index.ts'
import { clearMemory } from './clear-memory.ts'
import { createPageRecord, type PageRecord } from './page-record.ts'

/** The pages of one region. Offsets and lengths are in bytes of the region, pointers are the engine's. */
export interface PageStore {
  /** Where they lie in the engine's memory; undefined when they lie outside it. */
  readonly pointer: number | undefined
  /** The pages; of foreign memory a view taken anew, which must not be held across an await. */
  readonly bytes: Uint8Array
  /** Whether a stopped device's pages may be handed out where they lie. */
  readonly leasable: boolean
  /** As the kernel of that name. */
  zeroRuns(firstPage: number, pageCount: number, runs: number, maxRuns: number): number
  /** Copies a range to the engine's memory. */
  copyOut(offset: number, byteLength: number, dst: number): void
  /** Copies a range from the engine's memory. */
  copyIn(offset: number, byteLength: number, src: number): void
  /** Stores the checksum of at most a frame's bytes at `out`, where the pages are not in the engine. */
  storeChecksum(kind: ChecksumKind, offset: number, byteLength: number, out: number): void
  /** Zeroes a range without touching pages that are zero; `bitmap` is for a scan of the engine's pages. */
  clear(offset: number, byteLength: number, bitmap: number): void
  /** ENOMEM when it does not fit, and nothing changed. */
  createRecord(tracking: 'hash' | 'diff'): PageRecord
  free(): void
}

/** Pages in the engine's memory. */
export class EnginePages implements PageStore {
  readonly pointer: number
  readonly bytes: Uint8Array
  readonly leasable = true
  readonly #engine: Engine
  readonly #byteLength: number

  /** ENOMEM when they do not fit. */
  constructor(engine: Engine, byteLength: number) {
    this.#engine = engine
    this.#byteLength = byteLength
    this.pointer = engine.allocate(byteLength, PAGE_BYTES)
    this.bytes = new Uint8Array(engine.bytes.buffer, engine.bytes.byteOffset + this.pointer, byteLength)
  }

  zeroRuns(firstPage: number, pageCount: number, runs: number, maxRuns: number): number {
    const { pointer } = this
    const { kernels } = this.#engine
    return kernels.zeroRuns(pointer, this.#byteLength, PAGE_BYTES, firstPage, pageCount, runs, maxRuns)
  }

  copyOut(offset: number, byteLength: number, dst: number): void {
    this.#engine.kernels.copy(dst, this.pointer + offset, byteLength)
  }

  copyIn(offset: number, byteLength: number, src: number): void {
    this.#engine.kernels.copy(this.pointer + offset, src, byteLength)
  }

  storeChecksum(): void {}

  clear(offset: number, byteLength: number, bitmap: number): void {
    clearMemory(this.#engine, this.pointer + offset, byteLength, bitmap)
  }

  createRecord(tracking: 'hash' | 'diff'): PageRecord {
    const byteLength = this.#byteLength
    const pages = { pointer: this.pointer, byteLength, pageCount: Math.ceil(byteLength / PAGE_BYTES) }
    return createPageRecord(this.#engine, tracking, pages)
  }

  free(): void {
    this.#engine.free(this.pointer)
  }
}
