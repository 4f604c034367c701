/**
 * Pages that differ from a shadow copy, in plain TypeScript.
 *
 * @module
 */

import { KERNEL_EFAULT, KERNEL_EINVAL } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'

/** Twin of `pagesDiff`. */
export function pagesDiff(
  bytes: Uint8Array,
  a: number,
  b: number,
  length: number,
  pageBytes: number,
  bitmap: number,
): number {
  if (pageBytes === 0) return KERNEL_EINVAL
  const pageCount = Math.ceil(length / pageBytes)
  if (pageCount > 0x7fffffff) return KERNEL_EINVAL
  const outside = (pointer: number, byteLength: number): boolean =>
    isOutside(bytes.length, pointer, byteLength)
  if (outside(a, length) || outside(b, length) || outside(bitmap, Math.ceil(pageCount / 8)))
    return KERNEL_EFAULT
  const words = new Int32Array(bytes.buffer)
  let found = 0
  for (let page = 0; page < pageCount; page++) {
    const cell = bitmap + (page >>> 3)
    const bits = bytes[cell] as number
    const bit = 1 << (page & 7)
    if ((bits & bit) !== 0) continue
    const start = page * pageBytes
    const pageLength = Math.min(pageBytes, length - start)
    if (!isDifferent(bytes, words, a + start, b + start, pageLength)) continue
    bytes[cell] = bits | bit
    found++
  }
  return found
}

/** Words where both sides are aligned, bytes for what is left. */
function isDifferent(bytes: Uint8Array, words: Int32Array, a: number, b: number, length: number): boolean {
  let at = 0
  if (((a | b) & 3) === 0)
    for (; at + 4 <= length; at += 4) if (words[(a + at) >>> 2] !== words[(b + at) >>> 2]) return true
  for (; at < length; at++) if (bytes[a + at] !== bytes[b + at]) return true
  return false
}
