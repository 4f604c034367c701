/**
 * CRC-32C (Castagnoli, reflected): long messages are folded (`crc32c-fold.ts`), what is left of them and
 * short ones go through tables (`crc32c-tables.ts`).
 *
 * @module
 */

import { CRC32C_SCRATCH_BYTES, EFAULT, EINVAL } from './abi'
import { isOutside } from './bounds'
import { foldMessage, isFolded } from './crc32c-fold'
import { TABLES_BYTES, buildTables, updateByTables, updateRest } from './crc32c-tables'

/**
 * Writes the tables of `crc32cUpdate` and `crc32cCopy` to the front of their scratch, where they must
 * stay. Returns 0, or EFAULT.
 */
export function crc32cTablesBuild(scratch: usize): i32 {
  if (isOutside(scratch, CRC32C_SCRATCH_BYTES)) return EFAULT
  buildTables(scratch)
  return 0
}

/**
 * Stores CRC-32C of `length` bytes at `src`, continued from `previous`, as 4 little-endian bytes at
 * `out`. `scratch` is what `crc32cTablesBuild` prepared; its rest is overwritten. Returns 0, or EFAULT.
 */
export function crc32cUpdate(src: usize, length: usize, previous: u32, out: usize, scratch: usize): i32 {
  if (isOutside(src, length) || isOutside(out, 4) || isOutside(scratch, CRC32C_SCRATCH_BYTES)) return EFAULT
  store<u32>(out, crc32cOf(src, src, length, previous, scratch))
  return 0
}

/**
 * Copies `length` bytes from `src` to `dst` and stores their CRC-32C as `crc32cUpdate` does. Returns 0,
 * EFAULT, or EINVAL (the ranges overlap).
 */
export function crc32cCopy(
  dst: usize,
  src: usize,
  length: usize,
  previous: u32,
  out: usize,
  scratch: usize,
): i32 {
  if (isOutside(dst, length) || isOutside(src, length)) return EFAULT
  if (isOutside(out, 4) || isOutside(scratch, CRC32C_SCRATCH_BYTES)) return EFAULT
  if (dst - src < length || src - dst < length) return EINVAL
  store<u32>(out, crc32cOf(dst, src, length, previous, scratch))
  return 0
}

/**
 * CRC-32C of `length` bytes at `src`, continued from `previous`; they are copied to `dst` unless that is
 * `src`. The caller has checked the ranges.
 */
export function crc32cOf(dst: usize, src: usize, length: usize, previous: u32, scratch: usize): u32 {
  return ~update(dst, src, length, ~previous, scratch)
}

/** CRC register after `length` bytes at `src`, which are copied to `dst` unless that is `src`. */
function update(dst: usize, src: usize, length: usize, crc: u32, scratch: usize): u32 {
  // SAFETY: reads [src, src + length), writes [dst, dst + length), both checked; the rest is scratch.
  if (isFolded(length)) return updateRest(foldMessage(dst, src, length, crc, scratch + TABLES_BYTES), scratch)
  if (dst != src) memory.copy(dst, src, length)
  return updateByTables(src, length, crc, scratch)
}
