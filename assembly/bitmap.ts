/**
 * Runs of set bits of a page bitmap: bit n % 8 of byte n / 8 stands for page n.
 *
 * @module
 */

import { EFAULT, RUN_BYTES } from './abi'
import { isOutside } from './bounds'

/** Bytes and bits that one step of the fast loop takes. */
const BLOCK_BYTES: usize = 64
const BLOCK_BITS: u32 = 512
/** Boundaries a block may have, and how many one store group may write past the last of them. */
const BLOCK_ROOM: u32 = BLOCK_BITS + 4
/** From so many words with boundaries on, a block is faster taken as a whole than by the words that have some. */
const DENSE_WORDS: u32 = 7

/**
 * Writes the runs of set bits among `bitCount` bits from `firstBit` on, in order, as pairs (u32 first,
 * u32 count) to `runs`, at most `maxRuns`; what is beyond them in the area of `maxRuns` pairs is
 * undefined afterwards. Returns how many, or EFAULT.
 *
 * Works on boundaries, the bits that differ from the one before: the first starts a run, the second
 * ends it, and so on, so that runs that cross words are no special case.
 */
export function bitmapRunsFind(bitmap: usize, firstBit: u32, bitCount: u32, runs: usize, maxRuns: u32): i32 {
  const endBit = (firstBit as u64) + (bitCount as u64)
  if (endBit > (u32.MAX_VALUE as u64) || isOutside(bitmap, (endBit + 7) >> 3)) return EFAULT
  if (isOutside(runs, (maxRuns as u64) * RUN_BYTES)) return EFAULT
  if (bitCount == 0) return 0
  // SAFETY: `left` counts the bits from `at` to the range's end and bounds every read, `room` the u32
  // from `out` to the area's end and bounds every write.
  const first = bitmap + ((firstBit as usize) >> 3)
  let at = first
  let base = firstBit & ~7
  let left = (endBit as u32) - base
  let skip: u64 = (firstBit & 7) as u64
  let out = runs
  let room = maxRuns << 1
  // The bit before the word, 0 or 1.
  let previous: u64 = 0
  while (left != 0 && room != 0) {
    // Not the first word: a block looks at the bit before it.
    if (left >= BLOCK_BITS && at != first) {
      const changed = changedWords(at)
      if (changed == 0) {
        at += BLOCK_BYTES
        base += BLOCK_BITS
        left -= BLOCK_BITS
        continue
      }
      if (room >= BLOCK_ROOM) {
        const isDense = popcnt<u32>(changed) >= DENSE_WORDS
        const end = isDense ? storeDense(out, at, base) : storeSparse(out, at, base, changed)
        room -= ((end - out) >> 2) as u32
        out = end
        at += BLOCK_BYTES
        base += BLOCK_BITS
        left -= BLOCK_BITS
        previous = load<u64>(at - 8) >> 63
        continue
      }
    }
    const bits = min<u32>(left, 64)
    const word = ((bits == 64 ? load<u64>(at) : loadTail(at, bits)) >> skip) << skip
    skip = 0
    let boundaries = word ^ ((word << 1) | previous)
    previous = word >> 63
    for (; boundaries != 0 && room != 0; room--) {
      store<u32>(out, base + (ctz<u64>(boundaries) as u32))
      boundaries &= boundaries - 1
      out += 4
    }
    at += 8
    base += 64
    left -= bits
  }
  if (previous != 0 && room != 0) {
    store<u32>(out, endBit as u32)
    room--
  }
  const count = maxRuns - (room >> 1)
  endsToCounts(runs, count)
  return count as i32
}

