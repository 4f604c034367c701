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
 * The idea is Chorba's (Russell, 2024). The multiples come from a search of ours for taps a small number
 * of vectors apart, which can share a load: sums of two or three small powers of x in a hash table,
 * looked up for all sums of as many others. A test divides them by the generator.
 *
 * @module
 */

import { FAR_REST, FAR_STEP, NEAR_REST, NEAR_STEP, foldFar, foldNear } from './crc32c-fold-steps'

/** Bytes folded before the history moves back to the front; with it and the input they stay in L1. */
const FAR_BLOCK: usize = 80 * FAR_STEP
const NEAR_BLOCK: usize = 30 * NEAR_STEP

/** Work memory of each: a history as long as the rest, and the block. */
const FAR_WORK: usize = FAR_REST + FAR_BLOCK
const NEAR_WORK: usize = NEAR_REST + NEAR_BLOCK

/** Shorter messages cost less the other way: to fold near only, or by the tables alone. At least a rest and two steps. */
const FAR_MIN: usize = 49152
const NEAR_MIN: usize = 896

/** True where `foldMessage` takes a message of `length` bytes. */
export function isFolded(length: usize): bool {
  return length >= NEAR_MIN
}

/**
 * Folds `length` bytes at `src`, whose first four are XORed with `crc`, and returns where the NEAR_REST
 * bytes that are left stand in `work`; their CRC starts from 0. Where `dst` is not `src`, the message is
 * copied there, each piece just before it is folded.
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
  // Two steps of zeroes and the first bytes, as many as leave whole steps; put together where they fold.
  let bytes = (length % step) + step
  const head = start + 2 * step - bytes
  memory.fill(work, 0, head - work)
  memory.copy(head, src, bytes)
  store<u32>(head, load<u32>(head) ^ crc)
  if (dst != src) memory.copy(dst, src, bytes)
  foldSteps(far, start, work, start, 2 * step)
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
  if (end - at < rest) {
    memory.copy(start, at - rest, rest)
    at = start + rest
  }
  memory.fill(at, 0, rest)
  foldSteps(far, at - rest, at - rest, src, rest)
  return at - rest
}

function foldSteps(far: bool, out: usize, history: usize, src: usize, length: usize): void {
  if (far) foldFar(out, history, src, length)
  else foldNear(out, history, src, length)
}
