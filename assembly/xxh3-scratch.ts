/**
 * What stands where in the scratch of the XXH3 kernels (XXH3_SCRATCH_BYTES), and the pace of the long
 * form, which decides how much of it there is.
 *
 * @module
 */

import { EFAULT, XXH3_SCRATCH_BYTES } from './abi'
import { isOutside } from './bounds'
import { secretStore } from './xxh3-secret'

/** The secret of seed 0, which `xxh3ScratchBuild` stores once. */
const DEFAULT_SECRET_AT: usize = 0
/** The secret of another seed, stored by each call that has one. */
const SEEDED_SECRET_AT: usize = 192
const LANES_AT: usize = 384
/** Where the words end up that are read ahead of the copy. */
const TOUCHED_AT: usize = 448
/** Sums of blocks whose turn has not come: STREAMS * STREAM_BLOCKS times 64 bytes, to the end. */
const SUMS_AT: usize = 512

/**
 * Streams of a long input that are read in turn. A prefetcher follows several pages at once but stops
 * at the end of each: reading 1 GiB from DRAM in one stream takes 1.4 times as long.
 */
export const STREAMS: usize = 3
/** Blocks between the streams, at the most. Measured: 16 KiB give 1.3 of one stream, 64 KiB 1.5. */
export const STREAM_BLOCKS: usize = 64
/** Blocks between the streams, at the least: below a page they help no prefetcher. */
export const MIN_STREAM_BLOCKS: usize = 4

/** Stores what every call finds in its scratch. Returns 0, or EFAULT. */
export function xxh3ScratchBuild(scratch: usize): i32 {
  if (isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  secretStore(scratch + DEFAULT_SECRET_AT, 0)
  return 0
}

/** Address of the secret of seed 0. */
export function defaultSecret(scratch: usize): usize {
  return scratch + DEFAULT_SECRET_AT
}

/** Address of the secret of `seed`, which is stored unless it is ready. */
export function seededSecret(scratch: usize, seed: u64): usize {
  if (seed == 0) return scratch + DEFAULT_SECRET_AT
  secretStore(scratch + SEEDED_SECRET_AT, seed)
  return scratch + SEEDED_SECRET_AT
}

/** Address of eight lanes. */
export function scratchLanes(scratch: usize): usize {
  return scratch + LANES_AT
}

/** Address of the block sums. */
export function scratchSums(scratch: usize): usize {
  return scratch + SUMS_AT
}

/** Keeps what was read ahead of the copy, lest a compiler find it unused. */
export function touchedStore(scratch: usize, touched: u64): void {
  store<u64>(scratch, touched, TOUCHED_AT)
}
