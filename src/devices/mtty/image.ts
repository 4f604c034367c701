/**
 * The migration stream of an mtty, as the Linux sample driver writes it: a header and its ports.
 * Little endian, no checksum; 60 bytes with one port, 96 with two.
 *
 * ```text
 *  0         8           12          16             20          24        60        96
 *  | magic 64 | major u32 | minor u32 | nr_ports u32 | flags u32 | port 0  | port 1  |
 * ```
 *
 * @module
 */

import { findPortRefusal, PORT_BYTES } from './port-record.ts'

/** Bytes of the header: all that PRE_COPY delivers. */
export const HEADER_BYTES = 24

const MAGIC = 0x7e9d09898c3e2c4en
const MAJOR = 1
const MINOR = 0

/** Bytes of a whole stream: 60 or 96. */
export function imageBytes(ports: number): number {
  return HEADER_BYTES + ports * PORT_BYTES
}

/** Writes the header of a device with `ports` ports to the front of `dst`. */
export function writeHeader(dst: Uint8Array, ports: number): void {
  const view = new DataView(dst.buffer, dst.byteOffset, HEADER_BYTES)
  view.setBigUint64(0, MAGIC, true)
  view.setUint32(8, MAJOR, true)
  view.setUint32(12, MINOR, true)
  view.setUint32(16, ports, true)
  view.setUint32(20, 0, true)
}

/** Why a stream cannot be loaded, and where. */
export interface ImageRefusal {
  readonly section: string
  /** Byte offset in the stream. */
  readonly offset: number
  readonly reason: string
}

/** The first header field that a device with `ports` ports does not accept, or undefined. */
export function findHeaderRefusal(image: Uint8Array, ports: number): ImageRefusal | undefined {
  const view = new DataView(image.buffer, image.byteOffset, HEADER_BYTES)
  const magic = view.getBigUint64(0, true)
  if (magic !== MAGIC) {
    return {
      section: 'header',
      offset: 0,
      reason: `magic is 0x${magic.toString(16)}, this is no mtty stream`,
    }
  }
  const fields = [
    { name: 'major version', offset: 8, wanted: MAJOR },
    { name: 'minor version', offset: 12, wanted: MINOR },
    { name: 'number of ports', offset: 16, wanted: ports },
    { name: 'flags', offset: 20, wanted: 0 },
  ]
  for (const { name, offset, wanted } of fields) {
    const found = view.getUint32(offset, true)
    if (found !== wanted)
      return { section: 'header', offset, reason: `${name} is ${found}, wanted ${wanted}` }
  }
  return undefined
}

/** The bytes of port `index` in an image. */
export function portRecord(image: Uint8Array, index: number): Uint8Array {
  return image.subarray(HEADER_BYTES + index * PORT_BYTES, HEADER_BYTES + (index + 1) * PORT_BYTES)
}

/** The first port field out of range, or undefined. */
export function findPortsRefusal(image: Uint8Array, ports: number): ImageRefusal | undefined {
  for (let index = 0; index < ports; index++) {
    const refusal = findPortRefusal(portRecord(image, index))
    if (refusal === undefined) continue
    const offset = HEADER_BYTES + index * PORT_BYTES + refusal.offset
    return { section: `port ${index}`, offset, reason: refusal.reason }
  }
  return undefined
}
