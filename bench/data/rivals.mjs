/**
 * The rivals, each called the way its own documentation says is fastest. Their data is a JS Buffer: none of
 * them can be handed the engine's memory without a view of it, and a view changes nothing for them.
 *
 * @module
 */
import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import nodeRsXxhash from '@node-rs/xxhash'
import { createXXHash3 } from 'hash-wasm'
import createXxhash from 'xxhash-wasm'

// hash-wasm's README: reuse an instance and init() it, digest('binary') spares the hexadecimal text. Its
// shorthand `await xxhash3(data)` does the same behind a promise; the two run at one speed.
const hashWasm = await createXXHash3()
// xxhash-wasm's README, "Raw": for a Uint8Array at hand; faster than create64() and update().
const xxhashWasm = await createXxhash()

/** Checksums by name: the algorithm (what must agree), and the call. */
export const rivals = {
  'hash-wasm xxh3': { algorithm: 'xxh3', hash: (data) => hashWasm.init().update(data).digest('binary') },
  '@node-rs xxh3': { algorithm: 'xxh3', hash: (data) => nodeRsXxhash.xxh3.xxh64(data) },
  // Other algorithms of the same use: the fastest hash without a key that npm has, natively and in WebAssembly.
  '@node-rs xxh64': { algorithm: 'xxh64', hash: (data) => nodeRsXxhash.xxh64(data) },
  'xxhash-wasm h64Raw': { algorithm: 'xxh64', hash: (data) => xxhashWasm.h64Raw(data) },
  '@node-rs crc32c': { algorithm: 'crc32c', hash: (data) => crc32c(data) },
  // CRC-32 as in gzip, another polynomial: what Node itself offers (20.15 and later).
  'zlib crc32': { algorithm: 'crc32', hash: (data) => zlibCrc32(data) },
}

/** The fastest native hash: what a save without stopcopy would use. */
export const fastestHash = rivals['@node-rs xxh64'].hash
