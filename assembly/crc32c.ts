/**
 * CRC-32C (Castagnoli, reflected), eight bytes a step over eight tables.
 *
 * @module
 */

import { CRC32C_TABLES_BYTES, EFAULT } from './abi'
import { isOutside } from './bounds'

/** 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL: u32 = 0x82f63b78
const TABLE_BYTES: usize = 1024

/** Writes the tables `crc32cUpdate` needs to `tables`. Returns 0, or EFAULT. */
export function crc32cTablesBuild(tables: usize): i32 {
  if (isOutside(tables, CRC32C_TABLES_BYTES)) return EFAULT
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
 * `out`. Returns 0, or EFAULT.
 */
export function crc32cUpdate(src: usize, length: usize, previous: u32, out: usize, tables: usize): i32 {
  if (isOutside(src, length) || isOutside(out, 4) || isOutside(tables, CRC32C_TABLES_BYTES)) return EFAULT
  // SAFETY: reads inside [src, src + length) and the tables, whose entries a byte selects.
  let crc = ~previous
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
  store<u32>(out, ~crc)
  return 0
}

/** Address of table `n`'s entry for the low byte of `index`. */
function entry(tables: usize, n: usize, index: u32): usize {
  return tables + n * TABLE_BYTES + (((index & 0xff) as usize) << 2)
}
