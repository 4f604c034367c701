/**
 * The range checks of the TypeScript twin.
 *
 * @module
 */

/** True when `byteLength` bytes at `pointer` reach outside `memoryBytes`. */
export function isOutside(memoryBytes: number, pointer: number, byteLength: number): boolean {
  return pointer + byteLength > memoryBytes
}

/** True when two ranges share a byte. */
export function isOverlapping(a: number, aBytes: number, b: number, bBytes: number): boolean {
  return a < b + bBytes && b < a + aBytes && aBytes > 0 && bBytes > 0
}
