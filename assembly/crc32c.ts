/**
 * CRC-32C (Castagnoli, reflected): long messages are folded (`crc32c-fold.ts`), what is left and short
 * ones take eight bytes a step over eight tables.
 *
 * @module
 */

import { CRC32C_SCRATCH_BYTES, EFAULT, EINVAL } from './abi'
import { isOutside } from './bounds'
import { foldMessage, foldedBytes } from './crc32c-fold'

/** 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL: u32 = 0x82f63b78
const TABLE_BYTES: usize = 1024
const TABLES_BYTES: usize = 8 * TABLE_BYTES

/**
 * Writes the tables of `crc32cUpdate` and `crc32cCopy` to the front of their scratch, where they must
 * stay. Returns 0, or EFAULT.
 */
export function crc32cTablesBuild(scratch: usize): i32 {
  if (isOutside(scratch, CRC32C_SCRATCH_BYTES)) return EFAULT
  const tables = scratch
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLYNOMIAL & (0 - (crc & 1)))
    store<u32>(entry(tables, 0, byte), crc)
  }
  // Table n is table 0 followed by n zero bytes.
  for (let n: usize = 1; n < 8; n++) {
    for (let byte: u32 = 0; byte < 256; byte++) {
      const crc = load<u32>(entry(tables, n - 1, byte))
      store<u32>(entry(tables, n, byte), (crc >> 8) ^ load<u32>(entry(tables, 0, crc)))
    }
  }
  return 0
}

/**
 * Stores CRC-32C of `length` bytes at `src`, continued from `previous`, as 4 little-endian bytes at
 * `out`. `scratch` is what `crc32cTablesBuild` prepared; its rest is overwritten. Returns 0, or EFAULT.
 */
export function crc32cUpdate(src: usize, length: usize, previous: u32, out: usize, scratch: usize): i32 {
  if (isOutside(src, length) || isOutside(out, 4) || isOutside(scratch, CRC32C_SCRATCH_BYTES)) return EFAULT
  store<u32>(out, ~update(src, src, length, ~previous, scratch))
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
  store<u32>(out, ~update(dst, src, length, ~previous, scratch))
  return 0
}

/** CRC register after `length` bytes at `src`, which are copied to `dst` unless that is `src`. */
function update(dst: usize, src: usize, length: usize, crc: u32, scratch: usize): u32 {
  // SAFETY: reads [src, src + length), writes [dst, dst + length), both checked; the rest is scratch.
  const folded = foldedBytes(length)
  if (folded == 0) {
    if (dst != src) memory.copy(dst, src, length)
    return updateByTables(src, length, crc, scratch)
  }
  return updateByTables(foldMessage(dst, src, length, crc, scratch + TABLES_BYTES), folded, 0, scratch)
}

function updateByTables(src: usize, length: usize, crc: u32, tables: usize): u32 {
  for (; length >= 8; length -= 8) {
    const low = load<u32>(src) ^ crc
    const high = load<u32>(src, 4)
    crc =
      load<u32>(entry(tables, 7, low)) ^
      load<u32>(entry(tables, 6, low >> 8)) ^
      load<u32>(entry(tables, 5, low >> 16)) ^
      load<u32>(entry(tables, 4, low >> 24)) ^
      load<u32>(entry(tables, 3, high)) ^
      load<u32>(entry(tables, 2, high >> 8)) ^
      load<u32>(entry(tables, 1, high >> 16)) ^
      load<u32>(entry(tables, 0, high >> 24))
    src += 8
  }
  for (; length > 0; length--) {
    crc = (crc >> 8) ^ load<u32>(entry(tables, 0, crc ^ load<u8>(src)))
    src++
  }
  return crc
}

/** Address of table `n`'s entry for the low byte of `index`. */
function entry(tables: usize, n: usize, index: u32): usize {
  return tables + n * TABLE_BYTES + (((index & 0xff) as usize) << 2)
}
