/**
 * Copies for consumers that keep what they are given.
 *
 * @module
 */

/** Most bytes of one owned chunk. */
export const OWNED_CHUNK_BYTES: number = 256 * 1024

/**
 * The bytes of `chunks` in order, gathered into fresh arrays of at most {@link OWNED_CHUNK_BYTES}. Streams
 * of a runtime pass chunks on by reference, and ours may be a device's memory, used again after the write.
 */
export function* ownedChunks(chunks: readonly Uint8Array[]): Generator<Uint8Array<ArrayBuffer>> {
  let left = chunks.reduce((total, { length }) => total + length, 0)
  let owned = new Uint8Array(Math.min(left, OWNED_CHUNK_BYTES))
  let filled = 0
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + owned.length - filled)
      owned.set(part, filled)
      at += part.length
      filled += part.length
      if (filled < owned.length) continue
      yield owned
      left -= filled
      owned = new Uint8Array(Math.min(left, OWNED_CHUNK_BYTES))
      filled = 0
    }
  }
}
