/**
 * XXH3-64 of any length, in its five forms: 0, 1 to 3, 4 to 8, 9 to 16, 17 to 128, 129 to 240 bytes
 * here, longer in `xxh3-long.ts`.
 *
 * @module
 */

import { EFAULT, EINVAL, XXH3_SCRATCH_BYTES } from './abi'
import { isOutside, isOverlapping } from './bounds'
import { copyLong, hashLong } from './xxh3-long'
import { PRIME64_1, avalanche, avalanche64, multiplyFold } from './xxh3-mix'
import { defaultSecret, seededSecret } from './xxh3-scratch'

/** XORs of two words of the secret at the offsets named, folded: the forms up to 16 bytes use no others. */
const SECRET_0_4: u64 = 0x87275a9b
const SECRET_8_16: u64 = 0xc73ab174c5ecd5a2
const SECRET_24_32: u64 = 0x6782737bea4239b9
const SECRET_40_48: u64 = 0xaf56bc3b0996523a
const SECRET_56_64: u64 = 0x8726f9105dc21ddc

const PRIME_MX2: u64 = 0x9fb21c651e98df25

/**
 * Stores XXH3-64 of `length` bytes at `src` as 8 little-endian bytes at `out`. `scratch` is what
 * `xxh3ScratchBuild` made, outside the input. Returns 0, or EFAULT.
 */
export function xxh3Hash(
  src: usize,
  length: usize,
  out: usize,
  seedLow: u32,
  seedHigh: u32,
  scratch: usize,
): i32 {
  if (isOutside(src, length) || isOutside(out, 8) || isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  // SAFETY: hashOf reads inside [src, src + length) and touches scratch only.
  store<u64>(out, hashOf(src, length, seedOf(seedLow, seedHigh), scratch))
  return 0
}

/**
 * Copies `length` bytes from `src` to `dst` and stores their XXH3-64 at `out`, in one pass over the
 * memory. Returns 0, EFAULT, or EINVAL when the ranges overlap.
 */
export function xxh3Copy(
  dst: usize,
  src: usize,
  length: usize,
  out: usize,
  seedLow: u32,
  seedHigh: u32,
  scratch: usize,
): i32 {
  if (isOutside(dst, length) || isOutside(src, length)) return EFAULT
  if (isOutside(out, 8) || isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  if (isOverlapping(dst, length, src, length)) return EINVAL
  // SAFETY: both ranges are inside the memory; hashes as above.
  store<u64>(out, hashWhileCopying(dst, src, length, seedOf(seedLow, seedHigh), scratch, 0, 0))
  return 0
}

/** XXH3-64 of `length` bytes at `src`, which the caller has checked like `scratch`. */
export function hashOf(src: usize, length: usize, seed: u64, scratch: usize): u64 {
  return length > 240
    ? hashLong(src, length, seededSecret(scratch, seed), scratch)
    : hashUpTo240(src, length, seed, defaultSecret(scratch))
}

/**
 * `hashOf` that also copies the input to `dst`, which must not overlap it, and while it has time reads
 * ahead what the caller wants next.
 */
export function hashWhileCopying(
  dst: usize,
  src: usize,
  length: usize,
  seed: u64,
  scratch: usize,
  next: usize,
  nextBytes: usize,
): u64 {
  if (length > 240) {
    return copyLong(dst, src, length, seededSecret(scratch, seed), scratch, next, nextBytes)
  }
  memory.copy(dst, src, length)
  return hashUpTo240(src, length, seed, defaultSecret(scratch))
}

/** The forms of 0 to 240 bytes with the secret of seed 0 at `secret`. */
export function hashUpTo240(src: usize, length: usize, seed: u64, secret: usize): u64 {
  if (length > 128) return hash129To240(src, length, seed, secret)
  if (length > 16) return hash17To128(src, length, seed, secret)
  return hashUpTo16(src, length, seed)
}

/** A seed from its halves: a u64 argument would be a BigInt, three times the cost of the call. */
export function seedOf(low: u32, high: u32): u64 {
  return ((high as u64) << 32) | (low as u64)
}

function hashUpTo16(src: usize, length: usize, seed: u64): u64 {
  if (length > 8) {
    const low = load<u64>(src) ^ (SECRET_24_32 + seed)
    const high = load<u64>(src + length - 8) ^ (SECRET_40_48 - seed)
    return avalanche((length as u64) + bswap<u64>(low) + high + multiplyFold(low, high))
  }
  if (length >= 4) {
    const mixedSeed = seed ^ ((bswap<u32>(seed as u32) as u64) << 32)
    const first = load<u32>(src) as u64
    const last = load<u32>(src + length - 4) as u64
    let hash = (last + (first << 32)) ^ (SECRET_8_16 - mixedSeed)
    hash ^= rotl<u64>(hash, 49) ^ rotl<u64>(hash, 24)
    hash *= PRIME_MX2
    hash ^= (hash >> 35) + (length as u64)
    hash *= PRIME_MX2
    return hash ^ (hash >> 28)
  }
  if (length > 0) {
    const first = load<u8>(src) as u32
    const middle = load<u8>(src + (length >> 1)) as u32
    const last = load<u8>(src + length - 1) as u32
    const combined = (first << 16) | (middle << 24) | last | ((length as u32) << 8)
    return avalanche64((combined as u64) ^ (SECRET_0_4 + seed))
  }
  return avalanche64(seed ^ SECRET_56_64)
}

function hash17To128(src: usize, length: usize, seed: u64, secret: usize): u64 {
  let sum = (length as u64) * PRIME64_1
  // From both ends towards the middle; the pairs overlap where the length is no multiple of 32.
  const pairs = (length - 1) >> 5
  for (let i: usize = 0; i <= pairs; i++) {
    sum += mix16(src + 16 * i, secret + 32 * i, seed)
    sum += mix16(src + length - 16 * (i + 1), secret + 32 * i + 16, seed)
  }
  return avalanche(sum)
}

function hash129To240(src: usize, length: usize, seed: u64, secret: usize): u64 {
  let sum = (length as u64) * PRIME64_1
  for (let i: usize = 0; i < 128; i += 16) sum += mix16(src + i, secret + i, seed)
  sum = avalanche(sum)
  const rounds = length & ~15
  for (let i: usize = 128; i < rounds; i += 16) sum += mix16(src + i, secret + i - 125, seed)
  return avalanche(sum + mix16(src + length - 16, secret + 119, seed))
}

function mix16(src: usize, secret: usize, seed: u64): u64 {
  return multiplyFold(
    load<u64>(src) ^ (load<u64>(secret) + seed),
    load<u64>(src, 8) ^ (load<u64>(secret, 8) - seed),
  )
}
