/**
 * Checksums of small byte arrays outside engine memory, such as a configuration's fingerprint: plain
 * TypeScript, no engine to wait for. Bulk data belongs into engine memory and its kernels.
 *
 * @module
 */

import { crc32c } from './reference/crc32c.ts'
import { xxh3 } from './reference/xxh3.ts'

/** XXH3-64 of the bytes with seed 0. */
export function xxh3OfBytes(bytes: Uint8Array): bigint {
  return xxh3(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength, 0n)
}

/** CRC-32C of the bytes, unsigned; `previous` is the result over the bytes before them. */
export function crc32cOfBytes(bytes: Uint8Array, previous = 0): number {
  return crc32c(bytes, 0, bytes.byteLength, previous)
}
