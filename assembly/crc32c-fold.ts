/**
 * Shortens a long message without changing its CRC-32C, with loads and XORs alone: no table and no
 * carry-less multiplication.
 *
 * For a multiple x^D + x^(D-t1) + ... + 1 of the generator, a bit of the message may be moved to the
 * places t1, ..., D bits further on. Squaring a polynomial over GF(2) doubles its exponents, so its 8th
 * power moves whole bytes by the same numbers of *bytes*. Front to back, all but the last D bytes fold
 * into those: folded[i] = message[i] ^ folded[i - t1] ^ ... ^ folded[i - D]. Zeroes in front of a message
 * change nothing either, so its length is rounded up to whole steps of the loops.
 *
 * (The idea is Russell's Chorba; the multiples come from a search of ours: pairs 1 + x^a of small powers
 * in a hash table, looked up for every x^b + x^D. A test divides them by the generator.)
 *
 * @module
 */

import { FAR_REST, FAR_STEP, NEAR_REST, NEAR_STEP, foldFar, foldNear } from './crc32c-fold-steps'

/** Bytes folded before the history moves back to the front; with it and the input they stay in L1. */
const FAR_BLOCK: usize = 80 * FAR_STEP
const NEAR_BLOCK: usize = 32 * NEAR_STEP

/** Work memory of each: a history as long as the rest, the block, zeroes as long as the rest. */
const FAR_WORK: usize = FAR_REST + FAR_BLOCK + FAR_REST
const NEAR_WORK: usize = NEAR_REST + NEAR_BLOCK + NEAR_REST

/** Bytes at `work` that `foldMessage` writes. */
export const FOLD_WORK: usize = FAR_WORK + NEAR_WORK

/** Shorter messages cost less in `crc32c.ts`'s tables than set up here; at least a rest and two steps. */
const FAR_MIN: usize = 12288
const NEAR_MIN: usize = 2048

/** Bytes of the message `foldMessage` leaves, where it folds at all. */
export function foldedBytes(length: usize): usize {
  return length >= NEAR_MIN ? NEAR_REST : 0
}

/**
 * Folds `length` bytes at `src`, whose first four are XORed with `crc`, and returns where the
 * `foldedBytes(length)` that are left stand in `work`; their CRC starts from 0. Where `dst` is not
 * `src`, the message is copied there, each piece just before it is folded. Needs a length that
 * `foldedBytes` is not 0 for.
 */
export function foldMessage(dst: usize, src: usize, length: usize, crc: u32, work: usize): usize {
  if (length < FAR_MIN) return fold(false, dst, src, length, crc, work + FAR_WORK)
  const rest = fold(true, dst, src, length, crc, work)
  return fold(false, rest, rest, FAR_REST, 0, work + FAR_WORK)
}

function fold(far: bool, dst: usize, src: usize, length: usize, crc: u32, work: usize): usize {
  const step = far ? FAR_STEP : NEAR_STEP
  const rest = far ? FAR_REST : NEAR_REST
  const start = work + rest
  const end = start + (far ? FAR_BLOCK : NEAR_BLOCK)
  // Two steps of zeroes and the first bytes, as many as leave whole steps; put together past the block.
  let bytes = (length % step) + step
  const head = end + 2 * step - bytes
  memory.fill(end, 0, head - end)
  memory.copy(head, src, bytes)
  store<u32>(head, load<u32>(head) ^ crc)
  if (dst != src) memory.copy(dst, src, bytes)
  memory.fill(work, 0, rest)
  foldSteps(far, start, work, end, 2 * step)
  let at = start + 2 * step
  for (;;) {
    src += bytes
    dst += bytes
    length -= bytes
    if (length == rest) break
    if (at == end) {
      memory.copy(work, end - rest, rest)
      at = start
    }
    bytes = min(length - rest, end - at)
    if (dst != src) memory.copy(dst, src, bytes)
    foldSteps(far, at, at - rest, src, bytes)
    at += bytes
  }
  // The last bytes do not fold: to each other they are as zeroes. The history they meet is used up front to back.
  if (dst != src) memory.copy(dst, src, rest)
  memory.fill(at, 0, rest)
  foldSteps(far, at - rest, at - rest, src, rest)
  return at - rest
}

function foldSteps(far: bool, out: usize, history: usize, src: usize, length: usize): void {
  if (far) foldFar(out, history, src, length)
  else foldNear(out, history, src, length)
}