/** Bit n tells whether a block's word n has boundaries; the build without vectors does not know which. */
function changedWords(at: usize): u32 {
  if (ASC_FEATURE_SIMD) {
    const first = unchangedLanes(at) | (unchangedLanes(at + 16) << 2)
    const second = unchangedLanes(at + 32) | (unchangedLanes(at + 48) << 2)
    return ~(first | (second << 4)) & 0xff
  }
  const all: u64 = 0 - (load<u64>(at - 8) >> 63)
  const first = (load<u64>(at) ^ all) | (load<u64>(at, 8) ^ all)
  const second = (load<u64>(at, 16) ^ all) | (load<u64>(at, 24) ^ all)
  const third = (load<u64>(at, 32) ^ all) | (load<u64>(at, 40) ^ all)
  const fourth = (load<u64>(at, 48) ^ all) | (load<u64>(at, 56) ^ all)
  return (first | second | third | fourth) == 0 ? 0 : 0xff
}

/** Bit n tells whether the word in lane n equals itself shifted up by one, the bit before it in bit 0. */
function unchangedLanes(at: usize): i32 {
  const words = v128.load(at)
  const previous = i64x2.shr_u(v128.load(at - 8), 63)
  return i64x2.bitmask(i64x2.eq(previous, v128.xor(words, i64x2.shl(words, 1))))
}

/** Stores the boundaries of the words in `changed` at `out`; where they end. */
function storeSparse(out: usize, block: usize, base: u32, changed: u32): usize {
  for (; changed != 0; changed &= changed - 1) {
    const n = ctz<u32>(changed)
    const at = block + ((n as usize) << 3)
    const word = load<u64>(at)
    const boundaries = word ^ ((word << 1) | (load<u64>(at - 8) >> 63))
    storePositions(out, base + (n << 6), boundaries)
    out += (popcnt<u64>(boundaries) as usize) << 2
  }
  return out
}

/** Stores the boundaries of all words of a block at `out`; where they end. */
function storeDense(out: usize, at: usize, base: u32): usize {
  let previous = load<u64>(at - 8) >> 63
  for (let n = 0; n < 4; n++) {
    const even = load<u64>(at)
    const odd = load<u64>(at, 8)
    const evenBoundaries = even ^ ((even << 1) | previous)
    const oddBoundaries = odd ^ ((odd << 1) | (even >> 63))
    previous = odd >> 63
    storePositions(out, base, evenBoundaries)
    out += (popcnt<u64>(evenBoundaries) as usize) << 2
    storePositions(out, base + 64, oddBoundaries)
    out += (popcnt<u64>(oddBoundaries) as usize) << 2
    at += 16
    base += 128
  }
  return out
}

/**
 * Stores the positions of a word's set bits in order: two without asking, which is all that most
 * words have and spares a mispredicted branch, then four at a time. Up to four stores too many.
 */
function storePositions(out: usize, base: u32, bits: u64): void {
  store<u32>(out, base + (ctz<u64>(bits) as u32))
  bits &= bits - 1
  store<u32>(out, base + (ctz<u64>(bits) as u32), 4)
  bits &= bits - 1
  for (; bits != 0; out += 16) {
    store<u32>(out, base + (ctz<u64>(bits) as u32), 8)
    bits &= bits - 1
    store<u32>(out, base + (ctz<u64>(bits) as u32), 12)
    bits &= bits - 1
    store<u32>(out, base + (ctz<u64>(bits) as u32), 16)
    bits &= bits - 1
    store<u32>(out, base + (ctz<u64>(bits) as u32), 20)
    bits &= bits - 1
  }
}

/** The last `bits` < 64 bits of a bitmap, by bytes: a word would pass its end. */
function loadTail(at: usize, bits: u32): u64 {
  let word: u64 = 0
  for (let bit: u32 = 0; bit < bits; bit += 8) word |= (load<u8>(at++) as u64) << (bit as u64)
  return word & ~((-1 as u64) << (bits as u64))
}

/** Turns pairs (first, end) into pairs (first, count). */
function endsToCounts(runs: usize, count: u32): void {
  if (ASC_FEATURE_SIMD) {
    for (; count >= 2; count -= 2) {
      const pairs = v128.load(runs)
      v128.store(runs, i32x4.sub(pairs, i64x2.shl(pairs, 32)))
      runs += 16
    }
  }
  for (; count != 0; count--) {
    store<u32>(runs, load<u32>(runs, 4) - load<u32>(runs), 4)
    runs += RUN_BYTES
  }
}
