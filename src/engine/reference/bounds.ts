/**
 * The bounds check of the TypeScript twin.
 *
 * @module
 */

/** True when `byteLength` bytes at `pointer` reach outside `memoryBytes`. */
export function isOutside(memoryBytes: number, pointer: number, byteLength: number): boolean {
  return pointer + byteLength > memoryBytes
}
