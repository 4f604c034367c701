/**
 * Reading and checking layout programs, for the TypeScript twin; they are drawn in `../layout-rows.ts`.
 *
 * @module
 */

import { KERNEL_EFAULT, KERNEL_EINVAL } from '../kernel-abi.ts'
import { LAYOUT_CHECK_BYTES, LAYOUT_GROUP_BYTES, LAYOUT_OP_BYTES, LayoutCheckKind } from '../layout-rows.ts'
import { isOutside } from './bounds.ts'

/** A group's head and rows. */
export interface LayoutGroup extends GroupHead {
  readonly ops: readonly LayoutOp[]
  readonly checks: readonly LayoutCheck[]
}

interface GroupHead {
  readonly count: number
  readonly opCount: number
  readonly checkCount: number
  readonly reserved: number
  readonly liveStride: number
  readonly packedStride: number
}

/** An op. */
export interface LayoutOp {
  readonly live: number
  readonly packed: number
  readonly bytes: number
  readonly swap: number
  readonly count: number
  readonly liveStride: number
  readonly packedStride: number
  readonly reserved: number
}

/** A check. */
export interface LayoutCheck {
  readonly offset: number
  readonly width: number
  readonly elements: number
  readonly kind: number
  readonly count: number
  readonly stride: number
  readonly lowest: bigint
  readonly span: bigint
  readonly bigEndian: boolean
  readonly refusesInside: boolean
}

/** The groups of a program that {@link verifyLayoutProgram} accepts. */
export function* readLayoutProgram(
  view: DataView,
  program: number,
  programBytes: number,
): Generator<LayoutGroup> {
  for (let at = program; at < program + programBytes;) {
    const head = readHead(view, at)
    const ops = at + LAYOUT_GROUP_BYTES
    const checks = ops + head.opCount * LAYOUT_OP_BYTES
    at = checks + head.checkCount * LAYOUT_CHECK_BYTES
    yield {
      ...head,
      ops: Array.from({ length: head.opCount }, (_, n) => readOp(view, ops + n * LAYOUT_OP_BYTES)),
      checks: Array.from({ length: head.checkCount }, (_, n) =>
        readCheck(view, checks + n * LAYOUT_CHECK_BYTES),
      ),
    }
  }
}

/**
 * Twin of `verifyProgram`: 0, EFAULT or EINVAL.
 *
 * @param written - the side that the ops write; undefined when they do not run
 */
export function verifyLayoutProgram(
  view: DataView,
  program: number,
  programBytes: number,
  packed: number,
  live: number,
  written: 'packed' | 'live' | undefined,
): number {
  const memoryBytes = view.byteLength
  if (isOutside(memoryBytes, program, programBytes)) return KERNEL_EFAULT
  const end = program + programBytes
  for (let at = program; at < end;) {
    if (at + LAYOUT_GROUP_BYTES > end) return KERNEL_EINVAL
    const group = readHead(view, at)
    if (group.reserved !== 0 || isNoLoop(group.count, group.liveStride, group.packedStride))
      return KERNEL_EINVAL
    let row = at + LAYOUT_GROUP_BYTES
    const checks = row + group.opCount * LAYOUT_OP_BYTES
    at = checks + group.checkCount * LAYOUT_CHECK_BYTES
    if (at > end) return KERNEL_EINVAL
    for (; row < checks; row += LAYOUT_OP_BYTES) {
      const op = readOp(view, row)
      if (op.reserved !== 0 || op.bytes === 0) return KERNEL_EINVAL
      if (isNoLoop(op.count, op.liveStride, op.packedStride)) return KERNEL_EINVAL
      if (![0, 2, 4, 8].includes(op.swap) || (op.swap !== 0 && op.bytes % op.swap !== 0)) return KERNEL_EINVAL
      if (written === undefined) continue
      const sides = {
        live: {
          first: live + op.live,
          bytes: span(group.count, group.liveStride) + span(op.count, op.liveStride) + op.bytes,
        },
        packed: {
          first: packed + op.packed,
          bytes: span(group.count, group.packedStride) + span(op.count, op.packedStride) + op.bytes,
        },
      }
      for (const { first, bytes } of [sides.live, sides.packed])
        if (isOutside(memoryBytes, first, bytes)) return KERNEL_EFAULT
      const { first, bytes } = sides[written]
      if (first < end && first + bytes > program) return KERNEL_EFAULT
    }
    for (; row < at; row += LAYOUT_CHECK_BYTES) {
      const { offset, width, elements, kind, count, stride } = readCheck(view, row)
      if (elements === 0 || elements >= 2 ** 29 || ![1, 2, 4, 8].includes(width)) return KERNEL_EINVAL
      if (kind > (LayoutCheckKind.BIG_ENDIAN | LayoutCheckKind.REFUSES_INSIDE)) return KERNEL_EINVAL
      if (isNoLoop(count, stride, stride)) return KERNEL_EINVAL
      const bytes = span(group.count, group.packedStride) + span(count, stride) + elements * width
      if (isOutside(memoryBytes, packed + offset, bytes)) return KERNEL_EFAULT
    }
  }
  return 0
}

function isNoLoop(count: number, strideA: number, strideB: number): boolean {
  return count === 0 || (count > 1 && (strideA === 0 || strideB === 0))
}

/** Rounding above 2^53 cannot bring a sum back under the memory's size. */
function span(count: number, stride: number): number {
  return (count - 1) * stride
}

function readHead(view: DataView, at: number): GroupHead {
  return {
    count: view.getUint32(at, true),
    opCount: view.getUint32(at + 4, true),
    checkCount: view.getUint32(at + 8, true),
    reserved: view.getUint32(at + 12, true),
    liveStride: view.getUint32(at + 16, true),
    packedStride: view.getUint32(at + 20, true),
  }
}

function readOp(view: DataView, at: number): LayoutOp {
  return {
    live: view.getUint32(at, true),
    packed: view.getUint32(at + 4, true),
    bytes: view.getUint32(at + 8, true),
    swap: view.getUint32(at + 12, true),
    count: view.getUint32(at + 16, true),
    liveStride: view.getUint32(at + 20, true),
    packedStride: view.getUint32(at + 24, true),
    reserved: view.getUint32(at + 28, true),
  }
}

function readCheck(view: DataView, at: number): LayoutCheck {
  const kind = view.getUint32(at + 12, true)
  const width = view.getUint32(at + 4, true)
  return {
    offset: view.getUint32(at, true),
    width,
    elements: view.getUint32(at + 8, true),
    kind,
    count: view.getUint32(at + 16, true),
    stride: view.getUint32(at + 20, true),
    lowest: view.getBigUint64(at + 24, true),
    span: view.getBigUint64(at + 32, true),
    bigEndian: (kind & LayoutCheckKind.BIG_ENDIAN) !== 0,
    refusesInside: (kind & LayoutCheckKind.REFUSES_INSIDE) !== 0,
  }
}
