/**
 * LZ4 blocks in plain TypeScript: the kernels' algorithm, byte for byte.
 *
 * @module
 */

import { KERNEL_EFAULT, KERNEL_EINVAL, LZ4_TABLE_BYTES } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'

/** A match has at least four bytes, begins 12 or more before the end, and leaves five to be literals. */
const MIN_MATCH = 4
const LAST_START = 12
const LAST_LITERALS = 5
const MAX_DISTANCE = 65535
/** The largest length that half a token holds says: more follows. */
const LENGTH_MASK = 15
const MAX_RESULT = 0x7fffffff

/** Twin of `lz4Compress`; its table is on the JavaScript side. */
export function lz4Compress(
  bytes: Uint8Array,
  view: DataView,
  src: number,
  length: number,
  dst: number,
  capacity: number,
  table: number,
): number {
  if (isOutside(bytes.length, src, length) || isOutside(bytes.length, dst, capacity)) return KERNEL_EFAULT
  if (isOutside(bytes.length, table, LZ4_TABLE_BYTES)) return KERNEL_EFAULT
  const offsets = new Uint32Array(LZ4_TABLE_BYTES / 4)
  const word = (at: number): number => view.getUint32(src + at, true)
  const end = dst + Math.min(capacity, MAX_RESULT)
  let out = dst
  let anchor = 0
  let attempts = 64
  let at = 1
  while (at <= length - LAST_START) {
    const value = word(at)
    let match = offsets[entryOf(value)] as number
    offsets[entryOf(value)] = at
    if (at - match > MAX_DISTANCE || word(match) !== value) {
      at += attempts >>> 6
      attempts++
      continue
    }
    while (at > anchor && match > 0 && bytes[src + at - 1] === bytes[src + match - 1]) {
      at--
      match--
    }
    let matchEnd = at + MIN_MATCH
    const distance = at - match
    while (matchEnd < length - LAST_LITERALS && bytes[src + matchEnd] === bytes[src + matchEnd - distance]) {
      matchEnd++
    }
    const more = matchEnd - at - MIN_MATCH
    const literals = at - anchor
    if (3 + literals + lengthBytes(literals) + lengthBytes(more) > end - out) return 0
    out = putLiterals(bytes, out, src + anchor, literals, more)
    view.setUint16(out, distance, true)
    out += 2
    if (more >= LENGTH_MASK) out = putLength(bytes, out, more - LENGTH_MASK)
    at = matchEnd
    anchor = at
    attempts = 64
    if (at <= length - LAST_START) offsets[entryOf(word(at - 2))] = at - 2
  }
  const literals = length - anchor
  if (1 + literals + lengthBytes(literals) > end - out) return 0
  return putLiterals(bytes, out, src + anchor, literals, 0) - dst
}

/** Twin of `lz4Decompress`. */
export function lz4Decompress(
  bytes: Uint8Array,
  src: number,
  length: number,
  dst: number,
  capacity: number,
): number {
  if (isOutside(bytes.length, src, length) || isOutside(bytes.length, dst, capacity)) return KERNEL_EFAULT
  const srcEnd = src + length
  const dstEnd = dst + Math.min(capacity, MAX_RESULT)
  const byte = (index: number): number => bytes[index] as number
  let from = src
  let out = dst
  /** The rest of a length, or a number too large for anything where the block ends within it. */
  const length255 = (start: number): number => {
    let value = start
    for (let more = 255; more === 255;) {
      if (from === srcEnd || value > dstEnd - out) return Number.POSITIVE_INFINITY
      more = byte(from++)
      value += more
    }
    return value
  }
  while (from < srcEnd) {
    const token = byte(from++)
    const literals = token >>> 4 === LENGTH_MASK ? length255(LENGTH_MASK) : token >>> 4
    if (literals > srcEnd - from || literals > dstEnd - out) return KERNEL_EINVAL
    bytes.copyWithin(out, from, from + literals)
    from += literals
    out += literals
    if (from === srcEnd) return out - dst
    if (srcEnd - from < 2) return KERNEL_EINVAL
    const distance = byte(from) | (byte(from + 1) << 8)
    from += 2
    if (distance === 0 || distance > out - dst) return KERNEL_EINVAL
    const half = token & LENGTH_MASK
    const matched = MIN_MATCH + (half === LENGTH_MASK ? length255(half) : half)
    if (matched > dstEnd - out) return KERNEL_EINVAL
    for (let left = matched; left > 0; left--, out++) bytes[out] = byte(out - distance)
  }
  return KERNEL_EINVAL
}

/** Index of the table's entry for four bytes. */
function entryOf(word: number): number {
  return Math.imul(word, 2654435761) >>> 20
}

/** Bytes that a length takes beside its half of the token. */
function lengthBytes(value: number): number {
  return value < LENGTH_MASK ? 0 : Math.floor((value - LENGTH_MASK) / 255) + 1
}

/** Writes what is left of a length beyond its half of the token, and returns where that ends. */
function putLength(bytes: Uint8Array, start: number, value: number): number {
  let out = start
  let left = value
  for (; left >= 255; left -= 255) bytes[out++] = 255
  bytes[out] = left
  return out + 1
}

/** Writes a token and the literals, and returns where they end. */
function putLiterals(bytes: Uint8Array, start: number, from: number, literals: number, more: number): number {
  bytes[start] = (Math.min(literals, LENGTH_MASK) << 4) | Math.min(more, LENGTH_MASK)
  const out = literals < LENGTH_MASK ? start + 1 : putLength(bytes, start + 1, literals - LENGTH_MASK)
  bytes.copyWithin(out, from, from + literals)
  return out + literals
}
