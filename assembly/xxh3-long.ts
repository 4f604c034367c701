/**
 * XXH3-64 above 240 bytes: eight 64-bit lanes over stripes of 64 bytes, scrambled after every block of
 * 16 stripes.
 *
 * What a block adds to the lanes does not depend on them, only the scramble does. So a long input is
 * cut into streams that are read in turn, half a block at a time, into one sum per block; then the sums
 * go through the lanes in order. One body of the loops per build; the compiler drops the other.
 *
 * @module
 */

import {
  BLOCK_BYTES,
  BLOCK_STRIPES,
  LANES_BYTES,
  LAST_STRIPE_AT,
  STRIPE_BYTES,
  lanesMerge,
  lanesStart,
} from './xxh3-mix'
import {
  MIN_STREAM_BLOCKS,
  STREAMS,
  STREAM_BLOCKS,
  scratchLanes,
  scratchSums,
  touchedStore,
} from './xxh3-scratch'
import { blocksChainScalar, stripesAddScalar } from './xxh3-stripes-scalar'
import { blocksChainSimd, stripesAddSimd } from './xxh3-stripes-simd'
import { CopyStream, CopyThenNext, HashOnly } from './xxh3-work'

const TURN_STRIPES: usize = BLOCK_STRIPES / 2
const TURN_BYTES: usize = BLOCK_BYTES / 2

/** Hash of `length` > 240 bytes with the seeded secret at `secret`. */
export function hashLong(src: usize, length: usize, secret: usize, scratch: usize): u64 {
  const lanes = scratchLanes(scratch)
  const blocks = wholeBlocks(length)
  const done = blocks * BLOCK_BYTES
  lanesStart(lanes)
  blocksAdd(lanes, src, blocks, secret, scratch)
  return lanesFinish(lanes, src + done, length - done, length, secret)
}

/**
 * `hashLong` that also copies the input to `dst`. What is left of it by the streams is short: meanwhile
 * it reads ahead up to as many of the `nextBytes` at `next`, which the caller will want next.
 */
export function copyLong(
  dst: usize,
  src: usize,
  length: usize,
  secret: usize,
  scratch: usize,
  next: usize,
  nextBytes: usize,
): u64 {
  const lanes = scratchLanes(scratch)
  const sums = scratchSums(scratch)
  const blocks = wholeBlocks(length)
  lanesStart(lanes)
  // A block stays behind, since the streams read ahead in the destination.
  const streamed = streamsAdd<CopyStream>(lanes, dst, src, blocks == 0 ? 0 : blocks - 1, secret, scratch)
  src += streamed * BLOCK_BYTES
  dst += streamed * BLOCK_BYTES
  let touched: u64 = 0
  let ahead = next
  for (let left = blocks - streamed; left > 0; left--) {
    const hasNext = nextBytes >= BLOCK_BYTES
    touched += stripesAdd<CopyThenNext>(sums, src, BLOCK_STRIPES, secret, true, dst, hasNext ? ahead : src)
    blocksChain(lanes, sums, 1, secret)
    src += BLOCK_BYTES
    dst += BLOCK_BYTES
    if (hasNext) {
      ahead += BLOCK_BYTES
      nextBytes -= BLOCK_BYTES
    }
  }
  const tailBytes = length - blocks * BLOCK_BYTES
  const stripes = (tailBytes - 1) / STRIPE_BYTES
  if (nextBytes < BLOCK_BYTES) ahead = src
  touched += stripesAdd<CopyThenNext>(lanes, src, stripes, secret, false, dst, ahead)
  const copied = stripes * STRIPE_BYTES
  memory.copy(dst + copied, src + copied, tailBytes - copied)
  touchedStore(scratch, touched)
  return lastStripeMerge(lanes, src + tailBytes, length, secret)
}

/** Blocks that are scrambled: those with another byte behind them. */
export function wholeBlocks(length: usize): usize {
  return (length - 1) / BLOCK_BYTES
}

