/**
 * One check of a layout program over a block of records. A range is a lowest value and a span, compared
 * modulo the width, so that signed and unsigned need no telling apart.
 *
 * SAFETY: callers have checked that every value is inside the memory.
 *
 * @module
 */

import { swapOrder } from './layout-move'
import { Check, KIND_BIG_ENDIAN, KIND_REFUSES_INSIDE } from './layout-rows'

/**
 * Address of the first refused value in `records` records `stride` bytes apart, the first of which has
 * its values at `values`; `usize.MAX_VALUE` when there is none.
 */
export function findBadValue(check: Check, values: usize, stride: u32, records: u32): usize {
  if (ASC_FEATURE_SIMD && check.elements * check.width >= 16) {
    if (!isAnyVectorBad(check, values, stride, records)) return usize.MAX_VALUE
  } else if (!isAnyBad(check, values, stride, records, check.elements)) return usize.MAX_VALUE
  // Only to say which.
  for (; records > 0; records--, values += stride) {
    for (let n: u32 = 0; n < check.elements; n++) {
      const at = values + n * check.width
      if (isAnyBad(check, at, 0, 1, 1)) return at
    }
  }
  return usize.MAX_VALUE
}

function isAnyBad(check: Check, values: usize, stride: u32, records: u32, elements: u32): bool {
  const width = check.width
  let outside: u64
  if (width == 1) outside = countOutside<u8>(check, values, stride, records, elements)
  else if (width == 2) outside = countOutside<u16>(check, values, stride, records, elements)
  else if (width == 4) outside = countOutside<u32>(check, values, stride, records, elements)
  else outside = countOutside<u64>(check, values, stride, records, elements)
  return check.kind & KIND_REFUSES_INSIDE ? outside != (records as u64) * elements : outside != 0
}

/** Counts instead of leaving early: a branch per value would cost more than the value. */
function countOutside<T extends number>(
  check: Check,
  values: usize,
  stride: u32,
  records: u32,
  elements: u32,
): u64 {
  const lowest = check.lowest as T
  const range = min(check.span, (<T>-1) as u64) as T
  const swapped = sizeof<T>() > 1 && (check.kind & KIND_BIG_ENDIAN) != 0
  let outside: u64 = 0
  if (elements == 1 && !swapped) {
    // Most checks: single registers, little endian.
    let quick: u32 = 0
    for (; records >= 4; records -= 4, values += 4 * stride) {
      quick += u32(((load<T>(values) - lowest) as T) > range)
      quick += u32(((load<T>(values + stride) - lowest) as T) > range)
      quick += u32(((load<T>(values + 2 * stride) - lowest) as T) > range)
      quick += u32(((load<T>(values + 3 * stride) - lowest) as T) > range)
    }
    outside = quick
  }
  for (; records > 0; records--, values += stride) {
    for (let n: u32 = 0, at = values; n < elements; n++, at += sizeof<T>()) {
      let value = load<T>(at)
      if (swapped) value = bswap<T>(value)
      outside += u64(((value - lowest) as T) > range)
    }
  }
  return outside
}

function isAnyVectorBad(check: Check, values: usize, stride: u32, records: u32): bool {
  const width = check.width
  if (width == 1) return isAnyLaneBad<u8>(check, values, stride, records)
  if (width == 2) return isAnyLaneBad<u16>(check, values, stride, records)
  if (width == 4) return isAnyLaneBad<u32>(check, values, stride, records)
  return isAnyLaneBad<u64>(check, values, stride, records)
}

/** Arrays of 16 bytes and more; the last vector overlaps the one before it. */
function isAnyLaneBad<T extends number>(check: Check, values: usize, stride: u32, records: u32): bool {
  const lowest = v128.splat<T>(check.lowest as T)
  const range = v128.splat<T>(min(check.span, (<T>-1) as u64) as T)
  const swapped = sizeof<T>() > 1 && (check.kind & KIND_BIG_ENDIAN) != 0
  const order = swapOrder(sizeof<T>())
  const inverted = i8x16.splat(check.kind & KIND_REFUSES_INSIDE ? -1 : 0)
  const last = check.elements * check.width - 16
  let bad = i8x16.splat(0)
  for (; records > 0; records--, values += stride) {
    let vector = v128.load(values + last)
    if (swapped) vector = v128.swizzle(vector, order)
    bad = v128.or(bad, v128.xor(isGreater<T>(v128.sub<T>(vector, lowest), range), inverted))
    for (let at: u32 = 0; at < last; at += 16) {
      vector = v128.load(values + at)
      if (swapped) vector = v128.swizzle(vector, order)
      bad = v128.or(bad, v128.xor(isGreater<T>(v128.sub<T>(vector, lowest), range), inverted))
    }
  }
  return v128.any_true(bad)
}

/** Unsigned. There is no such instruction for 64 bits: with the sign bits turned over, the signed one says it. */
function isGreater<T extends number>(a: v128, b: v128): v128 {
  if (sizeof<T>() < 8) return v128.gt<T>(a, b)
  const signs = i64x2.splat(i64.MIN_VALUE)
  return v128.gt<i64>(v128.xor(a, signs), v128.xor(b, signs))
}
