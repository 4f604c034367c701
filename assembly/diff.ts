/**
 * Pages that differ from a shadow copy.
 *
 * @module
 */

import { EFAULT, EINVAL } from './abi'
import { isOutside } from './bounds'

/**
 * Sets the bit of each page in which the `length` bytes at `a` and at `b` differ: bit n % 8 of byte
 * n / 8 stands for page n. Pages whose bit is set already are not looked at. The last page may be short.
 * Returns how many bits it set, EFAULT, or EINVAL (no page size, or more pages than a result can count).
 */
export function pagesDiff(a: usize, b: usize, length: usize, pageBytes: usize, bitmap: usize): i32 {
  if (pageBytes == 0) return EINVAL
  const pageCount = ((length as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  if (pageCount > (i32.MAX_VALUE as u64)) return EINVAL
  if (isOutside(a, length) || isOutside(b, length) || isOutside(bitmap, (pageCount + 7) >> 3)) return EFAULT
  // SAFETY: `left` bounds every read of both inputs, `page` < pageCount every access to the bitmap.
  const pages = pageCount as u32
  let left = length
  let found = 0
  for (let page: u32 = 0; page < pages; page++) {
    const bytes = min(left, pageBytes)
    const cell = bitmap + ((page >> 3) as usize)
    const bit: u32 = 1 << (page & 7)
    const bits = load<u8>(cell) as u32
    if ((bits & bit) == 0 && isDifferent(a, b, bytes)) {
      store<u8>(cell, bits | bit)
      found++
    }
    a += bytes
    b += bytes
    left -= bytes
  }
  return found
}

/** Lengths, not end pointers, bound the loops: the end of a full 4 GiB memory is no 32-bit number. */
function isDifferent(a: usize, b: usize, length: usize): bool {
  if (ASC_FEATURE_SIMD) {
    for (; length >= 64; length -= 64) {
      const first = v128.or(
        v128.xor(v128.load(a), v128.load(b)),
        v128.xor(v128.load(a, 16), v128.load(b, 16)),
      )
      const second = v128.or(
        v128.xor(v128.load(a, 32), v128.load(b, 32)),
        v128.xor(v128.load(a, 48), v128.load(b, 48)),
      )
      if (v128.any_true(v128.or(first, second))) return true
      a += 64
      b += 64
    }
  } else {
    for (; length >= 32; length -= 32) {
      const first = (load<u64>(a) ^ load<u64>(b)) | (load<u64>(a, 8) ^ load<u64>(b, 8))
      const second = (load<u64>(a, 16) ^ load<u64>(b, 16)) | (load<u64>(a, 24) ^ load<u64>(b, 24))
      if ((first | second) != 0) return true
      a += 32
      b += 32
    }
  }
  for (; length >= 8; length -= 8) {
    if (load<u64>(a) != load<u64>(b)) return true
    a += 8
    b += 8
  }
  for (; length > 0; length--) {
    if (load<u8>(a) != load<u8>(b)) return true
    a++
    b++
  }
  return false
}
