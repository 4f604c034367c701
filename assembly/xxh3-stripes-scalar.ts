/**
 * Stripes and scrambles of XXH3-64 with a local for each lane, for hosts without vectors.
 *
 * @module
 */

import { TOUCH_AHEAD_BYTES, copies, readsNext } from './xxh3-work'
import { LANES_BYTES, PRIME32_1, SCRAMBLE_AT, STRIPE_BYTES } from './xxh3-mix'

/** `stripesAddSimd` without vectors. */
export function stripesAddScalar<Work>(
  lanes: usize,
  src: usize,
  count: usize,
  key: usize,
  fresh: bool,
  dst: usize,
  ahead: usize,
): u64 {
  let lane0: u64 = fresh ? 0 : load<u64>(lanes)
  let lane1: u64 = fresh ? 0 : load<u64>(lanes, 8)
  let lane2: u64 = fresh ? 0 : load<u64>(lanes, 16)
  let lane3: u64 = fresh ? 0 : load<u64>(lanes, 24)
  let lane4: u64 = fresh ? 0 : load<u64>(lanes, 32)
  let lane5: u64 = fresh ? 0 : load<u64>(lanes, 40)
  let lane6: u64 = fresh ? 0 : load<u64>(lanes, 48)
  let lane7: u64 = fresh ? 0 : load<u64>(lanes, 56)
  let touched: u64 = 0
  const keyEnd = key + 8 * count
  for (; key < keyEnd; key += 8) {
    const data0 = load<u64>(src)
    const data1 = load<u64>(src, 8)
    const data2 = load<u64>(src, 16)
    const data3 = load<u64>(src, 24)
    const data4 = load<u64>(src, 32)
    const data5 = load<u64>(src, 40)
    const data6 = load<u64>(src, 48)
    const data7 = load<u64>(src, 56)
    if (copies<Work>()) {
      touched += readsNext<Work>() ? load<u64>(ahead) : load<u64>(dst, TOUCH_AHEAD_BYTES)
      store<u64>(dst, data0)
      store<u64>(dst, data1, 8)
      store<u64>(dst, data2, 16)
      store<u64>(dst, data3, 24)
      store<u64>(dst, data4, 32)
      store<u64>(dst, data5, 40)
      store<u64>(dst, data6, 48)
      store<u64>(dst, data7, 56)
      dst += STRIPE_BYTES
      if (readsNext<Work>()) ahead += STRIPE_BYTES
    }
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
  store<u64>(lanes, lane0)
  store<u64>(lanes, lane1, 8)
  store<u64>(lanes, lane2, 16)
  store<u64>(lanes, lane3, 24)
  store<u64>(lanes, lane4, 32)
  store<u64>(lanes, lane5, 40)
  store<u64>(lanes, lane6, 48)
  store<u64>(lanes, lane7, 56)
  return touched
}

/** Adds each of `count` block sums to the lanes and scrambles them after it. */
export function blocksChainScalar(lanes: usize, sums: usize, count: usize, secret: usize): void {
  for (; count > 0; count--) {
    for (let at: usize = 0; at < LANES_BYTES; at += 8) {
      const lane = load<u64>(lanes + at) + load<u64>(sums + at)
      store<u64>(lanes + at, (lane ^ (lane >> 47) ^ load<u64>(secret + at, SCRAMBLE_AT)) * PRIME32_1)
    }
    sums += LANES_BYTES
  }
}

/** Low half times high half. */
function product(key: u64): u64 {
  return (key & 0xffffffff) * (key >> 32)
}
