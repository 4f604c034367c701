/**
 * Short copies within LZ4 blocks.
 *
 * @module
 */

/** Copies 16 bytes; where the ranges overlap, as if through a buffer. */
export function copy16(dst: usize, src: usize): void {
  if (ASC_FEATURE_SIMD) {
    v128.store(dst, v128.load(src))
  } else {
    const low = load<u64>(src)
    const high = load<u64>(src, 8)
    store<u64>(dst, low)
    store<u64>(dst, high, 8)
  }
}

/**
 * Repeats what stands `distance` bytes before `out` for `bytes` bytes, which may reach into themselves.
 * `writable` bytes, at least `bytes`, can be written at `out`; some beyond the copy's end may be.
 */
export function repeat(out: usize, distance: usize, bytes: usize, writable: usize): void {
  let from = out - distance
  if (distance >= 16 && writable - bytes >= 15) {
    // SAFETY: the last 16 bytes begin before the copy's end, and end at most 15 after it.
    let left = bytes as isize
    do {
      copy16(out, from)
      out += 16
      from += 16
      left -= 16
    } while (left > 0)
  } else if (distance == 1) {
    memory.fill(out, load<u8>(from), bytes)
  } else if (bytes < 32) {
    for (; bytes > 0; bytes--) store<u8>(out++, load<u8>(from++))
  } else {
    // What is copied repeats the period, so each copy can be as long as all before it.
    for (; bytes > distance; distance <<= 1) {
      memory.copy(out, from, distance)
      out += distance
      bytes -= distance
    }
    memory.copy(out, from, bytes)
  }
}
