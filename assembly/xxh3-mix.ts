/**
 * Primes and mixing steps of XXH3-64.
 *
 * @module
 */

export const PRIME32_1: u64 = 0x9e3779b1
export const PRIME32_2: u64 = 0x85ebca77
export const PRIME32_3: u64 = 0xc2b2ae3d
export const PRIME64_1: u64 = 0x9e3779b185ebca87
export const PRIME64_2: u64 = 0xc2b2ae3d27d4eb4f
export const PRIME64_3: u64 = 0x165667b19e3779f9
export const PRIME64_4: u64 = 0x85ebca77c2b2ae63
export const PRIME64_5: u64 = 0x27d4eb2f165667c5
const PRIME_MX1: u64 = 0x165667919e3779f9

/** The 128-bit product of a and b, its halves XORed. WebAssembly has no wide multiply: four 32-bit ones. */
export function multiplyFold(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff
  const aHigh = a >> 32
  const bLow = b & 0xffffffff
  const bHigh = b >> 32
  const low = aLow * bLow
  const cross1 = aHigh * bLow + (low >> 32)
  const cross2 = aLow * bHigh + (cross1 & 0xffffffff)
  const high = aHigh * bHigh + (cross1 >> 32) + (cross2 >> 32)
  return high ^ ((cross2 << 32) | (low & 0xffffffff))
}

/** Final mix of the forms from 9 bytes up. */
export function avalanche(hash: u64): u64 {
  hash ^= hash >> 37
  hash *= PRIME_MX1
  return hash ^ (hash >> 32)
}

/** Final mix of the forms up to 3 bytes (XXH64's). */
export function avalanche64(hash: u64): u64 {
  hash ^= hash >> 33
  hash *= PRIME64_2
  hash ^= hash >> 29
  hash *= PRIME64_3
  return hash ^ (hash >> 32)
}

// The long form, both builds.

export const STRIPE_BYTES: usize = 64
export const BLOCK_STRIPES: usize = 16
export const BLOCK_BYTES: usize = 1024
/** The eight lanes of 64 bits, or what a block adds to them. */
export const LANES_BYTES: usize = 64
/** Where in the secret the scramble, the last stripe and the merge begin. */
export const SCRAMBLE_AT: usize = 128
export const LAST_STRIPE_AT: usize = 121
const MERGE_AT: usize = 11

/** Stores what the lanes are before the first stripe. */
export function lanesStart(lanes: usize): void {
  store<u64>(lanes, PRIME32_3)
  store<u64>(lanes, PRIME64_1, 8)
  store<u64>(lanes, PRIME64_2, 16)
  store<u64>(lanes, PRIME64_3, 24)
  store<u64>(lanes, PRIME64_4, 32)
  store<u64>(lanes, PRIME32_2, 40)
  store<u64>(lanes, PRIME64_5, 48)
  store<u64>(lanes, PRIME32_1, 56)
}

/** The hash of `length` bytes from the lanes at the end. */
export function lanesMerge(lanes: usize, length: u64, secret: usize): u64 {
  let sum = length * PRIME64_1
  for (let at: usize = 0; at < LANES_BYTES; at += 16) {
    const key = secret + MERGE_AT + at
    sum += multiplyFold(load<u64>(lanes + at) ^ load<u64>(key), load<u64>(lanes + at, 8) ^ load<u64>(key, 8))
  }
  return avalanche(sum)
}
