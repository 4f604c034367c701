/**
 * Sections of the migration stream in plain TypeScript.
 *
 * @module
 */

import { RUN_BYTES } from '../engine.ts'
import {
  CHECKSUM_CRC32C,
  CHECKSUM_XXH3,
  KERNEL_EFAULT,
  KERNEL_EINVAL,
  SECTION_CHECKSUM_AT,
  SECTION_FIRST_AT,
  SECTION_HEADER_BYTES,
  SECTION_PAYLOAD_BYTES_AT,
  SECTION_PAYLOAD_CHECKSUM_AT,
  SECTION_SEQUENCE_AT,
} from '../kernel-abi.ts'
import { isOutside, isOverlapping } from './bounds.ts'
import { crc32c } from './crc32c.ts'
import { xxh3 } from './xxh3.ts'

const DIGEST_BYTES = 16
const DIGEST_NEXT_AT = 8
const TEMPLATE_BYTES = SECTION_PAYLOAD_CHECKSUM_AT

/** Twin of `sectionSeal`. */
export function sectionSeal(
  view: DataView,
  kind: number,
  header: number,
  payload: number,
  payloadBytes: number,
  copyTo: number,
  digest: number,
): number {
  const outside = (pointer: number, length: number): boolean => isOutside(view.byteLength, pointer, length)
  if (!isKind(kind)) return KERNEL_EINVAL
  if (outside(header, SECTION_HEADER_BYTES) || outside(payload, payloadBytes)) return KERNEL_EFAULT
  if (outside(copyTo, copyTo === 0 ? 0 : payloadBytes)) return KERNEL_EFAULT
  if (outside(digest, digest === 0 ? 0 : DIGEST_BYTES)) return KERNEL_EFAULT
  if (copyTo !== 0) {
    if (isOverlapping(copyTo, payloadBytes, payload, payloadBytes)) return KERNEL_EINVAL
    new Uint8Array(view.buffer).copyWithin(copyTo, payload, payload + payloadBytes)
  }
  seal(view, kind, header, payload, payloadBytes, digest)
  return 0
}

/** Twin of `sectionVerify`. */
export function sectionVerify(
  view: DataView,
  kind: number,
  payload: number,
  payloadBytes: number,
  expected: number,
): number {
  if (!isKind(kind)) return KERNEL_EINVAL
  if (isOutside(view.byteLength, payload, payloadBytes)) return KERNEL_EFAULT
  if (isOutside(view.byteLength, expected, 8)) return KERNEL_EFAULT
  return checksumOf(view, kind, payload, payloadBytes) === view.getBigUint64(expected, true) ? 1 : 0
}

/** Twin of `sectionsGather`. */
export function sectionsGather(
  view: DataView,
  kind: number,
  template: number,
  runs: number,
  runCount: number,
  source: number,
  memoryBytes: number,
  pageBytes: number,
  out: number,
  outBytes: number,
  digest: number,
  totals: number,
): number {
  const outside = (pointer: number, length: number): boolean => isOutside(view.byteLength, pointer, length)
  const runsBytes = runCount * RUN_BYTES
  if (!isKind(kind)) return KERNEL_EINVAL
  if (outside(template, TEMPLATE_BYTES) || outside(runs, runsBytes)) return KERNEL_EFAULT
  if (outside(source, memoryBytes) || outside(out, outBytes) || outside(totals, 8)) return KERNEL_EFAULT
  if (outside(digest, digest === 0 ? 0 : DIGEST_BYTES)) return KERNEL_EFAULT
  if (pageBytes === 0) return KERNEL_EINVAL
  if (isOverlapping(out, outBytes, runs, runsBytes)) return KERNEL_EINVAL
  if (isOverlapping(out, outBytes, source, memoryBytes)) return KERNEL_EINVAL
  if (digest !== 0 && isOverlapping(digest, DIGEST_BYTES, runs, runsBytes)) return KERNEL_EINVAL
  const spans: { first: number; at: number; byteLength: number }[] = []
  let room = outBytes
  for (let n = 0; n < runCount; n++) {
    const first = view.getUint32(runs + n * RUN_BYTES, true)
    const count = view.getUint32(runs + n * RUN_BYTES + 4, true)
    if (first + count > Math.ceil(memoryBytes / pageBytes)) return KERNEL_EFAULT
    if (count === 0) return KERNEL_EINVAL
    const at = first * pageBytes
    const byteLength = Math.min(count * pageBytes, memoryBytes - at)
    room -= SECTION_HEADER_BYTES + byteLength
    if (room < 0) break
    spans.push({ first, at: source + at, byteLength })
  }
  const bytes = new Uint8Array(view.buffer)
  const sequence = view.getUint32(template + SECTION_SEQUENCE_AT, true)
  let header = out
  for (const [n, { first, at, byteLength }] of spans.entries()) {
    const payload = header + SECTION_HEADER_BYTES
    bytes.copyWithin(header, template, template + TEMPLATE_BYTES)
    view.setUint32(header + SECTION_SEQUENCE_AT, sequence + n, true)
    view.setUint32(header + SECTION_PAYLOAD_BYTES_AT, byteLength, true)
    view.setBigUint64(header + SECTION_FIRST_AT, BigInt(first), true)
    bytes.copyWithin(payload, at, at + byteLength)
    seal(view, kind, header, payload, byteLength, digest)
    header = payload + byteLength
  }
  view.setUint32(totals, header - out, true)
  view.setUint32(totals + 4, header - out - spans.length * SECTION_HEADER_BYTES, true)
  return spans.length
}

function seal(
  view: DataView,
  kind: number,
  header: number,
  payload: number,
  payloadBytes: number,
  digest: number,
): void {
  const payloadChecksum = checksumOf(view, kind, payload, payloadBytes)
  view.setBigUint64(header + SECTION_PAYLOAD_CHECKSUM_AT, payloadChecksum, true)
  const checksum = checksumOf(view, kind, header, SECTION_CHECKSUM_AT)
  view.setBigUint64(header + SECTION_CHECKSUM_AT, checksum, true)
  if (digest === 0) return
  view.setBigUint64(digest + DIGEST_NEXT_AT, checksum, true)
  view.setBigUint64(digest, checksumOf(view, kind, digest, DIGEST_BYTES), true)
}

function isKind(kind: number): boolean {
  return kind === CHECKSUM_XXH3 || kind === CHECKSUM_CRC32C
}

function checksumOf(view: DataView, kind: number, src: number, length: number): bigint {
  if (kind === CHECKSUM_XXH3) return xxh3(view, src, length, 0n)
  return BigInt(crc32c(new Uint8Array(view.buffer), src, length, 0))
}
