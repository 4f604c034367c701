/**
 * Scans over pages in plain TypeScript.
 *
 * @module
 */

import { RUN_BYTES, ZERO_RUN_FLAG } from '../engine.ts'
import { KERNEL_EFAULT, KERNEL_EINVAL } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'

/** Twin of `zeroPagesScan`. */
export function zeroPagesScan(
  bytes: Uint8Array,
  src: number,
  length: number,
  pageBytes: number,
  bitmap: number,
): number {
  if (pageBytes === 0) return KERNEL_EINVAL
  const pageCount = Math.ceil(length / pageBytes)
  if (pageCount > 0x7fffffff) return KERNEL_EINVAL
  const bitmapBytes = Math.ceil(pageCount / 8)
  if (isOutside(bytes.length, src, length) || isOutside(bytes.length, bitmap, bitmapBytes))
    return KERNEL_EFAULT
  const words = new Int32Array(bytes.buffer)
  const end = src + length
  let zeroCount = 0
  let bits = 0
  for (let page = 0; page < pageCount; page++) {
    const start = src + page * pageBytes
    if (isZero(bytes, words, start, Math.min(start + pageBytes, end))) {
      bits |= 1 << (page & 7)
      zeroCount++
    }
    if ((page & 7) === 7 || page === pageCount - 1) {
      bytes[bitmap + (page >>> 3)] = bits
      bits = 0
    }
  }
  return zeroCount
}

/** Twin of `zeroRunsFind`. */
export function zeroRunsFind(
  bytes: Uint8Array,
  view: DataView,
  src: number,
  length: number,
  pageBytes: number,
  firstPage: number,
  pageCount: number,
  runs: number,
  maxRuns: number,
): number {
  if (pageBytes === 0 || pageCount > 0x7fffffff) return KERNEL_EINVAL
  if (firstPage + pageCount > Math.ceil(length / pageBytes)) return KERNEL_EFAULT
  if (isOutside(bytes.length, src, length) || isOutside(bytes.length, runs, maxRuns * RUN_BYTES))
    return KERNEL_EFAULT
  const words = new Int32Array(bytes.buffer)
  const endPage = firstPage + pageCount
  const end = src + length
  let found = 0
  for (let page = firstPage; page < endPage && found < maxRuns; found++) {
    const first = page
    let runFlag = 0
    for (; page < endPage; page++) {
      const start = src + page * pageBytes
      const flag = isZero(bytes, words, start, Math.min(start + pageBytes, end)) ? ZERO_RUN_FLAG : 0
      if (page === first) runFlag = flag
      else if (flag !== runFlag) break
    }
    view.setUint32(runs + found * RUN_BYTES, first, true)
    view.setUint32(runs + found * RUN_BYTES + 4, (page - first) | runFlag, true)
  }
  return found
}

/** Bytes up to a whole word, words, bytes after the last whole word. */
function isZero(bytes: Uint8Array, words: Int32Array, start: number, end: number): boolean {
  const firstWord = Math.ceil(start / 4)
  const endWord = Math.floor(end / 4)
  if (firstWord >= endWord) return isZeroBytes(bytes, start, end)
  if (!isZeroBytes(bytes, start, firstWord * 4)) return false
  for (let word = firstWord; word < endWord; word++) if (words[word] !== 0) return false
  return isZeroBytes(bytes, endWord * 4, end)
}

function isZeroBytes(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false
  return true
}
