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
export const BLOCK_BYTES: usize = 1024
/** Where in the secret the scramble, the last stripe and the merge begin. */
export const SCRAMBLE_AT: usize = 128
export const LAST_STRIPE_AT: usize = 121
const MERGE_AT: usize = 11

/** The hash from the eight lanes. */
export function merge(
  lane0: u64,
  lane1: u64,
  lane2: u64,
  lane3: u64,
  lane4: u64,
  lane5: u64,
  lane6: u64,
  lane7: u64,
  length: usize,
  secret: usize,
): u64 {
  const first =
    multiplyFold(lane0 ^ load<u64>(secret, MERGE_AT), lane1 ^ load<u64>(secret, MERGE_AT + 8)) +
    multiplyFold(lane2 ^ load<u64>(secret, MERGE_AT + 16), lane3 ^ load<u64>(secret, MERGE_AT + 24))
  const second =
    multiplyFold(lane4 ^ load<u64>(secret, MERGE_AT + 32), lane5 ^ load<u64>(secret, MERGE_AT + 40)) +
    multiplyFold(lane6 ^ load<u64>(secret, MERGE_AT + 48), lane7 ^ load<u64>(secret, MERGE_AT + 56))
  return avalanche((length as u64) * PRIME64_1 + first + second)
}
