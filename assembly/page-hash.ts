/**
 * A table of page hashes, 8 bytes of XXH3-64 per page: what a shadow copy does at 1/512 of its size.
 *
 * @module
 */

import { EFAULT, EINVAL, XXH3_SCRATCH_BYTES } from './abi'
import { isOutside } from './bounds'
import { isZero } from './pages'
import { hashOf } from './xxh3'

/** Bytes of a table entry. */
const HASH_BYTES: usize = 8

/**
 * Stores the hash of each page of the `length` bytes at `src` in the table at `table`. The last page may
 * be short. `scratch` is what `xxh3ScratchBuild` made. Returns 0, EFAULT, or EINVAL (no page size).
 */
export function pagesHash(src: usize, length: usize, pageBytes: usize, table: usize, scratch: usize): i32 {
  if (pageBytes == 0) return EINVAL
  const pageCount = ((length as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  if (isOutside(src, length) || isOutside(table, pageCount * HASH_BYTES)) return EFAULT
  if (isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  // SAFETY: `left` bounds every read, and the table has an entry for every page.
  let left = length
  while (left > 0) {
    const bytes = min(left, pageBytes)
    store<u64>(table, hashOf(src, bytes, 0, scratch))
    table += HASH_BYTES
    src += bytes
    left -= bytes
  }
  return 0
}

/**
 * Sets the bit of each page of the `length` bytes at `src` whose hash is not the one in the table: bit
 * n % 8 of byte n / 8 stands for page n. Pages whose bit is set already are not looked at; the table
 * stays. Returns how many bits it set, EFAULT, or EINVAL (no page size, or more pages than a result can
 * count).
 */
export function pagesHashDiff(
  src: usize,
  length: usize,
  pageBytes: usize,
  table: usize,
  bitmap: usize,
  scratch: usize,
): i32 {
  if (pageBytes == 0) return EINVAL
  const pageCount = ((length as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  if (pageCount > (i32.MAX_VALUE as u64)) return EINVAL
  if (isOutside(src, length) || isOutside(table, pageCount * HASH_BYTES)) return EFAULT
  if (isOutside(bitmap, (pageCount + 7) >> 3) || isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  // SAFETY: `left` bounds every read, `page` < pageCount every access to the table and the bitmap.
  const pages = pageCount as u32
  let left = length
  let found = 0
  // Most of a large memory is zero, and that is seen several times faster than it is hashed.
  let zeroHash: u64 = 0
  let hasZeroHash = false
  for (let page: u32 = 0; page < pages; page++) {
    const bytes = min(left, pageBytes)
    const cell = bitmap + ((page >> 3) as usize)
    const bit: u32 = 1 << (page & 7)
    const bits = load<u8>(cell) as u32
    if ((bits & bit) == 0) {
      let hash: u64
      if (bytes == pageBytes && isZero(src, bytes)) {
        if (!hasZeroHash) zeroHash = hashOf(src, bytes, 0, scratch)
        hasZeroHash = true
        hash = zeroHash
      } else hash = hashOf(src, bytes, 0, scratch)
      if (hash != load<u64>(table)) {
        store<u8>(cell, bits | bit)
        found++
      }
    }
    table += HASH_BYTES
    src += bytes
    left -= bytes
  }
  return found
}
