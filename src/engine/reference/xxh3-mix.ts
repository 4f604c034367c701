/**
 * Primes and mixing steps of XXH3-64 on bigints.
 *
 * @module
 */

export const PRIME64_1 = 0x9e3779b185ebca87n
export const PRIME64_2 = 0xc2b2ae3d27d4eb4fn
export const PRIME64_3 = 0x165667b19e3779f9n
const PRIME_MX1 = 0x165667919e3779f9n

/** The 128-bit product of a and b, its halves XORed. */
export function multiplyFold(a: bigint, b: bigint): bigint {
  const product = a * b
  return BigInt.asUintN(64, product) ^ (product >> 64n)
}

/** Final mix of the forms from 9 bytes up. */
export function avalanche(value: bigint): bigint {
  const hash = BigInt.asUintN(64, (value ^ (value >> 37n)) * PRIME_MX1)
  return hash ^ (hash >> 32n)
}
