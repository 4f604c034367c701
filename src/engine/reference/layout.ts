/**
 * Layout programs in plain TypeScript; groups, ops and checks are drawn in `../layout-rows.ts`.
 *
 * @module
 */

import { KERNEL_EFAULT } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'
import {
  type LayoutCheck,
  type LayoutGroup,
  type LayoutOp,
  readLayoutProgram,
  verifyLayoutProgram,
} from './layout-program.ts'

/** Twin of `layoutPack`. */
export function layoutPack(
  view: DataView,
  program: number,
  programBytes: number,
  packed: number,
  live: number,
): number {
  const refusal = verifyLayoutProgram(view, program, programBytes, packed, live, 'packed')
  return refusal === 0 ? run(view, program, programBytes, packed, live, 'pack') : refusal
}

/** Twin of `layoutUnpack`. */
export function layoutUnpack(
  view: DataView,
  program: number,
  programBytes: number,
  live: number,
  packed: number,
  out: number,
): number {
  if (isOutside(view.byteLength, out, 8)) return KERNEL_EFAULT
  const refusal = verifyLayoutProgram(view, program, programBytes, packed, live, 'live')
  return refusal === 0 ? run(view, program, programBytes, packed, live, 'unpack', out) : refusal
}

/** Twin of `layoutValidate`. */
export function layoutValidate(
  view: DataView,
  program: number,
  programBytes: number,
  packed: number,
  out: number,
): number {
  if (isOutside(view.byteLength, out, 8)) return KERNEL_EFAULT
  const refusal = verifyLayoutProgram(view, program, programBytes, packed, 0, undefined)
  return refusal === 0 ? run(view, program, programBytes, packed, 0, 'validate', out) : refusal
}

type Job = 'pack' | 'unpack' | 'validate'

/** Live and packed bytes of a block of records: a refusal leaves what the kernels leave. */
const BLOCK_BYTES = 16384

function run(
  view: DataView,
  program: number,
  programBytes: number,
  packed: number,
  live: number,
  job: Job,
  out = 0,
): number {
  let checkNumber = 0
  for (const group of readLayoutProgram(view, program, programBytes)) {
    const bytesPerRecord = group.packedStride + (job === 'validate' ? 0 : group.liveStride)
    const block = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, bytesPerRecord)))
    for (let first = 0; first < group.count; first += block) {
      const records = Math.min(block, group.count - first)
      const packedBlock = packed + first * group.packedStride
      const liveBlock = live + first * group.liveStride
      if (job !== 'pack') {
        for (const [n, check] of group.checks.entries()) {
          const bad = findBadValue(view, check, packedBlock, group.packedStride, records)
          if (bad === undefined) continue
          view.setUint32(out, checkNumber + n, true)
          view.setUint32(out + 4, bad - packed, true)
          return 1
        }
      }
      if (job !== 'validate')
        for (const op of group.ops)
          moveBlock(view, op, group, liveBlock, packedBlock, records, job === 'pack')
    }
    checkNumber += group.checks.length
  }
  return 0
}

function moveBlock(
  view: DataView,
  op: LayoutOp,
  group: LayoutGroup,
  live: number,
  packed: number,
  records: number,
  pack: boolean,
): void {
  const memory = new Uint8Array(view.buffer)
  // The kernels' order, which decides where an op's places overlap.
  const recordsInside = records >= op.count
  const rounds = recordsInside ? op.count : records
  const inside = recordsInside ? records : op.count
  for (let round = 0; round < rounds; round++)
    for (let n = 0; n < inside; n++) {
      const record = recordsInside ? n : round
      const item = recordsInside ? round : n
      const liveAt = live + op.live + record * group.liveStride + item * op.liveStride
      const packedAt = packed + op.packed + record * group.packedStride + item * op.packedStride
      const dst = pack ? packedAt : liveAt
      const src = pack ? liveAt : packedAt
      if (op.swap === 0) memory.copyWithin(dst, src, src + op.bytes)
      // The mirror of a byte's place in its unit.
      else
        for (let at = 0; at < op.bytes; at++) memory[dst + at] = memory[src + (at ^ (op.swap - 1))] as number
    }
}

/** The first refused value in the order of the kernels: by item, then record, then element. */
function findBadValue(
  view: DataView,
  check: LayoutCheck,
  block: number,
  recordStride: number,
  records: number,
): number | undefined {
  for (let item = 0; item < check.count; item++)
    for (let record = 0; record < records; record++)
      for (let element = 0; element < check.elements; element++) {
        const at = block + check.offset + item * check.stride + record * recordStride + element * check.width
        if (isRefused(view, check, at)) return at
      }
  return undefined
}

function isRefused(view: DataView, check: LayoutCheck, at: number): boolean {
  const { lowest, span, refusesInside } = check
  const distance = BigInt.asUintN(8 * check.width, readUnsigned(view, at, check) - lowest)
  return distance > span !== refusesInside
}

function readUnsigned(view: DataView, at: number, { width, bigEndian }: LayoutCheck): bigint {
  if (width === 8) return view.getBigUint64(at, !bigEndian)
  if (width === 4) return BigInt(view.getUint32(at, !bigEndian))
  return BigInt(width === 2 ? view.getUint16(at, !bigEndian) : view.getUint8(at))
}
