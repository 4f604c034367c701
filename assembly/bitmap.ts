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
  let at = bitmap + ((firstBit as usize) >> 3)
  let base = firstBit & ~7
  let left = (endBit as u32) - base
  let skip: u64 = (firstBit & 7) as u64
  let out = runs
  let room = maxRuns << 1
  // The bit before the word, 0 or 1.
  let previous: u64 = 0
  while (left != 0 && room != 0) {
    if (left >= BLOCK_BITS && skip == 0) {
      if (isUniform(at, previous)) {
        at += BLOCK_BYTES
        base += BLOCK_BITS
        left -= BLOCK_BITS
        continue
      }
      if (room >= BLOCK_ROOM) {
        const before = out
        for (let n = 0; n < 8; n++) {
          const word = load<u64>(at)
          const boundaries = word ^ ((word << 1) | previous)
          previous = word >> 63
          storePositions(out, base, boundaries)
          out += (popcnt<u64>(boundaries) as usize) << 2
          at += 8
          base += 64
        }
        left -= BLOCK_BITS
        room -= ((out - before) >> 2) as u32
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

/** True when all bits of a block equal `bit`. */
function isUniform(at: usize, bit: u64): bool {
  if (ASC_FEATURE_SIMD) {
    const all = i64x2.splat(0 - bit)
    const first = v128.or(v128.xor(v128.load(at), all), v128.xor(v128.load(at, 16), all))
    const second = v128.or(v128.xor(v128.load(at, 32), all), v128.xor(v128.load(at, 48), all))
    return !v128.any_true(v128.or(first, second))
  }
  const all: u64 = 0 - bit
  const first = (load<u64>(at) ^ all) | (load<u64>(at, 8) ^ all)
  const second = (load<u64>(at, 16) ^ all) | (load<u64>(at, 24) ^ all)
  const third = (load<u64>(at, 32) ^ all) | (load<u64>(at, 40) ^ all)
  const fourth = (load<u64>(at, 48) ^ all) | (load<u64>(at, 56) ^ all)
  return (first | second | third | fourth) == 0
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
