/**
 * XXH3-64 above 240 bytes: eight 64-bit lanes over stripes of 64 bytes, scrambled after every block of
 * 16 stripes. One body per build; the compiler drops the other.
 *
 * @module
 */

import { hashLongScalar } from './xxh3-long-scalar'
import { hashLongSimd } from './xxh3-long-simd'

/** Hash of `length` > 240 bytes with the seeded secret at `secret`. */
export function hashLong(src: usize, length: usize, secret: usize): u64 {
  if (ASC_FEATURE_SIMD) {
    return hashLongSimd(src, length, secret)
  } else {
    return hashLongScalar(src, length, secret)
  }
}
