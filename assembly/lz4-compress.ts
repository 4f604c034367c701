/**
 * Compresses into one LZ4 block: sequences of literals and a copy of earlier bytes.
 *
 * Written from the format's description (lz4_Block_format.md of the lz4 project). Greedy: the last place
 * with the same hash of four bytes is the only one looked at, and bytes without a match are skipped in
 * growing steps. Every variant makes the same block.
 *
 * @module
 */

import { EFAULT, LZ4_TABLE_BYTES } from './abi'
import { isOutside } from './bounds'
import { copy16 } from './lz4-copy'

/** A match has at least four bytes, begins 12 or more before the end, and leaves five to be literals. */
const MIN_MATCH: usize = 4
const LAST_START: usize = 12
const LAST_LITERALS: usize = 5
const MAX_DISTANCE: usize = 65535
/** The largest length that half a token holds says: more follows. */
const LENGTH_MASK: usize = 15
const HASH_FACTOR: u32 = 2654435761
/** Of 32 bits of hash, 12 select an entry of four bytes. */
const HASH_SHIFT: u32 = 20
/** Failed attempts before the step grows by a byte, as a power of two. */
const SKIP_SHIFT: u32 = 6

/**
 * Writes `length` bytes at `src` as one block to `dst`. Returns its length, 0 when it does not fit into
 * `capacity` bytes, or EFAULT. Overwrites the LZ4_TABLE_BYTES at `table`, and bytes of `dst` beyond the
 * block's end.
 */
export function lz4Compress(src: usize, length: usize, dst: usize, capacity: usize, table: usize): i32 {
  if (isOutside(src, length) || isOutside(dst, capacity) || isOutside(table, LZ4_TABLE_BYTES)) return EFAULT
  // SAFETY: offsets of the source stay below `length`, and nothing is written before `room` says it fits.
  memory.fill(table, 0, LZ4_TABLE_BYTES)
  const limit = min(capacity, i32.MAX_VALUE as usize)
  let room = limit
  let anchor: usize = 0
  if (length > LAST_START) {
    const lastStart = length - LAST_START
    const matchEnd = length - LAST_LITERALS
    let attempts: u32 = 1 << SKIP_SHIFT
    // An empty entry is offset 0, which is a candidate like others from offset 1 on.
    let at: usize = 1
    while (at <= lastStart) {
      const word = load<u32>(src + at)
      const entry = table + entryOf(word)
      let match: usize = load<u32>(entry)
      store<u32>(entry, at as u32)
      if (at - match > MAX_DISTANCE || load<u32>(src + match) != word) {
        at += (attempts >> SKIP_SHIFT) as usize
        attempts++
        continue
      }
      while (at > anchor && match > 0 && load<u8>(src + at - 1) == load<u8>(src + match - 1)) {
        at--
        match--
      }
      const literals = at - anchor
      const more = equalBytes(src + at + MIN_MATCH, src + match + MIN_MATCH, matchEnd - at - MIN_MATCH)
      const needed: usize = 3 + literals + lengthBytes(literals) + lengthBytes(more)
      if (needed > room) return 0
      let out = putLiterals(dst + limit - room, src + anchor, literals, more, length - anchor, room)
      store<u16>(out, (at - match) as u16)
      if (more >= LENGTH_MASK) putLength(out + 2, more - LENGTH_MASK)
      room -= needed
      at += MIN_MATCH + more
      anchor = at
      attempts = 1 << SKIP_SHIFT
      if (at <= lastStart) store<u32>(table + entryOf(load<u32>(src + at - 2)), (at - 2) as u32)
    }
  }
  const literals = length - anchor
  const needed: usize = 1 + literals + lengthBytes(literals)
  if (needed > room) return 0
  putLiterals(dst + limit - room, src + anchor, literals, 0, literals, room)
  return (limit - room + needed) as i32
}

/** Offset of the table's entry for four bytes. */
function entryOf(word: u32): usize {
  return (((word * HASH_FACTOR) >> HASH_SHIFT) << 2) as usize
}

/** How many of `length` bytes at `a` and `b` are equal before the first that differ. */
function equalBytes(a: usize, b: usize, length: usize): usize {
  let at: usize = 0
  for (; at + 8 <= length; at += 8) {
    const difference = load<u64>(a + at) ^ load<u64>(b + at)
    if (difference != 0) return at + ((ctz(difference) >> 3) as usize)
  }
  while (at < length && load<u8>(a + at) == load<u8>(b + at)) at++
  return at
}

/** Bytes that a length takes beside its half of the token. */
function lengthBytes(value: usize): usize {
  return value < LENGTH_MASK ? 0 : (value - LENGTH_MASK) / 255 + 1
}

/** Writes what is left of a length beyond its half of the token, and returns where that ends. */
function putLength(out: usize, value: usize): usize {
  for (; value >= 255; value -= 255) store<u8>(out++, 255)
  store<u8>(out, value as u8)
  return out + 1
}

/**
 * Writes a token and the literals, and returns where they end. `readable` bytes can be read at `from`
 * and `writable` be written at `out`: where both allow, 16 are copied for fewer.
 */
function putLiterals(
  out: usize,
  from: usize,
  literals: usize,
  more: usize,
  readable: usize,
  writable: usize,
): usize {
  const token = out
  store<u8>(token, ((min(literals, LENGTH_MASK) << 4) | min(more, LENGTH_MASK)) as u8)
  out++
  if (literals >= LENGTH_MASK) out = putLength(out, literals - LENGTH_MASK)
  if (literals <= 16 && readable >= 16 && writable - (out - token) >= 16) copy16(out, from)
  else memory.copy(out, from, literals)
  return out + literals
}
