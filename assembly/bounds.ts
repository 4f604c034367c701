/**
 * The checks a kernel makes before it touches memory.
 *
 * @module
 */

/**
 * True when `byteLength` bytes at `pointer` reach outside the memory. In 64 bits, so that no pointer
 * and length of 32 bits can wrap around; an empty range at the very end is inside.
 */
export function isOutside(pointer: u64, byteLength: u64): bool {
  return pointer + byteLength > (memory.size() as u32 as u64) << 16
}

/** True when two ranges of `byteLength` bytes share one. */
export function isOverlapping(a: usize, b: usize, byteLength: usize): bool {
  return (a > b ? a - b : b - a) < byteLength
}
