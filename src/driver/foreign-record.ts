/**
 * The record of pages in foreign memory: a hash per page or a shadow copy, in the space where the pages are
 * scanned.
 *
 * @module
 */

import { xxh3OfBytes } from '../engine/index.ts'
import { PAGE_BYTES } from '../format/index.ts'
import type { ForeignPages } from './foreign-pages.ts'
import { HASH_BYTES, type PageRecord, recordBytes } from './page-record.ts'

/** What the pages held when they were last sent. */
export class ForeignRecord implements PageRecord {
  readonly #pages: ForeignPages
  readonly #tracking: 'hash' | 'diff'
  readonly #bytes: number
  /** The hashes, or the shadow copy. */
  readonly #at: number

  /** ENOMEM when it does not fit. */
  constructor(pages: ForeignPages, tracking: 'hash' | 'diff') {
    this.#pages = pages
    this.#tracking = tracking
    this.#bytes = recordBytes(tracking, pages.byteLength)
    this.#at = pages.memory.allocate(pages.engine, this.#bytes)
  }

  remember(first: number, count: number): void {
    this.#pages.eachPiece(first, count, ({ space, pointer, byteLength, first: page }) => {
      const { kernels } = space
      if (this.#tracking === 'hash')
        kernels.hashPages(pointer, byteLength, PAGE_BYTES, this.#at + page * HASH_BYTES)
      else kernels.copy(this.#at + page * PAGE_BYTES, pointer, byteLength)
      return true
    })
  }

  rememberZero(first: number, count: number): void {
    const { byteLength, memory, engine } = this.#pages
    const { bytes } = memory.space(engine)
    if (this.#tracking === 'diff') {
      const from = this.#at + first * PAGE_BYTES
      bytes.fill(0, from, Math.min(from + count * PAGE_BYTES, this.#at + byteLength))
      return
    }
    const whole = Math.floor(byteLength / PAGE_BYTES)
    const hashes = new BigUint64Array(bytes.buffer, bytes.byteOffset + this.#at, this.#bytes / HASH_BYTES)
    hashes.fill(ZERO_HASH, first, Math.min(first + count, whole))
    if (first + count > whole) hashes[whole] = xxh3OfBytes(new Uint8Array(byteLength % PAGE_BYTES))
  }

  findWritten(first: number, count: number, bitmap: number): number {
    const { bitmap: work, engine } = this.#pages
    let found = 0
    this.#pages.eachLookedAt(first, count, ({ space, pointer, byteLength, first: page, count: pages }) => {
      const cells = bitmap + page / 8
      const cellBytes = Math.ceil(pages / 8)
      const { kernels, bytes } = space
      bytes.set(engine.bytes.subarray(cells, cells + cellBytes), work)
      const here =
        this.#tracking === 'hash'
          ? kernels.changedPages(pointer, byteLength, PAGE_BYTES, this.#at + page * HASH_BYTES, work)
          : kernels.diffPages(pointer, this.#at + page * PAGE_BYTES, byteLength, PAGE_BYTES, work)
      if (here > 0) engine.bytes.set(bytes.subarray(work, work + cellBytes), cells)
      found += here
      return true
    })
    return found
  }

  free(): void {
    const { memory, engine } = this.#pages
    memory.free(engine, this.#at, this.#bytes)
  }
}

const ZERO_HASH: bigint = xxh3OfBytes(new Uint8Array(PAGE_BYTES))
