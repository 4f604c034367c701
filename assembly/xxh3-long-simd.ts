/**
 * The long form of XXH3-64 with two lanes to a vector.
 *
 * @module
 */

import {
  BLOCK_BYTES,
  LAST_STRIPE_AT,
  PRIME32_1,
  PRIME32_2,
  PRIME32_3,
  PRIME64_1,
  PRIME64_2,
  PRIME64_3,
  PRIME64_4,
  PRIME64_5,
  SCRAMBLE_AT,
  STRIPE_BYTES,
  merge,
} from './xxh3-mix'

/** Hash of `length` > 240 bytes with the seeded secret at `secret`. */
export function hashLongSimd(src: usize, length: usize, secret: usize): u64 {
  let lanes0 = pair(PRIME32_3, PRIME64_1)
  let lanes1 = pair(PRIME64_2, PRIME64_3)
  let lanes2 = pair(PRIME64_4, PRIME32_2)
  let lanes3 = pair(PRIME64_5, PRIME32_1)
  // The last stripe ends where the input ends and belongs to no block.
  const lastStripe = src + length - STRIPE_BYTES
  let left = length - 1
  while (true) {
    const stripes = min(left, BLOCK_BYTES) / STRIPE_BYTES
    const keyEnd = secret + 8 * stripes
    for (let key = secret; key < keyEnd; key += 8) {
      const data0 = v128.load(src)
      const data1 = v128.load(src, 16)
      const data2 = v128.load(src, 32)
      const data3 = v128.load(src, 48)
      const key0 = v128.xor(data0, v128.load(key))
      const key1 = v128.xor(data1, v128.load(key, 16))
      const key2 = v128.xor(data2, v128.load(key, 32))
      const key3 = v128.xor(data3, v128.load(key, 48))
      lanes0 = i64x2.add(i64x2.add(lanes0, swapLanes(data0)), productsFirst(key0, key1))
      lanes1 = i64x2.add(i64x2.add(lanes1, swapLanes(data1)), productsSecond(key0, key1))
      lanes2 = i64x2.add(i64x2.add(lanes2, swapLanes(data2)), productsFirst(key2, key3))
      lanes3 = i64x2.add(i64x2.add(lanes3, swapLanes(data3)), productsSecond(key2, key3))
      src += STRIPE_BYTES
    }
    if (left < BLOCK_BYTES) break
    lanes0 = scramble(lanes0, v128.load(secret, SCRAMBLE_AT))
    lanes1 = scramble(lanes1, v128.load(secret, SCRAMBLE_AT + 16))
    lanes2 = scramble(lanes2, v128.load(secret, SCRAMBLE_AT + 32))
    lanes3 = scramble(lanes3, v128.load(secret, SCRAMBLE_AT + 48))
    left -= BLOCK_BYTES
  }
  const data0 = v128.load(lastStripe)
  const data1 = v128.load(lastStripe, 16)
  const data2 = v128.load(lastStripe, 32)
  const data3 = v128.load(lastStripe, 48)
  const key0 = v128.xor(data0, v128.load(secret, LAST_STRIPE_AT))
  const key1 = v128.xor(data1, v128.load(secret, LAST_STRIPE_AT + 16))
  const key2 = v128.xor(data2, v128.load(secret, LAST_STRIPE_AT + 32))
  const key3 = v128.xor(data3, v128.load(secret, LAST_STRIPE_AT + 48))
  lanes0 = i64x2.add(i64x2.add(lanes0, swapLanes(data0)), productsFirst(key0, key1))
  lanes1 = i64x2.add(i64x2.add(lanes1, swapLanes(data1)), productsSecond(key0, key1))
  lanes2 = i64x2.add(i64x2.add(lanes2, swapLanes(data2)), productsFirst(key2, key3))
  lanes3 = i64x2.add(i64x2.add(lanes3, swapLanes(data3)), productsSecond(key2, key3))
  return merge(
    i64x2.extract_lane(lanes0, 0),
    i64x2.extract_lane(lanes0, 1),
    i64x2.extract_lane(lanes1, 0),
    i64x2.extract_lane(lanes1, 1),
    i64x2.extract_lane(lanes2, 0),
    i64x2.extract_lane(lanes2, 1),
    i64x2.extract_lane(lanes3, 0),
    i64x2.extract_lane(lanes3, 1),
    length,
    secret,
  )
}

function pair(first: u64, second: u64): v128 {
  return i64x2.replace_lane(i64x2.splat(first), 1, second)
}

function swapLanes(lanes: v128): v128 {
  return v128.shuffle<u64>(lanes, lanes, 1, 0)
}

/** Low half times high half of each lane of `a`, from shuffles that `b`'s products share. */
function productsFirst(a: v128, b: v128): v128 {
  return i64x2.extmul_low_i32x4_u(v128.shuffle<u32>(a, b, 0, 2, 4, 6), v128.shuffle<u32>(a, b, 1, 3, 5, 7))
}

/** Low half times high half of each lane of `b`. */
function productsSecond(a: v128, b: v128): v128 {
  return i64x2.extmul_high_i32x4_u(v128.shuffle<u32>(a, b, 0, 2, 4, 6), v128.shuffle<u32>(a, b, 1, 3, 5, 7))
}

function scramble(lanes: v128, secret: v128): v128 {
  const mixed = v128.xor(v128.xor(lanes, i64x2.shr_u(lanes, 47)), secret)
  return i64x2.mul(mixed, i64x2.splat(PRIME32_1))
}
