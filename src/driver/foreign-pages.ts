/**
 * The pages of a region in foreign memory, worked on in pieces: in place by kernels over that memory, or
 * staged in the engine by its own.
 *
 * @module
 */

import type { Engine, KernelSpace } from '../engine/index.ts'
import { ZERO_RUN_FLAG } from '../engine/index.ts'
import { CHECKSUM_BYTES, type ChecksumKind, FRAME_BYTES, PAGE_BYTES, storeChecksum } from '../format/index.ts'
import type { ForeignMemory } from './foreign-memory.ts'
import { ForeignRecord } from './foreign-record.ts'
import type { PageRecord } from './page-record.ts'
import type { PageStore } from './page-store.ts'

/** Pages of a piece: a frame, which stays in the cache between staging and scan. */
export const PIECE_PAGES: number = FRAME_BYTES / PAGE_BYTES

/** A piece of the pages, where kernels find it. */
export interface Piece {
  readonly space: KernelSpace
  readonly pointer: number
  readonly byteLength: number
  readonly first: number
  readonly count: number
}

/** Pages of a piece that is only looked at, where it lies: fewer calls. Their bits fill {@link BITMAP_BYTES}. */
const LOOKED_AT_PAGES = 1024
const BITMAP_BYTES: number = LOOKED_AT_PAGES / 8

// Work memory of the space: runs of a piece, a bitmap of a piece, a checksum; then, staged, the piece itself.
const RUNS_AT = 0
const BITMAP_AT: number = RUNS_AT + PIECE_PAGES * 8
const CHECKSUM_AT: number = BITMAP_AT + BITMAP_BYTES
const STAGE_AT: number = CHECKSUM_AT + 64
const IN_PLACE_BYTES: number = STAGE_AT
const STAGED_BYTES: number = STAGE_AT + FRAME_BYTES

/** Engine memory that staging takes. */
export const FOREIGN_STAGING_BYTES: number = STAGED_BYTES

/** One region's pages. */
export class ForeignPages implements PageStore {
  readonly pointer = undefined
  readonly leasable: boolean
  readonly pageCount: number
  readonly byteLength: number
  readonly memory: ForeignMemory
  readonly engine: Engine
  readonly #work: number

  /** ENOMEM when the space has no room for the work memory. */
  constructor(engine: Engine, memory: ForeignMemory) {
    this.engine = engine
    this.memory = memory
    this.leasable = memory.stable
    this.byteLength = memory.byteLength
    this.pageCount = Math.ceil(memory.byteLength / PAGE_BYTES)
    this.#work = memory.allocate(engine, this.#workBytes)
  }

  get bytes(): Uint8Array {
    return this.memory.bytes
  }

  /** Where a bitmap of one piece can be worked on. */
  get bitmap(): number {
    return this.#work + BITMAP_AT
  }

  zeroRuns(firstPage: number, pageCount: number, runs: number, maxRuns: number): number {
    const { buffer, byteOffset } = this.engine.bytes
    const out = new Uint32Array(buffer, byteOffset + runs, 2 * maxRuns)
    let found = 0
    this.eachPiece(firstPage, pageCount, ({ space, pointer, byteLength, first, count }) => {
      const at = this.#work + RUNS_AT
      const some = space.kernels.zeroRuns(pointer, byteLength, PAGE_BYTES, 0, count, at, PIECE_PAGES)
      const { bytes } = space
      const part = new Uint32Array(bytes.buffer, bytes.byteOffset + at, 2 * some)
      for (let run = 0; run < some; run++) {
        const flagged = part[2 * run + 1] as number
        const last = found > 0 ? (out[2 * found - 1] as number) : 0
        // A run goes on over the border of two pieces.
        if (run === 0 && found > 0 && ((last ^ flagged) & ZERO_RUN_FLAG) === 0)
          out[2 * found - 1] = last + ((flagged & ~ZERO_RUN_FLAG) >>> 0)
        else if (found === maxRuns) return false
        else {
          out[2 * found] = first + (part[2 * run] as number)
          out[2 * found + 1] = flagged
          found++
        }
      }
      return true
    })
    return found
  }

  copyOut(offset: number, byteLength: number, dst: number): void {
    this.engine.bytes.set(this.bytes.subarray(offset, offset + byteLength), dst)
  }

  copyIn(offset: number, byteLength: number, src: number): void {
    this.bytes.set(this.engine.bytes.subarray(src, src + byteLength), offset)
  }

  storeChecksum(kind: ChecksumKind, offset: number, byteLength: number, out: number): void {
    const { pointer, space } = this.#reach(offset, byteLength)
    const at = this.#work + CHECKSUM_AT
    storeChecksum(space, kind, pointer, byteLength, at)
    this.engine.bytes.set(space.bytes.subarray(at, at + CHECKSUM_BYTES), out)
  }

  clear(offset: number, byteLength: number): void {
    const first = Math.floor(offset / PAGE_BYTES)
    const pages = Math.ceil((offset + byteLength) / PAGE_BYTES) - first
    this.eachPiece(first, pages, ({ space, pointer, byteLength: bytes, first: piece, count }) => {
      if (space.kernels.zeroPages(pointer, bytes, PAGE_BYTES, this.bitmap) === count) return true
      const from = piece * PAGE_BYTES
      this.bytes.fill(0, Math.max(from, offset), Math.min(from + bytes, offset + byteLength))
      return true
    })
  }

  createRecord(tracking: 'hash' | 'diff'): PageRecord {
    return new ForeignRecord(this, tracking)
  }

  free(): void {
    this.memory.free(this.engine, this.#work, this.#workBytes)
  }

  /** Calls `work` for the pages in order, piece by piece, until it returns false. */
  eachPiece(
    first: number,
    count: number,
    work: (piece: Piece) => boolean,
    piecePages: number = PIECE_PAGES,
  ): void {
    for (let page = first; page < first + count; page += piecePages) {
      const pages = Math.min(piecePages, first + count - page)
      const from = page * PAGE_BYTES
      const byteLength = Math.min(pages * PAGE_BYTES, this.byteLength - from)
      if (!work({ ...this.#reach(from, byteLength), byteLength, first: page, count: pages })) return
    }
  }

  /** As {@link eachPiece}, in pieces as long as a bitmap is: for work that needs no more room than that. */
  eachLookedAt(first: number, count: number, work: (piece: Piece) => boolean): void {
    this.eachPiece(first, count, work, this.memory.inPlace ? LOOKED_AT_PAGES : PIECE_PAGES)
  }

  get #workBytes(): number {
    return this.memory.inPlace ? IN_PLACE_BYTES : STAGED_BYTES
  }

  /** At most a frame's bytes, where the kernels of their space can read them. */
  #reach(offset: number, byteLength: number): { space: KernelSpace; pointer: number } {
    const { memory, engine } = this
    const space = memory.space(engine)
    if (memory.inPlace) return { space, pointer: memory.byteOffset + offset }
    const pointer = this.#work + STAGE_AT
    this.copyOut(offset, byteLength, pointer)
    return { space, pointer }
  }
}
