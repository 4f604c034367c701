/**
 * XXH3-64 of bytes that come in pieces. The state, XXH3_STATE_BYTES:
 * ```text
 *  0        8       16       80       272             336          1360
 *  | length | seed  | lanes  | secret | bytes before  | bytes that |
 *  | u64    | u64   | u64[8] | u8[192]| the next 64   | wait, 1024 |
 * ```
 * How many bytes wait follows from the length, so there is no field that a damaged state could lead
 * outside the memory with. A block waits until the byte after it is there: the last one is not
 * scrambled. The 64 bytes before it are kept because the last stripe may begin among them.
 *
 * @module
 */

import { EFAULT, XXH3_SCRATCH_BYTES, XXH3_STATE_BYTES } from './abi'
import { isOutside } from './bounds'
import { hashUpTo240, seedOf } from './xxh3'
import { blocksAdd, lanesFinish, wholeBlocks } from './xxh3-long'
import { BLOCK_BYTES, LANES_BYTES, STRIPE_BYTES, lanesStart } from './xxh3-mix'
import { defaultSecret, scratchLanes } from './xxh3-scratch'
import { secretStore } from './xxh3-secret'

const LENGTH_AT: usize = 0
const SEED_AT: usize = 8
const LANES_AT: usize = 16
const SECRET_AT: usize = 80
const BEFORE_AT: usize = 272
const WAITING_AT: usize = 336

/** Begins a hash in the XXH3_STATE_BYTES at `state`. Returns 0, or EFAULT. */
export function xxh3Start(state: usize, seedLow: u32, seedHigh: u32): i32 {
  if (isOutside(state, XXH3_STATE_BYTES)) return EFAULT
  const seed = seedOf(seedLow, seedHigh)
  store<u64>(state, 0, LENGTH_AT)
  store<u64>(state, seed, SEED_AT)
  lanesStart(state + LANES_AT)
  secretStore(state + SECRET_AT, seed)
  return 0
}

/** Adds `length` bytes at `src`, outside the state. Returns 0, or EFAULT. */
export function xxh3Update(state: usize, src: usize, length: usize, scratch: usize): i32 {
  if (isOutside(state, XXH3_STATE_BYTES) || isOutside(src, length)) return EFAULT
  if (isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  if (length == 0) return 0
  // SAFETY: waitingBytes is at most BLOCK_BYTES, and no more than `left` bytes are taken from src.
  const total = load<u64>(state, LENGTH_AT)
  const waiting = waitingBytes(total)
  store<u64>(state, total + (length as u64), LENGTH_AT)
  const fill = min(length, BLOCK_BYTES - waiting)
  memory.copy(state + WAITING_AT + waiting, src, fill)
  src += fill
  const left = length - fill
  if (left == 0) return 0
  const lanes = state + LANES_AT
  const secret = state + SECRET_AT
  blocksAdd(lanes, state + WAITING_AT, 1, secret, scratch)
  let before = state + WAITING_AT + BLOCK_BYTES - STRIPE_BYTES
  const blocks = wholeBlocks(left)
  if (blocks > 0) {
    blocksAdd(lanes, src, blocks, secret, scratch)
    src += blocks * BLOCK_BYTES
    before = src - STRIPE_BYTES
  }
  memory.copy(state + BEFORE_AT, before, STRIPE_BYTES)
  memory.copy(state + WAITING_AT, src, left - blocks * BLOCK_BYTES)
  return 0
}

/**
 * Stores the hash of all bytes so far as 8 little-endian bytes at `out`, and leaves the state as it
 * is. Returns 0, or EFAULT.
 */
export function xxh3Digest(state: usize, out: usize, scratch: usize): i32 {
  if (isOutside(state, XXH3_STATE_BYTES) || isOutside(out, 8)) return EFAULT
  if (isOutside(scratch, XXH3_SCRATCH_BYTES)) return EFAULT
  const total = load<u64>(state, LENGTH_AT)
  const waiting = state + WAITING_AT
  let hash: u64
  if (total <= 240) {
    hash = hashUpTo240(waiting, total as usize, load<u64>(state, SEED_AT), defaultSecret(scratch))
  } else {
    const lanes = scratchLanes(scratch)
    memory.copy(lanes, state + LANES_AT, LANES_BYTES)
    hash = lanesFinish(lanes, waiting, waitingBytes(total), total, state + SECRET_AT)
  }
  store<u64>(out, hash)
  return 0
}

/** How many of `total` bytes no block has taken: 1 to 1024, none only at the start. */
function waitingBytes(total: u64): usize {
  return total == 0 ? 0 : (((total - 1) as usize) % BLOCK_BYTES) + 1
}
