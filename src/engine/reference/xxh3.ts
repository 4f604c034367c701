/**
 * XXH3-64 in plain TypeScript: 64-bit words are bigints up to 240 bytes, halves of 32 bits above.
 *
 * @module
 */

import { multiplyFold, avalanche, PRIME64_1, PRIME64_2, PRIME64_3 } from './xxh3-mix.ts'
import { hashLong } from './xxh3-long.ts'
import { DEFAULT_SECRET, word } from './xxh3-secret.ts'

const PRIME_MX2 = 0x9fb21c651e98df25n

/** XXH3-64 of `length` bytes at `src` of `view`, unsigned; `seed` is an unsigned 64-bit number. */
export function xxh3(view: DataView, src: number, length: number, seed: bigint): bigint {
  return length > 240 ? hashLong(view, src, length, seed) : hashUpTo240(view, src, length, seed)
}

/** The forms of 0 to 240 bytes. */
export function hashUpTo240(view: DataView, src: number, length: number, seed: bigint): bigint {
  if (length > 128) return hash129To240(view, src, length, seed)
  if (length > 16) return hash17To128(view, src, length, seed)
  return hashUpTo16(view, src, length, seed)
}

function hashUpTo16(view: DataView, src: number, length: number, seed: bigint): bigint {
  if (length > 8) {
    const low = word(view, src) ^ u64((secret(24) ^ secret(32)) + seed)
    const high = word(view, src + length - 8) ^ u64((secret(40) ^ secret(48)) - seed)
    return avalanche(u64(BigInt(length) + swapBytes(low, 64) + high + multiplyFold(low, high)))
  }
  if (length >= 4) {
    const mixedSeed = seed ^ (swapBytes(seed & 0xffffffffn, 32) << 32n)
    const first = BigInt(view.getUint32(src, true))
    const last = BigInt(view.getUint32(src + length - 4, true))
    let hash = u64(last + (first << 32n)) ^ u64((secret(8) ^ secret(16)) - mixedSeed)
    hash ^= rotateLeft(hash, 49n) ^ rotateLeft(hash, 24n)
    hash = u64(hash * PRIME_MX2)
    hash ^= (hash >> 35n) + BigInt(length)
    hash = u64(hash * PRIME_MX2)
    return hash ^ (hash >> 28n)
  }
  if (length > 0) {
    const first = view.getUint8(src)
    const middle = view.getUint8(src + (length >> 1))
    const last = view.getUint8(src + length - 1)
    const combined = ((first << 16) | (middle << 24) | last | (length << 8)) >>> 0
    const key = (secret(0) & 0xffffffffn) ^ (secret(0) >> 32n)
    return avalanche64(BigInt(combined) ^ u64(key + seed))
  }
  return avalanche64(seed ^ secret(56) ^ secret(64))
}

function hash17To128(view: DataView, src: number, length: number, seed: bigint): bigint {
  let sum = BigInt(length) * PRIME64_1
  // From both ends towards the middle; the pairs overlap where the length is no multiple of 32.
  const pairs = (length - 1) >> 5
  for (let i = 0; i <= pairs; i++) {
    sum += mix16(view, src + 16 * i, 32 * i, seed)
    sum += mix16(view, src + length - 16 * (i + 1), 32 * i + 16, seed)
  }
  return avalanche(u64(sum))
}

function hash129To240(view: DataView, src: number, length: number, seed: bigint): bigint {
  let sum = BigInt(length) * PRIME64_1
  for (let i = 0; i < 128; i += 16) sum += mix16(view, src + i, i, seed)
  sum = avalanche(u64(sum))
  for (let i = 128; i < (length & ~15); i += 16) sum += mix16(view, src + i, i - 125, seed)
  return avalanche(u64(sum + mix16(view, src + length - 16, 119, seed)))
}

function mix16(view: DataView, src: number, secretAt: number, seed: bigint): bigint {
  return multiplyFold(
    word(view, src) ^ u64(secret(secretAt) + seed),
    word(view, src + 8) ^ u64(secret(secretAt + 8) - seed),
  )
}

/** Final mix of the forms up to 3 bytes (XXH64's). */
function avalanche64(value: bigint): bigint {
  let hash = value ^ (value >> 33n)
  hash = u64(hash * PRIME64_2)
  hash ^= hash >> 29n
  hash = u64(hash * PRIME64_3)
  return hash ^ (hash >> 32n)
}

function secret(at: number): bigint {
  return word(DEFAULT_SECRET, at)
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}

function rotateLeft(value: bigint, bits: bigint): bigint {
  return u64(value << bits) | (value >> (64n - bits))
}

function swapBytes(value: bigint, bits: 32 | 64): bigint {
  let swapped = 0n
  for (let at = 0; at < bits; at += 8) swapped = (swapped << 8n) | ((value >> BigInt(at)) & 0xffn)
  return swapped
}
