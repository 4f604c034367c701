/**
 * Stripes and scrambles of XXH3-64 with two lanes to a vector.
 *
 * A lane gets the product of its own key and the data of its neighbour. The data is summed as it lies
 * and its lanes are swapped once at the end: shuffles are what the vector units have fewest of.
 *
 * @module
 */

import { TOUCH_AHEAD_BYTES, copies, readsNext } from './xxh3-work'
import { LANES_BYTES, PRIME32_1, SCRAMBLE_AT, STRIPE_BYTES } from './xxh3-mix'

/**
 * Adds `count` stripes at `src`, keyed from `key` on, to the lanes, or to zeros when `fresh`. `Work` says
 * what else happens to them; `dst` and `ahead` are of no account without it.
 */
export function stripesAddSimd<Work>(
  lanes: usize,
  src: usize,
  count: usize,
  key: usize,
  fresh: bool,
  dst: usize,
  ahead: usize,
): u64 {
  let data0 = i64x2.splat(0)
  let data1 = i64x2.splat(0)
  let data2 = i64x2.splat(0)
  let data3 = i64x2.splat(0)
  let sum0 = i64x2.splat(0)
  let sum1 = i64x2.splat(0)
  let sum2 = i64x2.splat(0)
  let sum3 = i64x2.splat(0)
  let touched: u64 = 0
  const keyEnd = key + 8 * count
  for (; key < keyEnd; key += 8) {
    const read0 = v128.load(src)
    const read1 = v128.load(src, 16)
    const read2 = v128.load(src, 32)
    const read3 = v128.load(src, 48)
    if (copies<Work>()) {
      touched += readsNext<Work>() ? load<u64>(ahead) : load<u64>(dst, TOUCH_AHEAD_BYTES)
      v128.store(dst, read0)
      v128.store(dst, read1, 16)
      v128.store(dst, read2, 32)
      v128.store(dst, read3, 48)
      dst += STRIPE_BYTES
      if (readsNext<Work>()) ahead += STRIPE_BYTES
    }
    const key0 = v128.xor(read0, v128.load(key))
    const key1 = v128.xor(read1, v128.load(key, 16))
    const key2 = v128.xor(read2, v128.load(key, 32))
    const key3 = v128.xor(read3, v128.load(key, 48))
    data0 = i64x2.add(data0, read0)
    data1 = i64x2.add(data1, read1)
    data2 = i64x2.add(data2, read2)
    data3 = i64x2.add(data3, read3)
    sum0 = i64x2.add(sum0, productsFirst(key0, key1))
    sum1 = i64x2.add(sum1, productsSecond(key0, key1))
    sum2 = i64x2.add(sum2, productsFirst(key2, key3))
    sum3 = i64x2.add(sum3, productsSecond(key2, key3))
    src += STRIPE_BYTES
  }
  pairAdd(lanes, sum0, data0, fresh)
  pairAdd(lanes + 16, sum1, data1, fresh)
  pairAdd(lanes + 32, sum2, data2, fresh)
  pairAdd(lanes + 48, sum3, data3, fresh)
  return touched
}

/** Adds each of `count` block sums to the lanes and scrambles them after it. */
export function blocksChainSimd(lanes: usize, sums: usize, count: usize, secret: usize): void {
  let lanes0 = v128.load(lanes)
  let lanes1 = v128.load(lanes, 16)
  let lanes2 = v128.load(lanes, 32)
  let lanes3 = v128.load(lanes, 48)
  const secret0 = v128.load(secret, SCRAMBLE_AT)
  const secret1 = v128.load(secret, SCRAMBLE_AT + 16)
  const secret2 = v128.load(secret, SCRAMBLE_AT + 32)
  const secret3 = v128.load(secret, SCRAMBLE_AT + 48)
  for (; count > 0; count--) {
    lanes0 = scramble(i64x2.add(lanes0, v128.load(sums)), secret0)
    lanes1 = scramble(i64x2.add(lanes1, v128.load(sums, 16)), secret1)
    lanes2 = scramble(i64x2.add(lanes2, v128.load(sums, 32)), secret2)
    lanes3 = scramble(i64x2.add(lanes3, v128.load(sums, 48)), secret3)
    sums += LANES_BYTES
  }
  v128.store(lanes, lanes0)
  v128.store(lanes, lanes1, 16)
  v128.store(lanes, lanes2, 32)
  v128.store(lanes, lanes3, 48)
}

/** Adds products and the neighbours' data to two lanes. */
function pairAdd(pair: usize, products: v128, data: v128, fresh: bool): void {
  const sum = i64x2.add(products, v128.shuffle<u64>(data, data, 1, 0))
  v128.store(pair, fresh ? sum : i64x2.add(v128.load(pair), sum))
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
