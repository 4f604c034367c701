/**
 * Zeroing memory that may never have been touched.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { PAGE_BYTES } from '../format/index.ts'

/** Pages that one zero scan looks at: a bitmap of 32 bytes, a megabyte of memory. */
export const BITMAP_PAGES = 256

/** Zeroes memory without touching pages that are zero already: untouched pages cost no physical memory. */
export function clearMemory(engine: Engine, pointer: number, byteLength: number, bitmap: number): void {
  const chunk = BITMAP_PAGES * PAGE_BYTES
  for (let at = 0; at < byteLength; at += chunk) {
    const length = Math.min(chunk, byteLength - at)
    const pages = Math.ceil(length / PAGE_BYTES)
    if (engine.kernels.zeroPages(pointer + at, length, PAGE_BYTES, bitmap) === pages) continue
    for (let page = 0; page < pages; page++) {
      if (((engine.bytes[bitmap + (page >>> 3)] as number) & (1 << (page & 7))) !== 0) continue
      const from = pointer + at + page * PAGE_BYTES
      engine.bytes.fill(0, from, Math.min(from + PAGE_BYTES, pointer + at + length))
    }
  }
}
