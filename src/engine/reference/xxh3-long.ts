/**
 * XXH3-64 above 240 bytes: eight 64-bit lanes over stripes of 64 bytes, scrambled after every block of
 * 16 stripes. Lanes are kept as halves of 32 bits, since a bigint per word would be 50 times slower.
 *
 * @module
 */

import { PRIME64_1, avalanche, multiplyFold } from './xxh3-mix.ts'
import { seededSecret, word } from './xxh3-secret.ts'

/** Bytes of a stripe. */
export const STRIPE_BYTES = 64
/** Bytes of a block. */
export const BLOCK_BYTES = 1024
/** Where in the secret the scramble, the last stripe and the merge begin. */
const SCRAMBLE_AT = 128
const LAST_STRIPE_AT = 121
const MERGE_AT = 11
const PRIME32_1 = 0x9e3779b1
const TWO_32 = 0x100000000
/** Lane i is words 2i (low) and 2i + 1 (high). */
const INITIAL_LANES: readonly number[] = [
  0xc2b2ae3d, 0, 0x85ebca87, 0x9e3779b1, 0x27d4eb4f, 0xc2b2ae3d, 0x9e3779f9, 0x165667b1, 0xc2b2ae63,
  0x85ebca77, 0x85ebca77, 0, 0x165667c5, 0x27d4eb2f, 0x9e3779b1, 0,
]

/** The lanes before the first stripe, as words of 32 bits. */
export function initialLanes(): Uint32Array {
  return Uint32Array.from(INITIAL_LANES)
}

/** Hash of `length` > 240 bytes. */
export function hashLong(view: DataView, src: number, length: number, seed: bigint): bigint {
  const secret = seededSecret(seed)
  const lanes = initialLanes()
  const blocks = wholeBlocks(length)
  addBlocks(lanes, view, src, blocks, secret)
  const done = blocks * BLOCK_BYTES
  return finish(lanes, view, src + done, length - done, BigInt(length), secret)
}

/** Blocks that are scrambled: those with another byte behind them. */
export function wholeBlocks(length: number): number {
  return Math.floor((length - 1) / BLOCK_BYTES)
}

/** Takes whole blocks into the lanes. */
export function addBlocks(
  lanes: Uint32Array,
  view: DataView,
  src: number,
  blocks: number,
  secret: DataView,
): void {
  for (let block = 0; block < blocks; block++) {
    const at = src + block * BLOCK_BYTES
    addStripes(lanes, view, at, BLOCK_BYTES / STRIPE_BYTES, secret)
    scramble(lanes, secret)
  }
}

/** Takes the last `tailBytes` (1 to 1024) of `length` > 240 bytes into the lanes and returns the hash. */
export function finish(
  lanes: Uint32Array,
  view: DataView,
  tail: number,
  tailBytes: number,
  length: bigint,
  secret: DataView,
): bigint {
  addStripes(lanes, view, tail, Math.floor((tailBytes - 1) / STRIPE_BYTES), secret)
  // The last stripe ends where the input ends and belongs to no block; it may begin before the tail.
  accumulate(lanes, view, tail + tailBytes - STRIPE_BYTES, secret, LAST_STRIPE_AT)
  return merge(lanes, secret, length)
}

function addStripes(lanes: Uint32Array, view: DataView, src: number, count: number, secret: DataView): void {
  for (let i = 0; i < count; i++) accumulate(lanes, view, src + i * STRIPE_BYTES, secret, 8 * i)
}

/** Adds to each lane the product of its key's halves and its neighbour's data. */
function accumulate(
  lanes: Uint32Array,
  view: DataView,
  src: number,
  secret: DataView,
  secretAt: number,
): void {
  for (let i = 0; i < 16; i += 2) {
    const dataLow = view.getUint32(src + 4 * i, true)
    const dataHigh = view.getUint32(src + 4 * i + 4, true)
    const a = (dataLow ^ secret.getUint32(secretAt + 4 * i, true)) >>> 0
    const b = (dataHigh ^ secret.getUint32(secretAt + 4 * i + 4, true)) >>> 0
    add(lanes, i, Math.imul(a, b) >>> 0, multiplyHigh(a, b))
    add(lanes, i ^ 2, dataLow, dataHigh)
  }
}

function scramble(lanes: Uint32Array, secret: DataView): void {
  for (let i = 0; i < 16; i += 2) {
    const laneLow = lanes[i] as number
    const laneHigh = lanes[i + 1] as number
    // The lane shifted right by 47 is its high half shifted by 15.
    const low = (laneLow ^ (laneHigh >>> 15) ^ secret.getUint32(SCRAMBLE_AT + 4 * i, true)) >>> 0
    const high = laneHigh ^ secret.getUint32(SCRAMBLE_AT + 4 * i + 4, true)
    lanes[i] = Math.imul(low, PRIME32_1)
    lanes[i + 1] = multiplyHigh(low, PRIME32_1) + Math.imul(high, PRIME32_1)
  }
}

function merge(lanes: Uint32Array, secret: DataView, length: bigint): bigint {
  const lane = (i: number): bigint =>
    (BigInt(lanes[2 * i + 1] as number) << 32n) | BigInt(lanes[2 * i] as number)
  let sum = length * PRIME64_1
  for (let i = 0; i < 8; i += 2) {
    sum += multiplyFold(
      lane(i) ^ word(secret, MERGE_AT + 8 * i),
      lane(i + 1) ^ word(secret, MERGE_AT + 8 * i + 8),
    )
  }
  return avalanche(BigInt.asUintN(64, sum))
}

/** Adds a 64-bit number to the lane at word `i`. */
function add(lanes: Uint32Array, i: number, low: number, high: number): void {
  const sum = (lanes[i] as number) + low
  lanes[i] = sum
  lanes[i + 1] = (lanes[i + 1] as number) + high + (sum >= TWO_32 ? 1 : 0)
}

/** High half of the product of two unsigned 32-bit numbers, exact: no step exceeds 2^53. */
function multiplyHigh(a: number, b: number): number {
  const low = (a & 0xffff) * b
  const high = (a >>> 16) * b
  return Math.floor((high + Math.floor(low / 0x10000)) / 0x10000)
}
