/**
 * Sections: a 40-byte header with a checksum of its own, then the payload.
 *
 * ```text
 *  0  u16  tag
 *  2  u16  flags: bit 0 MANDATORY, others 0
 *  4  u32  sequence number: 0, 1, 2 ...
 *  8  u32  payload bytes
 * 12  u32  region index (PAGES, PAGES_LZ4, ZERO), else 0
 * 16  u64  first page (of the same) or byte offset (STATE, OPAQUE), else 0
 * 24  u64  checksum of the payload
 * 32  u64  checksum of bytes 0..31
 * ```
 *
 * @module
 */

/** Bytes of a section header. */
export const SECTION_HEADER_BYTES = 40
/** Offset of the payload's checksum. */
export const PAYLOAD_CHECKSUM_OFFSET = 24
/** Offset of the section header's own checksum; it covers all bytes before it. */
export const SECTION_CHECKSUM_OFFSET = 32
/** Most bytes of any payload: what a reader must be ready to hold. */
export const MAX_PAYLOAD_BYTES: number = 1024 * 1024
/** Most bytes of a CONFIG payload. */
export const MAX_CONFIG_BYTES: number = 64 * 1024
/**
 * Payload bytes of PAGES, STATE and OPAQUE sections that this package writes, at the most; of a PAGES_LZ4
 * section, also of its pages, in any stream.
 */
export const FRAME_BYTES: number = 256 * 1024
/** What stands before the LZ4 block of a PAGES_LZ4 payload: the bytes of its pages, u32. */
export const COMPRESSED_PREFIX_BYTES = 4
/** Payload bytes of a ZERO section: the page count, u64. */
export const ZERO_PAYLOAD_BYTES = 8
/** Payload bytes of the END section: sections u64, payload bytes u64, digest u64. */
export const END_PAYLOAD_BYTES = 24

/** What a section holds. 0 is never valid. */
export const Tag = {
  /** Names and values behind the configuration fingerprint; always the first section. */
  CONFIG: 1,
  /** A piece of the packed register state. */
  STATE: 2,
  /** A run of memory pages. */
  PAGES: 3,
  /** A run of pages that are all zero. */
  ZERO: 4,
  /** A piece of a driver's own stream. */
  OPAQUE: 5,
  /** Totals and the digest; nothing follows. */
  END: 6,
  /** A run of memory pages as one LZ4 block. */
  PAGES_LZ4: 7,
} as const

/** A reader that does not know the tag must refuse the stream; without it, skip the section. */
export const SECTION_MANDATORY = 1

/** A section header without its checksums. */
export interface SectionHeader {
  readonly tag: number
  readonly flags: number
  readonly sequence: number
  readonly payloadBytes: number
  readonly region: number
  /** Page number or byte offset, a safe integer. */
  readonly first: number
}

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(Tag).map(([name, tag]) => [tag, name]))

/** Whether this package knows the tag. */
export function isKnownTag(tag: number): boolean {
  return NAMES.has(tag)
}

/** The name of a tag, or `TAG 9` where it has none. */
export function tagName(tag: number): string {
  return NAMES.get(tag) ?? `TAG ${tag}`
}

/** Writes all but the two checksums. */
export function encodeSection(dst: DataView, header: SectionHeader): void {
  dst.setUint16(0, header.tag, true)
  dst.setUint16(2, header.flags, true)
  dst.setUint32(4, header.sequence, true)
  dst.setUint32(8, header.payloadBytes, true)
  dst.setUint32(12, header.region, true)
  setSafeUint64(dst, 16, header.first)
}

/** Reads the section header at `at`; `first` is NaN when it is no safe integer. */
export function decodeSection(src: DataView, at = 0): SectionHeader {
  return {
    tag: src.getUint16(at, true),
    flags: src.getUint16(at + 2, true),
    sequence: src.getUint32(at + 4, true),
    payloadBytes: src.getUint32(at + 8, true),
    region: src.getUint32(at + 12, true),
    first: getSafeUint64(src, at + 16),
  }
}

/** Stores a safe integer as u64; without BigInt, which costs more than the rest of a header. */
export function setSafeUint64(dst: DataView, offset: number, value: number): void {
  dst.setUint32(offset, value % 0x1_0000_0000, true)
  dst.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true)
}

/** Reads a u64, or NaN above 2^53 - 1. */
export function getSafeUint64(src: DataView, offset: number): number {
  const value = src.getUint32(offset, true) + src.getUint32(offset + 4, true) * 0x1_0000_0000
  return Number.isSafeInteger(value) ? value : Number.NaN
}
