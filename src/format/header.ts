/**
 * The stream header: 128 bytes, raw and fixed, so that any later version can still read it.
 *
 * ```text
 *   0  u8[8]   magic 89 53 54 4f 50 43 50 0a
 *   8  u16     format version
 *  10  u16     header bytes (128)
 *  12  u32     flags: bit 0 OPAQUE, bit 1 CRC32C, others 0
 *  16  u32     page bytes (4096)
 *  20  u32     device version
 *  24  u8[8]   configuration fingerprint
 *  32  u8[48]  device type, UTF-8, NUL padded
 *  80  u8[40]  reserved, 0
 * 120  u64     checksum of bytes 0..119
 * ```
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Version of the stream format that this package writes. */
export const FORMAT_VERSION = 1
/** Bytes of the stream header. */
export const HEADER_BYTES = 128
/** Offset of the header's own checksum; it covers all bytes before it. */
export const HEADER_CHECKSUM_OFFSET = 120
/** Bytes of a memory page in a stream. */
export const PAGE_BYTES = 4096
/** Longest device type, in bytes of UTF-8. */
export const TYPE_BYTES = 48
/** Bytes of a configuration fingerprint. */
export const FINGERPRINT_BYTES = 8
const TYPE_OFFSET = 32
const RESERVED_OFFSET = TYPE_OFFSET + TYPE_BYTES

/** PNG's trick: a byte above 127 shows a 7-bit channel, the line feed a text-mode one. */
export const MAGIC: Uint8Array = Uint8Array.of(0x89, 0x53, 0x54, 0x4f, 0x50, 0x43, 0x50, 0x0a)

const FLAG_OPAQUE = 1
const FLAG_CRC32C = 2
const FLAGS_KNOWN = FLAG_OPAQUE | FLAG_CRC32C

/** Which checksum a stream carries. */
export type ChecksumKind = 'xxh3' | 'crc32c'

/** What the header says. */
export interface StreamHeader {
  /** Version of the stream's format. */
  readonly formatVersion: number
  /** The sections are pieces of a driver's own stream rather than state and pages. */
  readonly opaque: boolean
  /** Which checksum sections carry. */
  readonly checksum: ChecksumKind
  /** What device it is of. */
  readonly deviceType: string
  /** Version of the device's state. */
  readonly deviceVersion: number
  /** {@link FINGERPRINT_BYTES} bytes. */
  readonly fingerprint: Uint8Array
}

/**
 * Writes all but the checksum to the first {@link HEADER_BYTES} bytes of `dst`.
 *
 * @throws {@link VfioError} EINVAL when the type, the version or the fingerprint does not fit its field
 */
export function encodeHeader(dst: Uint8Array, header: Omit<StreamHeader, 'formatVersion'>): void {
  const type = new TextEncoder().encode(header.deviceType)
  if (type.length === 0 || type.length > TYPE_BYTES || type.includes(0))
    throw new VfioError(
      'EINVAL',
      `Cannot write a stream header: device type "${header.deviceType}" is ${type.length} bytes of UTF-8, use 1 to ${TYPE_BYTES} without NUL`,
    )
  if (header.fingerprint.length !== FINGERPRINT_BYTES)
    throw new VfioError(
      'EINVAL',
      `Cannot write a stream header: the fingerprint has ${header.fingerprint.length} bytes, use ${FINGERPRINT_BYTES}`,
    )
  if (header.deviceVersion >>> 0 !== header.deviceVersion)
    throw new VfioError(
      'EINVAL',
      `Cannot write a stream header: device version ${header.deviceVersion} is out of range, use an integer of 32 bits`,
    )
  const view = new DataView(dst.buffer, dst.byteOffset, HEADER_BYTES)
  dst.fill(0, 0, HEADER_BYTES)
  dst.set(MAGIC)
  view.setUint16(8, FORMAT_VERSION, true)
  view.setUint16(10, HEADER_BYTES, true)
  view.setUint32(
    12,
    (header.opaque ? FLAG_OPAQUE : 0) | (header.checksum === 'crc32c' ? FLAG_CRC32C : 0),
    true,
  )
  view.setUint32(16, PAGE_BYTES, true)
  view.setUint32(20, header.deviceVersion, true)
  dst.set(header.fingerprint, 24)
  dst.set(type, TYPE_OFFSET)
}

/** True when the first bytes are this format's magic. */
export function hasMagic(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[index] === byte)
}

/** The checksum kind that raw header bytes name; read before the checksum can be verified. */
export function checksumKindOf(bytes: Uint8Array): ChecksumKind {
  return ((bytes[12] ?? 0) & FLAG_CRC32C) === 0 ? 'xxh3' : 'crc32c'
}

/** What is wrong with header bytes whose magic and checksum are right. */
export type HeaderFault = { code: 'EOPNOTSUPP' | 'EPROTO'; reason: string; remedy: string }

/**
 * Reads header bytes whose magic and checksum have been verified. A version other than
 * {@link FORMAT_VERSION} is named, since everything after it may mean something else.
 */
export function decodeHeader(bytes: Uint8Array): StreamHeader | HeaderFault {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  const formatVersion = view.getUint16(8, true)
  if (formatVersion !== FORMAT_VERSION)
    return {
      code: 'EOPNOTSUPP',
      reason: `format version ${formatVersion} is not version ${FORMAT_VERSION}, the only one this release reads`,
      remedy: 'use the release of stopcopy that wrote it',
    }
  const flags = view.getUint32(12, true)
  const pageBytes = view.getUint32(16, true)
  const malformed =
    view.getUint16(10, true) !== HEADER_BYTES
      ? 'its header length is not 128'
      : (flags & ~FLAGS_KNOWN) !== 0
        ? `flags 0x${flags.toString(16)} have reserved bits set`
        : pageBytes !== PAGE_BYTES
          ? `pages of ${pageBytes} bytes are not pages of ${PAGE_BYTES}`
          : bytes.subarray(RESERVED_OFFSET, HEADER_CHECKSUM_OFFSET).some((byte) => byte !== 0)
            ? 'reserved bytes are not zero'
            : undefined
  if (malformed !== undefined) return { code: 'EPROTO', reason: malformed, remedy: 'save the device again' }
  const type = bytes.subarray(TYPE_OFFSET, RESERVED_OFFSET)
  const typeEnd = type.indexOf(0)
  const typeBytes = typeEnd < 0 ? type : type.subarray(0, typeEnd)
  let deviceType: string
  try {
    deviceType = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(typeBytes.slice())
  } catch {
    return { code: 'EPROTO', reason: 'the device type is not UTF-8', remedy: 'save the device again' }
  }
  if (deviceType === '' || type.subarray(typeBytes.length).some((byte) => byte !== 0))
    return { code: 'EPROTO', reason: 'the device type field is malformed', remedy: 'save the device again' }
  return {
    formatVersion,
    opaque: (flags & FLAG_OPAQUE) !== 0,
    checksum: checksumKindOf(bytes),
    deviceType,
    deviceVersion: view.getUint32(20, true),
    fingerprint: bytes.slice(24, 24 + FINGERPRINT_BYTES),
  }
}
