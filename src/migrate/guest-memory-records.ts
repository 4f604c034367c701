/**
 * The stream of guest memory: records, each for a run of pages.
 *
 * ```text
 *  0          8                12        16
 *  | iova u64 | byteLength u32 | kind u32 | kind 1: byteLength bytes; kind 2: nothing, all are zero
 * ```
 * Little endian. A record is whole pages of one range, {@link MAX_RECORD_BYTES} at most. A page may come
 * again; the last one counts. The stream has no end mark: it is complete when every page came once.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Bytes before the data of a record. */
export const RECORD_HEADER_BYTES = 16

/** Most bytes of memory in one record. */
export const MAX_RECORD_BYTES = 262_144

/** What a record says about its pages. */
export const RecordKind = { DATA: 1, ZERO: 2 } as const

/** The header of a record. */
export interface RecordHeader {
  readonly iova: bigint
  readonly byteLength: number
  readonly kind: 1 | 2
}

/** Writes a header at `offset`. */
export function encodeRecordHeader(dst: Uint8Array, offset: number, header: RecordHeader): void {
  const view = new DataView(dst.buffer, dst.byteOffset + offset, RECORD_HEADER_BYTES)
  view.setBigUint64(0, header.iova, true)
  view.setUint32(8, header.byteLength, true)
  view.setUint32(12, header.kind, true)
}

/**
 * Reads a header; which memory it is for is checked elsewhere.
 *
 * @throws {@link VfioError} EPROTO an unknown kind, or a length that is 0 or too long
 */
export function decodeRecordHeader(src: Uint8Array): RecordHeader {
  const view = new DataView(src.buffer, src.byteOffset, RECORD_HEADER_BYTES)
  const iova = view.getBigUint64(0, true)
  const byteLength = view.getUint32(8, true)
  const kind = view.getUint32(12, true)
  if (kind !== RecordKind.DATA && kind !== RecordKind.ZERO) {
    throw malformed(`a record of kind ${kind} is unknown`)
  }
  if (byteLength === 0 || byteLength > MAX_RECORD_BYTES) {
    throw malformed(`a record of ${byteLength} bytes is none of 1 to ${MAX_RECORD_BYTES}`)
  }
  return { iova, byteLength, kind }
}

/** EPROTO for a stream that nobody can have written. */
export function malformed(reason: string): VfioError {
  return new VfioError('EPROTO', `Cannot load guest memory: ${reason}, save it again`, { syscall: 'write' })
}
