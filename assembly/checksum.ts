/**
 * The checksum of a section by its kind, as the 8 bytes that the stream holds.
 *
 * @module
 */

import {
  CHECKSUM_CRC32C,
  CHECKSUM_XXH3,
  CRC32C_SCRATCH_BYTES,
  EFAULT,
  EINVAL,
  XXH3_SCRATCH_BYTES,
} from './abi'
import { isOutside } from './bounds'
import { crc32cOf } from './crc32c'
import { hashOf, hashWhileCopying } from './xxh3'

/** Refuses a kind that is none and scratch outside the memory. Returns 0, EFAULT, or EINVAL. */
export function checksumCheck(kind: u32, xxh3Scratch: usize, crc32cScratch: usize): i32 {
  if (kind != CHECKSUM_XXH3 && kind != CHECKSUM_CRC32C) return EINVAL
  if (isOutside(xxh3Scratch, XXH3_SCRATCH_BYTES) || isOutside(crc32cScratch, CRC32C_SCRATCH_BYTES))
    return EFAULT
  return 0
}

/** Checksum of `length` bytes at `src`; the caller has checked ranges and kind. */
export function checksumOf(
  kind: u32,
  src: usize,
  length: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
): u64 {
  if (kind == CHECKSUM_XXH3) return hashOf(src, length, 0, xxh3Scratch)
  return crc32cOf(src, src, length, 0, crc32cScratch)
}

/** `checksumOf` that also copies the bytes to `dst`, which must not overlap them; reads ahead at `next`. */
export function checksumWhileCopying(
  kind: u32,
  dst: usize,
  src: usize,
  length: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
  next: usize,
  nextBytes: usize,
): u64 {
  if (kind == CHECKSUM_XXH3) return hashWhileCopying(dst, src, length, 0, xxh3Scratch, next, nextBytes)
  return crc32cOf(dst, src, length, 0, crc32cScratch)
}
