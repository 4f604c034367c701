/**
 * Which pages are dirty: seeded, so that every run of the benchmarks asks for the same ones.
 *
 * @module
 */

export const PAGE_BYTES = 4096
/** Seed of every pattern; a case goes on through one sequence, round by round. */
export const SEED = 12_345

/**
 * xorshift32: numbers from 0 to below `limit`.
 *
 * @returns {(limit: number) => number}
 */
export function createRandom(seed = SEED) {
  let state = seed
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor(((state >>> 0) / 2 ** 32) * limit)
  }
}

/**
 * A bitmap with exactly `share` of the pages set.
 *
 * @param {number} pageCount a multiple of 32
 * @param {number} share 0 to 1
 * @param {'clustered' | 'random'} kind clustered: runs of 1 to 64 pages; random: single pages
 * @param {(limit: number) => number} random
 * @returns {Int32Array} bit n % 32 of word n / 32 is page n
 */
export function dirtyPages(pageCount, share, kind, random) {
  const bitmap = new Int32Array(pageCount / 32)
  let missing = Math.floor(pageCount * share)
  while (missing > 0) {
    const first = random(pageCount)
    const end = Math.min(pageCount, first + (kind === 'clustered' ? 1 + random(64) : 1))
    for (let page = first; page < end && missing > 0; page++) {
      const bit = 1 << (page & 31)
      if ((bitmap[page >>> 5] & bit) !== 0) continue
      bitmap[page >>> 5] |= bit
      missing--
    }
  }
  return bitmap
}

/**
 * Runs of set bits as pairs (first, count): the TypeScript rival. One clz32 for each end of a run; words of
 * all zeros and all ones are skipped. Int32Array, because V8 keeps its elements in registers as they are.
 *
 * @param {Int32Array} bitmap
 * @param {Uint32Array} runs
 * @returns {number} how many runs
 */
export function findRuns(bitmap, runs) {
  let count = 0
  let first = 0
  let inside = 0
  const words = bitmap.length
  for (let word = 0; word < words; word++) {
    const bits = bitmap[word]
    // inside is 0 or 1: a word of zeros outside a run, and one of ones inside, change nothing.
    if (bits === -inside) continue
    // Bit n is set where bit n differs from the one before it: where a run begins or ends.
    let edges = bits ^ ((bits << 1) | inside)
    const base = word << 5
    while (edges !== 0) {
      const at = base + 31 - Math.clz32(edges & -edges)
      edges &= edges - 1
      if (inside === 0) first = at
      else {
        runs[count * 2] = first
        runs[count * 2 + 1] = at - first
        count++
      }
      inside ^= 1
    }
  }
  if (inside === 1) {
    runs[count * 2] = first
    runs[count * 2 + 1] = words * 32 - first
    count++
  }
  return count
}
