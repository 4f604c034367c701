/**
 * Scans over pages.
 *
 * @module
 */

import { EFAULT, EINVAL, RUN_BYTES, ZERO_RUN_FLAG } from './abi'
import { isOutside } from './bounds'

/**
 * Writes a bitmap of the all-zero pages among `length` bytes at `src`: bit n % 8 of byte n / 8 stands
 * for page n, the last page may be short, the last byte's spare bits are 0. Returns how many pages are
 * zero, EFAULT, or EINVAL (no page size, or more pages than a result can count).
 */
export function zeroPagesScan(src: usize, length: usize, pageBytes: usize, bitmap: usize): i32 {
  if (pageBytes == 0) return EINVAL
  const pageCount = ((length as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  if (pageCount > (i32.MAX_VALUE as u64)) return EINVAL
  if (isOutside(src, length) || isOutside(bitmap, (pageCount + 7) >> 3)) return EFAULT
  // SAFETY: `left` bounds every read to the input, `page` < pageCount every write to the bitmap.
  const pages = pageCount as u32
  let left = length
  let zeroCount = 0
  let bits: u32 = 0
  for (let page: u32 = 0; page < pages; page++) {
    const bytes = min(left, pageBytes)
    if (isZero(src, bytes)) {
      bits |= 1 << (page & 7)
      zeroCount++
    }
    src += bytes
    left -= bytes
    if ((page & 7) == 7 || left == 0) {
      store<u8>(bitmap + (page >> 3), bits)
      bits = 0
    }
  }
  return zeroCount
}

/**
 * Splits `pageCount` pages from `firstPage` on of the `length` bytes at `src` into runs of zero and of
 * other pages, in order, and writes at most `maxRuns` of them to `runs` as pairs (u32 first, u32 count,
 * its bit 31 set when the pages are zero). The last page of the bytes may be short. Returns how many,
 * EFAULT (also for pages past `length`), or EINVAL (no page size, or more pages than a run can count).
 */
export function zeroRunsFind(
  src: usize,
  length: usize,
  pageBytes: usize,
  firstPage: u32,
  pageCount: u32,
  runs: usize,
  maxRuns: u32,
): i32 {
  if (pageBytes == 0 || pageCount > (i32.MAX_VALUE as u32)) return EINVAL
  const pagesThere = ((length as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  if ((firstPage as u64) + (pageCount as u64) > pagesThere) return EFAULT
  if (isOutside(src, length) || isOutside(runs, (maxRuns as u64) * RUN_BYTES)) return EFAULT
  if (pageCount == 0 || maxRuns == 0) return 0
  // SAFETY: the pages are inside the input, `left` bounds the last one; a run is stored while
  // `found` < maxRuns.
  const skipped = (firstPage as usize) * pageBytes
  let at = src + skipped
  let left = length - skipped
  let found: u32 = 0
  let count: u32 = 0
  let flag: u32 = 0
  for (let n: u32 = 0; n < pageCount; n++) {
    const bytes = min(left, pageBytes)
    const pageFlag: u32 = isZero(at, bytes) ? ZERO_RUN_FLAG : 0
    if (pageFlag != flag && count != 0) {
      store<u32>(runs, firstPage)
      store<u32>(runs, count | flag, 4)
      runs += RUN_BYTES
      firstPage += count
      count = 0
      if (++found == maxRuns) return found as i32
    }
    flag = pageFlag
    count++
    at += bytes
    left -= bytes
  }
  store<u32>(runs, firstPage)
  store<u32>(runs, count | flag, 4)
  return (found + 1) as i32
}

/** Whether all bytes are zero. Lengths, not end pointers, bound the loops: 4 GiB is no 32-bit number. */
export function isZero(at: usize, length: usize): bool {
  if (ASC_FEATURE_SIMD) {
    for (; length >= 64; length -= 64) {
      const first = v128.or(v128.load(at), v128.load(at, 16))
      const second = v128.or(v128.load(at, 32), v128.load(at, 48))
      if (v128.any_true(v128.or(first, second))) return false
      at += 64
    }
  } else {
    for (; length >= 32; length -= 32) {
      const first = load<u64>(at) | load<u64>(at, 8)
      const second = load<u64>(at, 16) | load<u64>(at, 24)
      if ((first | second) != 0) return false
      at += 32
    }
  }
  for (; length >= 8; length -= 8) {
    if (load<u64>(at) != 0) return false
    at += 8
  }
  for (; length > 0; length--) {
    if (load<u8>(at) != 0) return false
    at++
  }
  return true
}
