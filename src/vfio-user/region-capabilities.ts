/**
 * The capabilities behind a region's information: what of it can be mapped.
 *
 * @module
 */

import { RegionInfo } from './structs.ts'

/** Bytes of a region that can be mapped. */
export interface RegionMmapArea {
  /** From the region's start. */
  readonly offset: bigint
  /** Bytes. */
  readonly size: bigint
}

const HAS_CAPABILITIES = 8
const SPARSE_MMAP = 1
/** u16 id, u16 version, u32 next. */
const HEAD_BYTES = 8
/** u32 number of areas, u32 reserved. */
const SPARSE_HEAD_BYTES = 16
const AREA_BYTES = 16

/** The areas of the sparse mmap capability, or undefined where there is none or it is not well formed. */
export function sparseAreas(
  payload: Uint8Array,
  { flags, capOffset }: RegionInfo,
): readonly RegionMmapArea[] | undefined {
  if ((flags & HAS_CAPABILITIES) === 0) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  // Each one lies behind the last, so that a ring of them ends, too.
  for (
    let at = capOffset, last = RegionInfo.byteLength - 1;
    at > last && at + HEAD_BYTES <= view.byteLength;
  ) {
    if (view.getUint16(at, true) === SPARSE_MMAP) return areasAt(view, at)
    last = at
    at = view.getUint32(at + 4, true)
  }
  return undefined
}

function areasAt(view: DataView, at: number): readonly RegionMmapArea[] | undefined {
  if (at + SPARSE_HEAD_BYTES > view.byteLength) return undefined
  const count = view.getUint32(at + HEAD_BYTES, true)
  const from = at + SPARSE_HEAD_BYTES
  if (count > (view.byteLength - from) / AREA_BYTES) return undefined
  return Array.from({ length: count }, (_, index) => ({
    offset: view.getBigUint64(from + index * AREA_BYTES, true),
    size: view.getBigUint64(from + index * AREA_BYTES + 8, true),
  }))
}

/** A sparse mmap capability that stands alone behind a region's information. */
export function encodeSparseAreas(areas: readonly RegionMmapArea[]): Uint8Array {
  const bytes = new Uint8Array(SPARSE_HEAD_BYTES + areas.length * AREA_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, SPARSE_MMAP, true)
  view.setUint16(2, 1, true)
  view.setUint32(HEAD_BYTES, areas.length, true)
  for (const [index, { offset, size }] of areas.entries()) {
    view.setBigUint64(SPARSE_HEAD_BYTES + index * AREA_BYTES, offset, true)
    view.setBigUint64(SPARSE_HEAD_BYTES + index * AREA_BYTES + 8, size, true)
  }
  return bytes
}
