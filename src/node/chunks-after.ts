/**
 * What a short `writev` left to write.
 *
 * @module
 */

/** The chunks after their first `byteLength` bytes. */
export function chunksAfter(chunks: readonly Uint8Array[], byteLength: number): Uint8Array[] {
  let skip = byteLength
  const left: Uint8Array[] = []
  for (const chunk of chunks) {
    if (skip < chunk.length) left.push(chunk.subarray(skip))
    skip = Math.max(0, skip - chunk.length)
  }
  return left
}
