/**
 * Bytes cut as a migration cuts them, without a device, a checksum or an answer.
 *
 * @module
 */
import { MIB, touchedBuffer } from '../data/touched.mjs'

const HEADER_BYTES = 64
/** A section of a device's stream: a header and pages. */
const [SECTION_HEADER_BYTES, SECTION_BYTES] = [32, 256 * 1024]
const SECTIONS = 4

let memory

/**
 * Writes `bytes` of touched memory in frames of 1 MiB: a header, then four sections of two chunks each. One
 * write is under way, as on a migration's connection.
 *
 * @param {import('stopcopy').ByteSink} sink
 */
export async function writeFrames(sink, { bytes }) {
  memory ??= touchedBuffer(bytes)
  const [header, section] = [new Uint8Array(HEADER_BYTES), new Uint8Array(SECTION_HEADER_BYTES)]
  for (let at = 0; at < bytes;) {
    const chunks = [header]
    for (let count = 0; count < SECTIONS && at < bytes; count++) {
      chunks.push(section, memory.subarray(at, at + SECTION_BYTES))
      at += SECTION_BYTES
    }
    await sink.write(chunks)
  }
}

/** Writes bytes in pieces of 1 MiB. */
export async function writeWhole(sink, bytes) {
  for (let at = 0; at < bytes.length; at += MIB) await sink.write([bytes.subarray(at, at + MIB)])
}