/** Takes `blocks` whole blocks at `src` into the lanes. */
export function blocksAdd(lanes: usize, src: usize, blocks: usize, secret: usize, scratch: usize): void {
  const sums = scratchSums(scratch)
  const streamed = streamsAdd<HashOnly>(lanes, 0, src, blocks, secret, scratch)
  src += streamed * BLOCK_BYTES
  for (let left = blocks - streamed; left > 0; left--) {
    stripesAdd<HashOnly>(sums, src, BLOCK_STRIPES, secret, true, 0, 0)
    blocksChain(lanes, sums, 1, secret)
    src += BLOCK_BYTES
  }
}

/**
 * Takes as many of the `blocks` at `src` into the lanes as streams of a useful length hold, and copies
 * them to `dst` when `Work` is CopyStream, which reads TOUCH_AHEAD_BYTES past them. Returns how many.
 */
function streamsAdd<Work>(
  lanes: usize,
  dst: usize,
  src: usize,
  blocks: usize,
  secret: usize,
  scratch: usize,
): usize {
  const sums = scratchSums(scratch)
  let touched: u64 = 0
  let left = blocks
  let distance = streamBlocks(left)
  while (distance >= MIN_STREAM_BLOCKS) {
    const streamBytes = distance * BLOCK_BYTES
    let firstSum = sums
    for (let turn: usize = 0; turn < streamBytes; turn += TURN_BYTES) {
      const isSecondHalf = (turn & TURN_BYTES) != 0
      const key = isSecondHalf ? secret + 8 * TURN_STRIPES : secret
      let at = turn
      let sum = firstSum
      for (let stream: usize = 0; stream < STREAMS; stream++) {
        touched += stripesAdd<Work>(sum, src + at, TURN_STRIPES, key, !isSecondHalf, dst + at, 0)
        at += streamBytes
        sum += distance * LANES_BYTES
      }
      if (isSecondHalf) firstSum += LANES_BYTES
    }
    blocksChain(lanes, sums, STREAMS * distance, secret)
    src += STREAMS * streamBytes
    dst += STREAMS * streamBytes
    left -= STREAMS * distance
    distance = streamBlocks(left)
  }
  touchedStore(scratch, touched)
  return blocks - left
}

/** Takes the last `tailBytes` (1 to 1024) of `length` > 240 bytes into the lanes and returns the hash. */
export function lanesFinish(lanes: usize, tail: usize, tailBytes: usize, length: u64, secret: usize): u64 {
  stripesAdd<HashOnly>(lanes, tail, (tailBytes - 1) / STRIPE_BYTES, secret, false, 0, 0)
  return lastStripeMerge(lanes, tail + tailBytes, length, secret)
}

/** The last stripe ends where the input ends and belongs to no block; it may begin before the tail. */
function lastStripeMerge(lanes: usize, end: usize, length: u64, secret: usize): u64 {
  stripesAdd<HashOnly>(lanes, end - STRIPE_BYTES, 1, secret + LAST_STRIPE_AT, false, 0, 0)
  return lanesMerge(lanes, length, secret)
}

function streamBlocks(blocks: usize): usize {
  return min(blocks / STREAMS, STREAM_BLOCKS)
}

function stripesAdd<Work>(
  lanes: usize,
  src: usize,
  count: usize,
  key: usize,
  fresh: bool,
  dst: usize,
  ahead: usize,
): u64 {
  if (ASC_FEATURE_SIMD) {
    return stripesAddSimd<Work>(lanes, src, count, key, fresh, dst, ahead)
  } else {
    return stripesAddScalar<Work>(lanes, src, count, key, fresh, dst, ahead)
  }
}

function blocksChain(lanes: usize, sums: usize, count: usize, secret: usize): void {
  if (ASC_FEATURE_SIMD) {
    blocksChainSimd(lanes, sums, count, secret)
  } else {
    blocksChainScalar(lanes, sums, count, secret)
  }
}
