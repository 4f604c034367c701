/**
 * The same noise twice: in an engine, for the kernels, and in JS Buffers, for the rivals.
 *
 * @module
 */
import { createEngine } from 'stopcopy'
import { KIB, MIB, touch, touchedBuffer } from './touched.mjs'

/** Data from JS is brought to a kernel in pieces of this size: small enough for the cache to hold. */
const STAGING_BYTES = 256 * KIB

/** @param {number} byteLength of the largest case */
export async function openKernelData(byteLength) {
  const engine = await createEngine({ memoryBytes: 2 * byteLength + MIB })
  const { bytes, kernels } = engine
  const [source, target] = [engine.allocate(byteLength, 4096), engine.allocate(byteLength, 4096)]
  touch(bytes.subarray(source, target + byteLength))
  const [from, to] = [touchedBuffer(byteLength), touchedBuffer(byteLength)]
  const out = engine.allocate(16)
  const staging = engine.allocate(STAGING_BYTES, 4096)
  // Generous: what the state really takes is the kernels' own number.
  const state = engine.allocate(4 * KIB, 64)
  /** Calls `take` with pieces of `data` copied to the staging block. */
  const stage = (data, take) => {
    for (let at = 0; at < data.length; at += STAGING_BYTES) {
      const piece = data.subarray(at, at + STAGING_BYTES)
      bytes.set(piece, staging)
      take(staging, piece.length)
    }
  }
  return {
    kernels,
    source,
    target,
    out,
    from,
    to,
    /** XXH3-64 and CRC-32C of a JS buffer, through the staging block. */
    xxh3Staged: (data) => {
      kernels.xxh3Start(state)
      stage(data, (at, length) => kernels.xxh3Update(state, at, length))
      kernels.xxh3Digest(state, out)
    },
    crc32cStaged: (data) => {
      let sum = 0
      stage(data, (at, length) => (sum = kernels.crc32c(at, length, sum)))
      return sum
    },
    /** The result at `out` as an unsigned number. */
    result: () => new DataView(bytes.buffer, out, 8).getBigUint64(0, true),
  }
}

/** What a case says whose kernel the engine does not have. */
export const NOT_BUILT = 'not built yet'
