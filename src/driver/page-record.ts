/**
 * What a region's pages held when they were last sent, so that a write nobody marked is found: a hash per
 * page, or a shadow copy.
 *
 * A page goes on record when it is *sent*, never when it is found written: content that changes back
 * after it was sent is different from the record, and the page is sent again.
 *
 * @module
 */

import { type Engine, xxh3OfBytes } from '../engine/index.ts'
import { PAGE_BYTES } from '../format/index.ts'
import { BITMAP_PAGES, clearMemory } from './clear-memory.ts'

/**
 * How the pages that a device wrote are found.
 *
 * - `'marked'`: the device marks what it writes. Costs nothing.
 * - `'hash'`: by XXH3-64 of each page, 8 bytes of engine memory per page. Two contents of a page with one
 *   hash (one in 2^64, but for someone who builds them) are taken for the same.
 * - `'diff'`: against a shadow copy, which doubles the region's memory. Exact.
 */
export type Tracking = 'marked' | 'hash' | 'diff'

/** All of them. */
export const TRACKINGS: readonly Tracking[] = ['marked', 'hash', 'diff']

/** Engine memory that holds pages. */
export interface PageRange {
  readonly pointer: number
  readonly byteLength: number
  readonly pageCount: number
}

/** Content of pages on record; it means nothing before a page was remembered. */
export interface PageRecord {
  /** Puts the present content of `count` pages from `first` on record. */
  remember(first: number, count: number): void
  /** Puts zeros on record. */
  rememberZero(first: number, count: number): void
  /**
   * Sets the bits of the pages, of `count` from `first` (a multiple of 8) on, whose content is not on
   * record, in the bitmap at `bitmap` (bit 0 is the region's first page); how many. A page whose bit is
   * set is not looked at.
   */
  findWritten(first: number, count: number, bitmap: number): number
  free(): void
}

/** Engine memory that a record of a region takes, bytes. */
export function recordBytes(tracking: Tracking, byteLength: number): number {
  if (tracking === 'marked') return 0
  return tracking === 'diff' ? byteLength : Math.ceil(byteLength / PAGE_BYTES) * HASH_BYTES
}

/** A record of `pages`; ENOMEM when it does not fit, and nothing changed. */
export function createPageRecord(engine: Engine, tracking: 'hash' | 'diff', pages: PageRange): PageRecord {
  return tracking === 'hash' ? new HashRecord(engine, pages) : new ShadowRecord(engine, pages)
}

/** Bytes of a page's hash. */
export const HASH_BYTES = 8

/** Bytes of `count` pages from `first` on: the last page may be short. */
function pagesBytes(pages: PageRange, first: number, count: number): number {
  return Math.min(count * PAGE_BYTES, pages.byteLength - first * PAGE_BYTES)
}

class HashRecord implements PageRecord {
  readonly #engine: Engine
  readonly #pages: PageRange
  readonly #table: number
  readonly #hashes: BigUint64Array
  readonly #zeroHash: bigint = xxh3OfBytes(new Uint8Array(PAGE_BYTES))

  constructor(engine: Engine, pages: PageRange) {
    this.#engine = engine
    this.#pages = pages
    this.#table = engine.allocate(pages.pageCount * HASH_BYTES)
    const { buffer, byteOffset } = engine.bytes
    this.#hashes = new BigUint64Array(buffer, byteOffset + this.#table, pages.pageCount)
  }

  remember(first: number, count: number): void {
    const byteLength = pagesBytes(this.#pages, first, count)
    const src = this.#pages.pointer + first * PAGE_BYTES
    this.#engine.kernels.hashPages(src, byteLength, PAGE_BYTES, this.#table + first * HASH_BYTES)
  }

  rememberZero(first: number, count: number): void {
    const { byteLength } = this.#pages
    const whole = Math.floor(byteLength / PAGE_BYTES)
    this.#hashes.fill(this.#zeroHash, first, Math.min(first + count, whole))
    if (first + count > whole) this.#hashes[whole] = xxh3OfBytes(new Uint8Array(byteLength % PAGE_BYTES))
  }

  findWritten(first: number, count: number, bitmap: number): number {
    const byteLength = pagesBytes(this.#pages, first, count)
    const src = this.#pages.pointer + first * PAGE_BYTES
    const table = this.#table + first * HASH_BYTES
    return this.#engine.kernels.changedPages(src, byteLength, PAGE_BYTES, table, bitmap + first / 8)
  }

  free(): void {
    this.#engine.free(this.#table)
  }
}

class ShadowRecord implements PageRecord {
  readonly #engine: Engine
  readonly #pages: PageRange
  readonly #shadow: number
  readonly #scan: number

  constructor(engine: Engine, pages: PageRange) {
    this.#engine = engine
    this.#pages = pages
    this.#shadow = engine.allocate(pages.byteLength, PAGE_BYTES)
    try {
      this.#scan = engine.allocate(BITMAP_PAGES / 8)
    } catch (error) {
      engine.free(this.#shadow)
      throw error
    }
  }

  remember(first: number, count: number): void {
    const from = first * PAGE_BYTES
    const byteLength = pagesBytes(this.#pages, first, count)
    this.#engine.kernels.copy(this.#shadow + from, this.#pages.pointer + from, byteLength)
  }

  rememberZero(first: number, count: number): void {
    const byteLength = pagesBytes(this.#pages, first, count)
    clearMemory(this.#engine, this.#shadow + first * PAGE_BYTES, byteLength, this.#scan)
  }

  findWritten(first: number, count: number, bitmap: number): number {
    const from = first * PAGE_BYTES
    const byteLength = pagesBytes(this.#pages, first, count)
    const { kernels } = this.#engine
    const { pointer } = this.#pages
    return kernels.diffPages(pointer + from, this.#shadow + from, byteLength, PAGE_BYTES, bitmap + first / 8)
  }

  free(): void {
    this.#engine.free(this.#shadow)
    this.#engine.free(this.#scan)
  }
}
