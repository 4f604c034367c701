/**
 * The dirty bitmap's bits: bit n of word n / 32 stands for page n.
 *
 * @module
 */

/** The first set bit at or after `from`, or -1. */
export function firstSetBit(words: Uint32Array, from: number): number {
  let word = from >>> 5
  let bits = (words[word] ?? 0) & (-1 << (from & 31))
  while (bits === 0) {
    if (++word >= words.length) return -1
    bits = words[word] as number
  }
  return word * 32 + (31 - Math.clz32(bits & -bits))
}

/** Sets `count` bits from `first` on. */
export function setBits(words: Uint32Array, first: number, count: number): void {
  for (let at = first, end = first + count; at < end; at = (at | 31) + 1)
    words[at >>> 5] = (words[at >>> 5] as number) | mask(at, end)
}

/** Clears `count` bits from `first` on. */
export function clearBits(words: Uint32Array, first: number, count: number): void {
  for (let at = first, end = first + count; at < end; at = (at | 31) + 1)
    words[at >>> 5] = (words[at >>> 5] as number) & ~mask(at, end)
}

/** Bits from `at` to the end of its word, or to `end` when that comes first. */
function mask(at: number, end: number): number {
  const above = (at | 31) + 1 - end
  return (-1 << (at & 31)) & (above > 0 ? -1 >>> above : -1)
}
