/** Random numbers that come again with their seed. @module */

/** Numbers of 0 to 1, 1 excluded. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    // An LCG (Knuth), and its high bits only.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d)
    mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a_2d39)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
