/**
 * Makes any stream, well-formed or not, whose checksums are right: what a hostile or broken writer
 * could send. Nothing here is shared with the writer under test but the two checksum functions.
 *
 * @module
 */

import { crc32cOfBytes, xxh3OfBytes } from '../../src/engine/index.ts'
import { type Configuration, encodeConfiguration } from '../../src/format/index.ts'

/** Tags by name, and the flag that most sections carry. */
export const TAG = { CONFIG: 1, STATE: 2, PAGES: 3, ZERO: 4, OPAQUE: 5, END: 6, PAGES_LZ4: 7 } as const
export const MANDATORY = 1
export const OPAQUE_STREAM = 1
export const CRC32C_STREAM = 2

/** A stream header to make; what is left out is as in a good stream. */
export interface CraftedHeader {
  magic?: Uint8Array
  formatVersion?: number
  headerBytes?: number
  flags?: number
  pageBytes?: number
  deviceVersion?: number
  fingerprint?: Uint8Array
  /** Raw bytes of the type field, or its text. */
  type?: string | Uint8Array
  reserved?: Uint8Array
}

/** A section to make; sequence number, length and checksums are computed unless given. */
export interface CraftedSection {
  tag: number
  payload: Uint8Array
  flags?: number
  sequence?: number
  payloadBytes?: number
  region?: number
  first?: number | bigint
  payloadChecksum?: Uint8Array
}

/** A stream to make. */
export interface CraftedStream {
  header?: CraftedHeader
  /** The CONFIG section comes first and gives the fingerprint; `null` leaves it out. */
  configuration?: Configuration | Uint8Array | null
  sections?: readonly CraftedSection[]
  /** Totals and digest to state instead of the right ones; `null` leaves END out. */
  end?: { sections?: bigint; payloadBytes?: bigint; digest?: Uint8Array } | null
}

/** A section of a stream that was taken apart. */
export interface TakenSection extends Required<
  Omit<CraftedSection, 'payloadChecksum' | 'payloadBytes' | 'first'>
> {
  offset: number
  first: number
}

/** Builds the stream. */
export function buildStream(stream: CraftedStream): Uint8Array {
  const flags = stream.header?.flags ?? 0
  const checksum = (bytes: Uint8Array): Uint8Array => checksumBytes(bytes, (flags & CRC32C_STREAM) !== 0)
  const config =
    stream.configuration instanceof Uint8Array
      ? stream.configuration
      : stream.configuration === null
        ? undefined
        : encodeConfiguration(stream.configuration ?? {})
  const header = headerBytes(
    { fingerprint: u64Bytes(xxh3OfBytes(config ?? new Uint8Array(0))), ...stream.header },
    checksum,
  )
  const parts = [header]
  let digest: Uint8Array = header.slice(120)
  let sequence = 0
  let payloadBytes = 0
  const sections: CraftedSection[] = config === undefined ? [] : [{ tag: TAG.CONFIG, payload: config }]
  for (const section of [...sections, ...(stream.sections ?? [])]) {
    const bytes = sectionBytes({ sequence, ...section }, checksum)
    parts.push(bytes, section.payload)
    digest = checksum(concat([digest, bytes.subarray(32)]))
    payloadBytes += section.payload.length
    sequence++
  }
  if (stream.end !== null) {
    const payload = new Uint8Array(24)
    const view = new DataView(payload.buffer)
    view.setBigUint64(0, stream.end?.sections ?? BigInt(sequence), true)
    view.setBigUint64(8, stream.end?.payloadBytes ?? BigInt(payloadBytes), true)
    payload.set(stream.end?.digest ?? digest, 16)
    parts.push(sectionBytes({ tag: TAG.END, payload, sequence }, checksum), payload)
  }
  return concat(parts)
}

/** The sections of a good stream, to be built again in another order; END is left out. */
export function takeApart(bytes: Uint8Array): { header: CraftedHeader; sections: TakenSection[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const sections: TakenSection[] = []
  for (let offset = 128; offset < bytes.length;) {
    const length = view.getUint32(offset + 8, true)
    const tag = view.getUint16(offset, true)
    sections.push({
      offset,
      tag,
      flags: view.getUint16(offset + 2, true),
      sequence: view.getUint32(offset + 4, true),
      region: view.getUint32(offset + 12, true),
      first: Number(view.getBigUint64(offset + 16, true)),
      payload: bytes.slice(offset + 40, offset + 40 + length),
    })
    offset += 40 + length
  }
  const type = bytes.slice(32, 80)
  return {
    header: {
      flags: view.getUint32(12, true),
      deviceVersion: view.getUint32(20, true),
      fingerprint: bytes.slice(24, 32),
      type,
    },
    sections: sections.filter(({ tag }) => tag !== TAG.END),
  }
}

/** Builds taken sections again, numbered from 0 in the order given, with a good END. */
export function putTogether(header: CraftedHeader, sections: readonly CraftedSection[]): Uint8Array {
  return buildStream({
    header,
    configuration: null,
    sections: sections.map(({ tag, payload, flags, region, first }) => ({
      tag,
      payload,
      ...(flags === undefined ? {} : { flags }),
      ...(region === undefined ? {} : { region }),
      ...(first === undefined ? {} : { first }),
    })),
  })
}

/** A ZERO payload. */
export function zeroRun(count: number | bigint): Uint8Array {
  return u64Bytes(BigInt(count))
}

/** A PAGES_LZ4 payload: what it declares and its block. */
export function compressed(pageBytes: number, block: Uint8Array): Uint8Array {
  const payload = new Uint8Array(4 + block.length)
  new DataView(payload.buffer).setUint32(0, pageBytes, true)
  payload.set(block, 4)
  return payload
}

/** The bytes one behind the other. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function u64Bytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}

function checksumBytes(bytes: Uint8Array, crc32c: boolean): Uint8Array {
  return u64Bytes(crc32c ? BigInt(crc32cOfBytes(bytes)) : xxh3OfBytes(bytes))
}

function headerBytes(header: CraftedHeader, checksum: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(128)
  const view = new DataView(bytes.buffer)
  bytes.set(header.magic ?? Uint8Array.of(0x89, 0x53, 0x54, 0x4f, 0x50, 0x43, 0x50, 0x0a))
  view.setUint16(8, header.formatVersion ?? 1, true)
  view.setUint16(10, header.headerBytes ?? 128, true)
  view.setUint32(12, header.flags ?? 0, true)
  view.setUint32(16, header.pageBytes ?? 4096, true)
  view.setUint32(20, header.deviceVersion ?? 1, true)
  bytes.set(header.fingerprint ?? new Uint8Array(8), 24)
  const type = header.type ?? 'crafted'
  bytes.set(typeof type === 'string' ? new TextEncoder().encode(type) : type, 32)
  bytes.set(header.reserved ?? new Uint8Array(40), 80)
  bytes.set(checksum(bytes.subarray(0, 120)), 120)
  return bytes
}

function sectionBytes(section: CraftedSection, checksum: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const bytes = new Uint8Array(40)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, section.tag, true)
  view.setUint16(2, section.flags ?? MANDATORY, true)
  view.setUint32(4, section.sequence ?? 0, true)
  view.setUint32(8, section.payloadBytes ?? section.payload.length, true)
  view.setUint32(12, section.region ?? 0, true)
  view.setBigUint64(16, BigInt(section.first ?? 0), true)
  bytes.set(section.payloadChecksum ?? checksum(section.payload), 24)
  bytes.set(checksum(bytes.subarray(0, 32)), 32)
  return bytes
}
