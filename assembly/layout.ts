/**
 * Layout programs: what moves a device's registers between their live layout and the packed bytes of
 * a stream, and what checks the packed bytes. The host compiles them from a state schema; groups, ops
 * and checks are drawn in `src/engine/layout-rows.ts`.
 *
 * A program is checked as a whole before its first op runs. Records are then worked on in blocks that
 * stay in the first-level cache: within a block op by op, so that an op's dispatch is paid per block.
 *
 * @module
 */

import { EFAULT, LAYOUT_CHECK_BYTES, LAYOUT_GROUP_BYTES, LAYOUT_OP_BYTES } from './abi'
import { isOutside } from './bounds'
import { findBadValue } from './layout-check'
import { copyRecords, swapRecords } from './layout-move'
import { Check, Group, Op } from './layout-rows'
import { verifyProgram } from './layout-verify'

/** Live and packed bytes of a block of records; with both in a 48 KiB cache there is room for the rest. */
const BLOCK_BYTES: u32 = 16384

/** What to do with a program. */
type Job = u32
const PACK: Job = 0
const UNPACK: Job = 1
const VALIDATE: Job = 2

/** Live layout to packed bytes. Returns 0 or what {@link verifyProgram} refuses. */
export function layoutPack(program: usize, programBytes: u32, packed: usize, live: usize): i32 {
  const refusal = verifyProgram(program, programBytes, packed, live, true, true)
  return refusal != 0 ? refusal : run(program, programBytes, packed, live, PACK, 0)
}

/**
 * Packed bytes to live layout, each block checked before it moves. Returns 0, 1 when a check fails
 * (then `out` holds which, see {@link layoutValidate}, and blocks before it have moved), or what
 * {@link verifyProgram} refuses.
 */
export function layoutUnpack(program: usize, programBytes: u32, live: usize, packed: usize, out: usize): i32 {
  if (isOutside(out, 8)) return EFAULT
  const refusal = verifyProgram(program, programBytes, packed, live, true, false)
  return refusal != 0 ? refusal : run(program, programBytes, packed, live, UNPACK, out)
}

/**
 * Checks packed bytes. Returns 0, or 1 with two u32 at `out`: the number of the check in the program
 * and the packed offset of the first value in its block that it refuses; or what {@link verifyProgram}
 * refuses.
 */
export function layoutValidate(program: usize, programBytes: u32, packed: usize, out: usize): i32 {
  if (isOutside(out, 8)) return EFAULT
  const refusal = verifyProgram(program, programBytes, packed, 0, false, false)
  return refusal != 0 ? refusal : run(program, programBytes, packed, 0, VALIDATE, out)
}

/** SAFETY: for a verified program only, whose rows are all inside the memory. */
function run(program: usize, programBytes: u32, packed: usize, live: usize, job: Job, out: usize): i32 {
  let checkNumber: u32 = 0
  // In 64 bits: a program may end with the memory, at 2^32.
  const end = (program as u64) + programBytes
  for (let at = program as u64; at < end;) {
    const group = changetype<Group>(at as usize)
    const ops = (at as usize) + LAYOUT_GROUP_BYTES
    const checks = ops + group.opCount * LAYOUT_OP_BYTES
    const block = recordsPerBlock(group, job)
    let liveBlock = live
    let packedBlock = packed
    for (let left = group.count; left > 0;) {
      const records = min(block, left)
      if (job != PACK && refuses(group, checks, checkNumber, packedBlock, records, packed, out)) return 1
      if (job != VALIDATE) {
        for (let n: u32 = 0; n < group.opCount; n++) {
          const op = changetype<Op>(ops + n * LAYOUT_OP_BYTES)
          moveBlock(op, group, liveBlock, packedBlock, records, job == PACK)
        }
      }
      left -= records
      liveBlock += records * group.liveStride
      packedBlock += records * group.packedStride
    }
    checkNumber += group.checkCount
    at = (checks as u64) + group.checkCount * LAYOUT_CHECK_BYTES
  }
  return 0
}

function recordsPerBlock(group: Group, job: Job): u32 {
  const bytesPerRecord = group.packedStride + (job == VALIDATE ? 0 : group.liveStride)
  // A group of one record may have strides of 0.
  return max<u32>(1, BLOCK_BYTES / max<u32>(1, bytesPerRecord))
}

/** One op over a block of records, the longer of its two loops inside. */
function moveBlock(op: Op, group: Group, live: usize, packed: usize, records: u32, pack: bool): void {
  const dst = pack ? packed + op.packed : live + op.live
  const src = pack ? live + op.live : packed + op.packed
  const dstRecord = pack ? group.packedStride : group.liveStride
  const srcRecord = pack ? group.liveStride : group.packedStride
  const dstItem = pack ? op.packedStride : op.liveStride
  const srcItem = pack ? op.liveStride : op.packedStride
  const recordsInside = records >= op.count
  const rounds = recordsInside ? op.count : records
  let inside = recordsInside ? records : op.count
  let bytes = op.bytes
  const dstStep = recordsInside ? dstRecord : dstItem
  const srcStep = recordsInside ? srcRecord : srcItem
  const dstRound = recordsInside ? dstItem : dstRecord
  const srcRound = recordsInside ? srcItem : srcRecord
  if (dstStep == bytes && srcStep == bytes) {
    bytes *= inside
    inside = 1
  }
  for (let round: u32 = 0; round < rounds; round++) {
    const to = dst + round * dstRound
    const from = src + round * srcRound
    if (op.swap == 0) copyRecords(to, dstStep, from, srcStep, inside, bytes)
    else swapRecords(to, dstStep, from, srcStep, inside, bytes, op.swap)
  }
}

/** Runs a group's checks over a block; true when one fails, which `out` then names. */
function refuses(
  group: Group,
  checks: usize,
  checkNumber: u32,
  block: usize,
  records: u32,
  packed: usize,
  out: usize,
): bool {
  for (let n: u32 = 0; n < group.checkCount; n++) {
    const check = changetype<Check>(checks + n * LAYOUT_CHECK_BYTES)
    let values = block + check.offset
    for (let item: u32 = 0; item < check.count; item++, values += check.stride) {
      const bad = findBadValue(check, values, group.packedStride, records)
      if (bad == usize.MAX_VALUE) continue
      store<u32>(out, checkNumber + n)
      store<u32>(out, (bad - packed) as u32, 4)
      return true
    }
  }
  return false
}
