import {
  LAYOUT_CHECK_BYTES,
  LAYOUT_GROUP_BYTES,
  LAYOUT_OP_BYTES,
  LayoutCheckKind,
} from '../../../src/engine/index.ts'

export interface Op {
  live: number
  packed: number
  bytes: number
  swap?: number
  count?: number
  liveStride?: number
  packedStride?: number
  reserved?: number
}

export interface Check {
  offset?: number
  width: number
  elements?: number
  count?: number
  stride?: number
  bigEndian?: boolean
  refusesInside?: boolean
  min: bigint
  max: bigint
}

export interface Group {
  count?: number
  liveStride?: number
  packedStride?: number
  ops?: readonly Op[]
  checks?: readonly Check[]
  reserved?: number
}

/** A layout program as `src/engine/layout-rows.ts` draws it. */
export function encodeProgram(groups: readonly Group[]): Uint8Array {
  const byteLength = groups.reduce(
    (total, { ops = [], checks = [] }) =>
      total + LAYOUT_GROUP_BYTES + ops.length * LAYOUT_OP_BYTES + checks.length * LAYOUT_CHECK_BYTES,
    0,
  )
  const view = new DataView(new ArrayBuffer(byteLength))
  let at = 0
  const words = (...values: number[]): void => {
    for (const value of values) {
      view.setUint32(at, value, true)
      at += 4
    }
  }
  for (const { count = 1, liveStride = 0, packedStride = 0, ops = [], checks = [], reserved = 0 } of groups) {
    words(count, ops.length, checks.length, reserved, liveStride, packedStride)
    for (const op of ops) {
      words(op.live, op.packed, op.bytes, op.swap ?? 0)
      words(op.count ?? 1, op.liveStride ?? 0, op.packedStride ?? 0, op.reserved ?? 0)
    }
    for (const check of checks) {
      const { offset = 0, width, elements = 1, stride = 0, bigEndian, refusesInside } = check
      const kind =
        (bigEndian === true ? LayoutCheckKind.BIG_ENDIAN : 0) |
        (refusesInside === true ? LayoutCheckKind.REFUSES_INSIDE : 0)
      words(offset, width, elements, kind, check.count ?? 1, stride)
      view.setBigUint64(at, BigInt.asUintN(64, check.min), true)
      view.setBigUint64(at + 8, BigInt.asUintN(64, check.max - check.min), true)
      at += 16
    }
  }
  return new Uint8Array(view.buffer)
}

/** What an engine must do, said as simply as can be: one program over copies of both sides. */
export function moveNaively(
  groups: readonly Group[],
  from: 'live' | 'packed',
  src: Uint8Array,
  dst: Uint8Array,
): void {
  const to = from === 'live' ? 'packed' : 'live'
  const stride = { live: 'liveStride', packed: 'packedStride' } as const
  for (const group of groups)
    for (let record = 0; record < (group.count ?? 1); record++)
      for (const op of group.ops ?? [])
        for (let item = 0; item < (op.count ?? 1); item++) {
          const place = (side: 'live' | 'packed'): number =>
            op[side] + record * (group[stride[side]] ?? 0) + item * (op[stride[side]] ?? 0)
          const unit = op.swap === undefined || op.swap === 0 ? 1 : op.swap
          for (let n = 0; n < op.bytes; n++) {
            const mirrored = n - (n % unit) + (unit - 1 - (n % unit))
            dst[place(to) + n] = src[place(from) + mirrored]!
          }
        }
}
