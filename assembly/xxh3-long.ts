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
import { blocksChainScalar, stripesAddScalar, stripesCopyScalar } from './xxh3-stripes-scalar'
import { blocksChainSimd, stripesAddSimd, stripesCopySimd } from './xxh3-stripes-simd'

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

/** `hashLong` that also copies the input to `dst`. */
export function copyLong(dst: usize, src: usize, length: usize, secret: usize, scratch: usize): u64 {
  const lanes = scratchLanes(scratch)
  const blocks = wholeBlocks(length)
  lanesStart(lanes)
  // A block stays behind, since the streams read ahead in the destination. It and the rest are short:
  // the copy leaves them in L1 for the hash.
  const streamed = streamsAdd(lanes, dst, src, blocks == 0 ? 0 : blocks - 1, secret, scratch, true)
  const from = streamed * BLOCK_BYTES
  memory.copy(dst + from, src + from, length - from)
  blocksAdd(lanes, src + from, blocks - streamed, secret, scratch)
  const done = blocks * BLOCK_BYTES
  return lanesFinish(lanes, src + done, length - done, length, secret)
}

/** Blocks that are scrambled: those with another byte behind them. */
export function wholeBlocks(length: usize): usize {
  return (length - 1) / BLOCK_BYTES
}

/** Takes `blocks` whole blocks at `src` into the lanes. */
export function blocksAdd(lanes: usize, src: usize, blocks: usize, secret: usize, scratch: usize): void {
  const sums = scratchSums(scratch)
  const streamed = streamsAdd(lanes, 0, src, blocks, secret, scratch, false)
  src += streamed * BLOCK_BYTES
  for (let left = blocks - streamed; left > 0; left--) {
    stripesAdd(sums, src, BLOCK_STRIPES, secret, true)
    blocksChain(lanes, sums, 1, secret)
    src += BLOCK_BYTES
  }
}

/**
 * Takes as many of the `blocks` at `src` into the lanes as streams of a useful length hold, and copies
 * them to `dst` when `copies`: then TOUCH_AHEAD_BYTES behind them are read there. Returns how many.
 */
function streamsAdd(
  lanes: usize,
  dst: usize,
  src: usize,
  blocks: usize,
  secret: usize,
  scratch: usize,
  copies: bool,
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
        if (copies) touched += stripesCopy(sum, dst + at, src + at, TURN_STRIPES, key, !isSecondHalf)
        else stripesAdd(sum, src + at, TURN_STRIPES, key, !isSecondHalf)
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
  stripesAdd(lanes, tail, (tailBytes - 1) / STRIPE_BYTES, secret, false)
  // The last stripe ends where the input ends and belongs to no block; it may begin before the tail.
  stripesAdd(lanes, tail + tailBytes - STRIPE_BYTES, 1, secret + LAST_STRIPE_AT, false)
  return lanesMerge(lanes, length, secret)
}

function streamBlocks(blocks: usize): usize {
  return min(blocks / STREAMS, STREAM_BLOCKS)
}

function stripesAdd(lanes: usize, src: usize, count: usize, key: usize, fresh: bool): void {
  if (ASC_FEATURE_SIMD) {
    stripesAddSimd(lanes, src, count, key, fresh)
  } else {
    stripesAddScalar(lanes, src, count, key, fresh)
  }
}

function stripesCopy(lanes: usize, dst: usize, src: usize, count: usize, key: usize, fresh: bool): u64 {
  if (ASC_FEATURE_SIMD) {
    return stripesCopySimd(lanes, dst, src, count, key, fresh)
  } else {
    return stripesCopyScalar(lanes, dst, src, count, key, fresh)
  }
}

function blocksChain(lanes: usize, sums: usize, count: usize, secret: usize): void {
  if (ASC_FEATURE_SIMD) {
    blocksChainSimd(lanes, sums, count, secret)
  } else {
    blocksChainScalar(lanes, sums, count, secret)
  }
}
