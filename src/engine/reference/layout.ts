/**
 * Layout programs in plain TypeScript; ops and checks are drawn in `engine.ts`.
 *
 * @module
 */

import { LAYOUT_CHECK_BYTES, LAYOUT_OP_BYTES } from '../engine.ts'
import { KERNEL_EFAULT, KERNEL_EINVAL } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'

/** Offsets of an op's two offset fields. */
const OP_LIVE = 0
const OP_PACKED = 4

/** Twin of `layoutPack`. */
export function layoutPack(
  view: DataView,
  program: number,
  opCount: number,
  packed: number,
  live: number,
): number {
  return move(view, program, opCount, packed, OP_PACKED, live, OP_LIVE)
}

/** Twin of `layoutUnpack`. */
export function layoutUnpack(
  view: DataView,
  program: number,
  opCount: number,
  live: number,
  packed: number,
): number {
  return move(view, program, opCount, live, OP_LIVE, packed, OP_PACKED)
}

function move(
  view: DataView,
  program: number,
  opCount: number,
  dst: number,
  dstField: number,
  src: number,
  srcField: number,
): number {
  const memoryBytes = view.byteLength
  const programEnd = program + opCount * LAYOUT_OP_BYTES
  if (programEnd > memoryBytes) return KERNEL_EFAULT
  for (let op = program; op < programEnd; op += LAYOUT_OP_BYTES) {
    const to = dst + view.getUint32(op + dstField, true)
    const from = src + view.getUint32(op + srcField, true)
    const bytes = view.getUint32(op + 8, true)
    if (isOutside(memoryBytes, to, bytes) || isOutside(memoryBytes, from, bytes)) return KERNEL_EFAULT
    if (to < programEnd && to + bytes > program) return KERNEL_EFAULT
    if (view.getUint32(op + 12, true) !== 0) return KERNEL_EINVAL
  }
  const memory = new Uint8Array(view.buffer)
  for (let op = program; op < programEnd; op += LAYOUT_OP_BYTES) {
    const from = src + view.getUint32(op + srcField, true)
    memory.copyWithin(dst + view.getUint32(op + dstField, true), from, from + view.getUint32(op + 8, true))
  }
  return 0
}

/** Twin of `layoutValidate`. */
export function layoutValidate(view: DataView, program: number, checkCount: number, packed: number): number {
  if (checkCount > 0x7fffffff) return KERNEL_EINVAL
  const programEnd = program + checkCount * LAYOUT_CHECK_BYTES
  if (programEnd > view.byteLength) return KERNEL_EFAULT
  for (let check = program; check < programEnd; check += LAYOUT_CHECK_BYTES) {
    const width = view.getUint32(check + 4, true)
    if (width !== 1 && width !== 2 && width !== 4 && width !== 8) return KERNEL_EINVAL
    if (view.getUint32(check + 16, true) > 1 || view.getUint32(check + 20, true) !== 0) return KERNEL_EINVAL
    const count = view.getUint32(check + 8, true)
    // Rounding above 2^53 cannot bring the sum back under the memory's size.
    const last = packed + view.getUint32(check, true) + (count - 1) * view.getUint32(check + 12, true)
    if (count > 0 && isOutside(view.byteLength, last, width)) return KERNEL_EFAULT
  }
  for (let n = 0; n < checkCount; n++) {
    if (!checkPasses(view, program + n * LAYOUT_CHECK_BYTES, packed)) return n
  }
  return checkCount
}

function checkPasses(view: DataView, check: number, packed: number): boolean {
  const width = view.getUint32(check + 4, true)
  const stride = view.getUint32(check + 12, true)
  const signed = view.getUint32(check + 16, true) === 1
  const lowest = signed ? view.getBigInt64(check + 24, true) : view.getBigUint64(check + 24, true)
  const highest = signed ? view.getBigInt64(check + 32, true) : view.getBigUint64(check + 32, true)
  let at = packed + view.getUint32(check, true)
  for (let left = view.getUint32(check + 8, true); left > 0; left--) {
    const value = signed ? readSigned(view, at, width) : readUnsigned(view, at, width)
    // Mixed comparison of number and bigint is exact.
    if (value < lowest || value > highest) return false
    at += stride
  }
  return true
}

function readUnsigned(view: DataView, at: number, width: number): number | bigint {
  if (width === 8) return view.getBigUint64(at, true)
  if (width === 4) return view.getUint32(at, true)
  return width === 2 ? view.getUint16(at, true) : view.getUint8(at)
}

function readSigned(view: DataView, at: number, width: number): number | bigint {
  if (width === 8) return view.getBigInt64(at, true)
  if (width === 4) return view.getInt32(at, true)
  return width === 2 ? view.getInt16(at, true) : view.getInt8(at)
}
