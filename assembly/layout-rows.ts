/**
 * The rows of a layout program as they lie in memory; drawn in `src/engine/layout-rows.ts`.
 *
 * @module
 */

/** `count` records `liveStride` and `packedStride` bytes apart; its ops and checks follow it. */
@unmanaged
export class Group {
  count: u32 = 0
  opCount: u32 = 0
  checkCount: u32 = 0
  reserved: u32 = 0
  liveStride: u32 = 0
  packedStride: u32 = 0
}

/** Moves `bytes` bytes `count` times per record, swapping units of `swap` bytes when it is not 0. */
@unmanaged
export class Op {
  live: u32 = 0
  packed: u32 = 0
  bytes: u32 = 0
  swap: u32 = 0
  count: u32 = 0
  liveStride: u32 = 0
  packedStride: u32 = 0
  reserved: u32 = 0
}

/** `elements` neighbouring values of `width` bytes, `count` times per record, against one range. */
@unmanaged
export class Check {
  offset: u32 = 0
  width: u32 = 0
  elements: u32 = 0
  kind: u32 = 0
  count: u32 = 0
  stride: u32 = 0
  lowest: u64 = 0
  span: u64 = 0
}

/** Bits of {@link Check.kind}. */
export const KIND_BIG_ENDIAN: u32 = 1
/** The check refuses what lies in its range, not what lies outside. */
export const KIND_REFUSES_INSIDE: u32 = 2
