/**
 * Power-on content from a seed: the same bytes everywhere, and no page is zero.
 *
 * @module
 */

import { mix } from './record.ts'

/** Memory filled between two turns of the event loop. */
const FILL_SLICE_WORDS = 4 * 1024 * 1024
/** What stands behind the last whole word. */
const TAIL_BYTE = 0xa5

/** The words of seeded memory, one after the other. */
export class SeededContent {
  #state: number

  constructor(seed: number) {
    this.#state = mix(seed) | 1
  }

  /** Fills `bytes`, which follow what was filled before; all but the last piece are whole words. */
  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4))
    let state = this.#state
    for (let at = 0; at < words.length; at++) {
      // xorshift32 never reaches 0 from a non-zero state.
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      words[at] = state
    }
    this.#state = state
    bytes.fill(TAIL_BYTE, words.length * 4)
  }
}

/** Fills memory from a seed. Yields on large memory. */
export async function fillSeeded(bytes: Uint8Array, seed: number): Promise<void> {
  const content = new SeededContent(seed)
  for (let at = 0; at < bytes.length; at += FILL_SLICE_WORDS * 4) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve))
    content.fill(bytes.subarray(at, at + FILL_SLICE_WORDS * 4))
  }
}
