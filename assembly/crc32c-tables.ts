/**
 * CRC-32C over tables: eight bytes a step.
 *
 * @module
 */

import { NEAR_REST } from './crc32c-fold-steps'

/** 0x1EDC6F41 with its bits reversed: the highest power in the lowest bit. */
const POLYNOMIAL: u32 = 0x82f63b78
const TABLE_BYTES: usize = 1024

/** Bytes of the tables. */
export const TABLES_BYTES: usize = 8 * TABLE_BYTES

/** A quarter of what folding leaves, and the powers x^(8 n) by which one, two and three quarters shift. */
const QUARTER: usize = NEAR_REST / 4
const POWER_1: u32 = 0x1903da7f
const POWER_2: u32 = 0x7df9f615
const POWER_3: u32 = 0xb815c52b

/** Writes the tables. */
export function buildTables(tables: usize): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = timesX(crc)
    store<u32>(entry(tables, 0, byte), crc)
  }
  // Table n is table 0 followed by n zero bytes.
  for (let n: usize = 1; n < 8; n++) {
    for (let byte: u32 = 0; byte < 256; byte++) {
      const crc = load<u32>(entry(tables, n - 1, byte))
      store<u32>(entry(tables, n, byte), (crc >> 8) ^ load<u32>(entry(tables, 0, crc)))
    }
  }
}

/** CRC register after `length` bytes at `src`. */
export function updateByTables(src: usize, length: usize, crc: u32, tables: usize): u32 {
  for (; length >= 8; length -= 8) {
    crc = afterEight(src, crc, tables)
    src += 8
  }
  for (; length > 0; length--) {
    crc = (crc >> 8) ^ load<u32>(entry(tables, 0, crc ^ load<u8>(src)))
    src++
  }
  return crc
}

/**
 * CRC register, from 0, after the NEAR_REST bytes at `src`. A step waits for the one before, so four
 * quarters side by side take the time of one.
 */
export function updateRest(src: usize, tables: usize): u32 {
  let first: u32 = 0
  let second: u32 = 0
  let third: u32 = 0
  let fourth: u32 = 0
  for (const end = src + QUARTER; src < end; src += 8) {
    first = afterEight(src, first, tables)
    second = afterEight(src + QUARTER, second, tables)
    third = afterEight(src + 2 * QUARTER, third, tables)
    fourth = afterEight(src + 3 * QUARTER, fourth, tables)
  }
  return fourth ^ products(first, second, third)
}

/** first * POWER_3 + second * POWER_2 + third * POWER_1, modulo the generator. */
function products(first: u32, second: u32, third: u32): u32 {
  let sum: u32 = 0
  let power3 = POWER_3
  let power2 = POWER_2
  let power1 = POWER_1
  for (let bit = 0; bit < 32; bit++) {
    sum ^= (power3 & isHighest(first)) ^ (power2 & isHighest(second)) ^ (power1 & isHighest(third))
    first <<= 1
    second <<= 1
    third <<= 1
    power3 = timesX(power3)
    power2 = timesX(power2)
    power1 = timesX(power1)
  }
  return sum
}

/** All ones when the highest bit is set, which stands for x^0. */
function isHighest(value: u32): u32 {
  return ((value as i32) >> 31) as u32
}

function timesX(value: u32): u32 {
  return (value >> 1) ^ (POLYNOMIAL & (0 - (value & 1)))
}

/** CRC register after eight bytes more. */
function afterEight(src: usize, crc: u32, tables: usize): u32 {
  const low = load<u32>(src) ^ crc
  const high = load<u32>(src, 4)
  return (
    load<u32>(entry(tables, 7, low)) ^
    load<u32>(entry(tables, 6, low >> 8)) ^
    load<u32>(entry(tables, 5, low >> 16)) ^
    load<u32>(entry(tables, 4, low >> 24)) ^
    load<u32>(entry(tables, 3, high)) ^
    load<u32>(entry(tables, 2, high >> 8)) ^
    load<u32>(entry(tables, 1, high >> 16)) ^
    load<u32>(entry(tables, 0, high >> 24))
  )
}

/** Address of table `n`'s entry for the low byte of `index`. */
function entry(tables: usize, n: usize, index: u32): usize {
  return tables + n * TABLE_BYTES + (((index & 0xff) as usize) << 2)
}
