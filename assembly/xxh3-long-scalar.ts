/**
 * The long form of XXH3-64 with a local for each lane, for hosts without vectors.
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
export function hashLongScalar(src: usize, length: usize, secret: usize): u64 {
  let lane0 = PRIME32_3
  let lane1 = PRIME64_1
  let lane2 = PRIME64_2
  let lane3 = PRIME64_3
  let lane4 = PRIME64_4
  let lane5 = PRIME32_2
  let lane6 = PRIME64_5
  let lane7 = PRIME32_1
  // The last stripe ends where the input ends and belongs to no block.
  const lastStripe = src + length - STRIPE_BYTES
  let left = length - 1
  while (true) {
    const stripes = min(left, BLOCK_BYTES) / STRIPE_BYTES
    const keyEnd = secret + 8 * stripes
    for (let key = secret; key < keyEnd; key += 8) {
      const data0 = load<u64>(src)
      const data1 = load<u64>(src, 8)
      const data2 = load<u64>(src, 16)
      const data3 = load<u64>(src, 24)
      const data4 = load<u64>(src, 32)
      const data5 = load<u64>(src, 40)
      const data6 = load<u64>(src, 48)
      const data7 = load<u64>(src, 56)
      lane0 += product(data0 ^ load<u64>(key)) + data1
      lane1 += product(data1 ^ load<u64>(key, 8)) + data0
      lane2 += product(data2 ^ load<u64>(key, 16)) + data3
      lane3 += product(data3 ^ load<u64>(key, 24)) + data2
      lane4 += product(data4 ^ load<u64>(key, 32)) + data5
      lane5 += product(data5 ^ load<u64>(key, 40)) + data4
      lane6 += product(data6 ^ load<u64>(key, 48)) + data7
      lane7 += product(data7 ^ load<u64>(key, 56)) + data6
      src += STRIPE_BYTES
    }
    if (left < BLOCK_BYTES) break
    lane0 = scramble(lane0, load<u64>(secret, SCRAMBLE_AT))
    lane1 = scramble(lane1, load<u64>(secret, SCRAMBLE_AT + 8))
    lane2 = scramble(lane2, load<u64>(secret, SCRAMBLE_AT + 16))
    lane3 = scramble(lane3, load<u64>(secret, SCRAMBLE_AT + 24))
    lane4 = scramble(lane4, load<u64>(secret, SCRAMBLE_AT + 32))
    lane5 = scramble(lane5, load<u64>(secret, SCRAMBLE_AT + 40))
    lane6 = scramble(lane6, load<u64>(secret, SCRAMBLE_AT + 48))
    lane7 = scramble(lane7, load<u64>(secret, SCRAMBLE_AT + 56))
    left -= BLOCK_BYTES
  }
  const data0 = load<u64>(lastStripe)
  const data1 = load<u64>(lastStripe, 8)
  const data2 = load<u64>(lastStripe, 16)
  const data3 = load<u64>(lastStripe, 24)
  const data4 = load<u64>(lastStripe, 32)
  const data5 = load<u64>(lastStripe, 40)
  const data6 = load<u64>(lastStripe, 48)
  const data7 = load<u64>(lastStripe, 56)
  lane0 += product(data0 ^ load<u64>(secret, LAST_STRIPE_AT)) + data1
  lane1 += product(data1 ^ load<u64>(secret, LAST_STRIPE_AT + 8)) + data0
  lane2 += product(data2 ^ load<u64>(secret, LAST_STRIPE_AT + 16)) + data3
  lane3 += product(data3 ^ load<u64>(secret, LAST_STRIPE_AT + 24)) + data2
  lane4 += product(data4 ^ load<u64>(secret, LAST_STRIPE_AT + 32)) + data5
  lane5 += product(data5 ^ load<u64>(secret, LAST_STRIPE_AT + 40)) + data4
  lane6 += product(data6 ^ load<u64>(secret, LAST_STRIPE_AT + 48)) + data7
  lane7 += product(data7 ^ load<u64>(secret, LAST_STRIPE_AT + 56)) + data6
  return merge(lane0, lane1, lane2, lane3, lane4, lane5, lane6, lane7, length, secret)
}

/** Low half times high half. */
function product(key: u64): u64 {
  return (key & 0xffffffff) * (key >> 32)
}

function scramble(lane: u64, secret: u64): u64 {
  return (lane ^ (lane >> 47) ^ secret) * PRIME32_1
}
