/**
 * The bitmap of a DMA logging REPORT: dirty ranges of any granularity in, bits of the caller's page size
 * out (facts A.6).
 *
 * Bit n stands for the page at iova + n * pageSize and is bit n % 8 of byte n / 8. A device page larger
 * than the caller's sets every bit it covers; smaller ones are OR-ed.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { dmaBitmapByteLength } from '../uapi/dma-logging.ts'
import type { DmaRange } from './driver.ts'
import { PageBits } from './page-bits.ts'

/** Collects one report, apart from the caller's memory until it is complete. */
export class DirtyBitmap {
  readonly #iova: bigint
  readonly #end: bigint
  readonly #pageSize: bigint
  readonly #bits: PageBits

  /** @throws {@link VfioError} ENOMEM when the bitmap does not fit */
  constructor(range: DmaRange, pageSize: bigint) {
    this.#iova = range.iova
    this.#end = range.iova + range.length
    this.#pageSize = pageSize
    const byteLength = dmaBitmapByteLength(range.length, pageSize)
    try {
      this.#bits = new PageBits(byteLength)
    } catch (cause) {
      throw new VfioError('ENOMEM', `Cannot report dirty pages: no ${byteLength} bytes, report less`, {
        syscall: 'ioctl',
        cause,
      })
    }
  }

  /** Marks what of `dirty` lies inside the report's range. */
  mark(dirty: DmaRange): void {
    const start = dirty.iova > this.#iova ? dirty.iova : this.#iova
    const dirtyEnd = dirty.iova + dirty.length
    const end = dirtyEnd < this.#end ? dirtyEnd : this.#end
    if (start >= end) return
    const first = Number((start - this.#iova) / this.#pageSize)
    const last = Number((end - 1n - this.#iova) / this.#pageSize)
    this.#bits.set(first, last + 1)
  }

  /** Sets the collected bits in `dst`, and clears none. */
  orInto(dst: Uint8Array): void {
    const { bytes } = this.#bits
    for (let i = 0; i < bytes.length; i++) dst[i]! |= bytes[i]!
  }
}
