/**
 * One op of a layout program over a block of records: strided copies and byte swaps, straight-line per
 * record. Between two sizes the last piece overlaps the one before it; all loads of a record of at most
 * 64 bytes come before its stores.
 *
 * SAFETY: callers have checked both ranges, and that they do not overlap.
 *
 * @module
 */

/** Above it `memory.copy`, a call, costs less than a loop. */
const LONG_RECORD: u32 = 256

/** Copies `bytes` bytes of each of `count` records. */
export function copyRecords(
  dst: usize,
  dstStride: u32,
  src: usize,
  srcStride: u32,
  count: u32,
  bytes: u32,
): void {
  if (bytes <= 3) copyTiny(dst, dstStride, src, srcStride, count, bytes)
  else if (bytes < 8) {
    const last = bytes - 4
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      const a = load<u32>(src)
      const b = load<u32>(src + last)
      store<u32>(dst, a)
      store<u32>(dst + last, b)
    }
  } else if (bytes == 8) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) store<u64>(dst, load<u64>(src))
  } else if (bytes < 16 || (!ASC_FEATURE_SIMD && bytes == 16)) {
    const last = bytes - 8
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      const a = load<u64>(src)
      const b = load<u64>(src + last)
      store<u64>(dst, a)
      store<u64>(dst + last, b)
    }
  } else if (bytes > LONG_RECORD) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) memory.copy(dst, src, bytes)
  } else if (ASC_FEATURE_SIMD) copyVectors(dst, dstStride, src, srcStride, count, bytes)
  else {
    const last = bytes - 16
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      for (let at: u32 = 0; at < last; at += 16) {
        store<u64>(dst + at, load<u64>(src + at))
        store<u64>(dst + at, load<u64>(src + at, 8), 8)
      }
      store<u64>(dst + last, load<u64>(src + last))
      store<u64>(dst + last, load<u64>(src + last, 8), 8)
    }
  }
}

function copyTiny(dst: usize, dstStride: u32, src: usize, srcStride: u32, count: u32, bytes: u32): void {
  if (bytes == 1) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) store<u8>(dst, load<u8>(src))
    return
  }
  const odd = bytes == 3
  for (; count > 0; count--, dst += dstStride, src += srcStride) {
    store<u16>(dst, load<u16>(src))
    if (odd) store<u8>(dst, load<u8>(src, 2), 2)
  }
}

/** Records of 16 to {@link LONG_RECORD} bytes. */
function copyVectors(dst: usize, dstStride: u32, src: usize, srcStride: u32, count: u32, bytes: u32): void {
  const last = bytes - 16
  if (bytes == 16) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) v128.store(dst, v128.load(src))
  } else if (bytes <= 32) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      const a = v128.load(src)
      const b = v128.load(src + last)
      v128.store(dst, a)
      v128.store(dst + last, b)
    }
  } else if (bytes <= 64) {
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      const a = v128.load(src)
      const b = v128.load(src, 16)
      const c = v128.load(src + last - 16)
      const d = v128.load(src + last)
      v128.store(dst, a)
      v128.store(dst, b, 16)
      v128.store(dst + last - 16, c)
      v128.store(dst + last, d)
    }
  } else {
    for (; count > 0; count--, dst += dstStride, src += srcStride) {
      for (let at: u32 = 0; at < last; at += 16) v128.store(dst + at, v128.load(src + at))
      v128.store(dst + last, v128.load(src + last))
    }
  }
}

/** Copies `bytes` bytes of each of `count` records, the bytes of each unit of 2, 4 or 8 reversed. */
export function swapRecords(
  dst: usize,
  dstStride: u32,
  src: usize,
  srcStride: u32,
  count: u32,
  bytes: u32,
  unit: u32,
): void {
  for (; count > 0; count--, dst += dstStride, src += srcStride) {
    if (ASC_FEATURE_SIMD && bytes >= 16) {
      const order = swapOrder(unit)
      const last = bytes - 16
      for (let at: u32 = 0; at < last; at += 16) {
        v128.store(dst + at, v128.swizzle(v128.load(src + at), order))
      }
      v128.store(dst + last, v128.swizzle(v128.load(src + last), order))
    } else {
      for (let at: u32 = 0; at < bytes; at += unit) swapOne(dst + at, src + at, unit)
    }
  }
}

function swapOne(dst: usize, src: usize, unit: u32): void {
  if (unit == 2) store<u16>(dst, bswap<u16>(load<u16>(src)))
  else if (unit == 4) store<u32>(dst, bswap<u32>(load<u32>(src)))
  else store<u64>(dst, bswap<u64>(load<u64>(src)))
}

/** The lanes of `v128.swizzle` that reverse each unit of 2, 4 or 8 bytes. */
export function swapOrder(unit: u32): v128 {
  if (unit == 2) return i8x16(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
  if (unit == 4) return i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  return i8x16(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
}
