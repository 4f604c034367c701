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

/** True when two ranges share a byte. */
export function isOverlapping(a: u64, aBytes: u64, b: u64, bBytes: u64): bool {
  return a < b + bBytes && b < a + aBytes && aBytes > 0 && bBytes > 0
}
