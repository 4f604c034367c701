/**
 * Layout programs: what moves a device's registers between their live layout and the packed bytes of a
 * stream, and checks the packed bytes. `driver/` compiles them from a state schema.
 *
 * A program is a sequence of groups, each a head with its ops and then its checks, all little endian.
 *
 * A **group** is `count` records, `liveStride` and `packedStride` bytes apart:
 * ```text
 *  0           4             8                12      16               20                 24
 *  | count u32 | opCount u32 | checkCount u32 | 0 u32 | liveStride u32 | packedStride u32 |
 * ```
 *
 * An **op** moves, in each record, `bytes` bytes `count` times; `swap` 2, 4 or 8 reverses the bytes of
 * each unit of so many (big endian on the wire), 0 does not:
 * ```text
 *  0          4            8           12         16          20               24                 28      32
 *  | live u32 | packed u32 | bytes u32 | swap u32 | count u32 | liveStride u32 | packedStride u32 | 0 u32 |
 * ```
 *
 * A **check** looks, in each record of the packed bytes, at `elements` neighbouring values of `width`
 * bytes (1, 2, 4, 8), `count` times: each value v must have v - lowest <= span, modulo 2 to the width in
 * bits, which holds for unsigned and signed ranges alike. `kind` bit 0: the value is big endian; bit 1:
 * refuses what lies in the range, not what lies outside (a gap between allowed values).
 * ```text
 *  0            4           8              12         16          20           24           32         40
 *  | offset u32 | width u32 | elements u32 | kind u32 | count u32 | stride u32 | lowest u64 | span u64 |
 * ```
 *
 * Offsets of ops and checks are those in the first record. EINVAL: rows that are cut off, a count of 0 or a
 * stride of 0 between several, 2^29 elements or more, a reserved field that is set, a width, unit or
 * kind that does not exist.
 *
 * @module
 */

/** Bytes of a group's head. */
export const LAYOUT_GROUP_BYTES = 24

/** Bytes of an op. */
export const LAYOUT_OP_BYTES = 32

/** Bytes of a check. */
export const LAYOUT_CHECK_BYTES = 40

/** Bits of a check's `kind`. */
export const LayoutCheckKind = { BIG_ENDIAN: 1, REFUSES_INSIDE: 2 } as const

/** A check that failed. */
export interface LayoutFault {
  /** The number of the check, counted through the whole program. */
  readonly check: number
  /** Where in the packed bytes the value is that it refuses. */
  readonly offset: number
}
