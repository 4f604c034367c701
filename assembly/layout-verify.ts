/**
 * The check of a whole layout program before its first op runs.
 *
 * @module
 */

import { EFAULT, EINVAL, LAYOUT_CHECK_BYTES, LAYOUT_GROUP_BYTES, LAYOUT_OP_BYTES } from './abi'
import { isOutside } from './bounds'
import { Check, Group, KIND_BIG_ENDIAN, KIND_REFUSES_INSIDE, Op } from './layout-rows'

/** More than any memory has, and small enough that sums of a few never wrap 64 bits. */
const FAR: u64 = 1 << 40

/** Bytes of so many values still fit in 32 bits. */
const MOST_ELEMENTS: u32 = u32.MAX_VALUE >> 3

/**
 * Looks at every row. `moves` also looks at what the ops touch; `pack` says which side they write.
 *
 * Returns 0; EFAULT: the program, or what a row reaches, is outside the memory, or an op would
 * overwrite the program; EINVAL: rows that are cut off, a count of 0 or a stride of 0 between several,
 * more elements than a range can have, a reserved field that is set, a width, unit or kind that does
 * not exist.
 */
export function verifyProgram(
  program: usize,
  programBytes: u32,
  packed: usize,
  live: usize,
  moves: bool,
  pack: bool,
): i32 {
  if (isOutside(program, programBytes)) return EFAULT
  // In 64 bits: a program may end with the memory, at 2^32.
  const end = (program as u64) + programBytes
  let at = program as u64
  while (at < end) {
    if (at + LAYOUT_GROUP_BYTES > end) return EINVAL
    const group = changetype<Group>(at as usize)
    if (group.reserved != 0 || isNoLoop(group.count, group.liveStride, group.packedStride)) return EINVAL
    let row = at + LAYOUT_GROUP_BYTES
    const checks = row + (group.opCount as u64) * LAYOUT_OP_BYTES
    at = checks + (group.checkCount as u64) * LAYOUT_CHECK_BYTES
    if (at > end) return EINVAL
    const packedSpan = span(group.count, group.packedStride)
    for (; row < checks; row += LAYOUT_OP_BYTES) {
      const op = changetype<Op>(row as usize)
      if (op.reserved != 0 || op.bytes == 0) return EINVAL
      if (isNoLoop(op.count, op.liveStride, op.packedStride)) return EINVAL
      if (op.swap != 0 && (op.swap == 1 || isNoWidth(op.swap) || op.bytes % op.swap != 0)) return EINVAL
      if (!moves) continue
      const liveBytes = span(group.count, group.liveStride) + span(op.count, op.liveStride) + op.bytes
      const packedBytes = packedSpan + span(op.count, op.packedStride) + op.bytes
      const liveFirst = (live as u64) + op.live
      const packedFirst = (packed as u64) + op.packed
      if (isOutside(liveFirst, liveBytes) || isOutside(packedFirst, packedBytes)) return EFAULT
      // An op that rewrote the program would undo this check.
      const dst = pack ? packedFirst : liveFirst
      if (dst < end && dst + (pack ? packedBytes : liveBytes) > (program as u64)) return EFAULT
    }
    for (; row < at; row += LAYOUT_CHECK_BYTES) {
      const check = changetype<Check>(row as usize)
      if (check.elements == 0 || check.elements > MOST_ELEMENTS || isNoWidth(check.width)) return EINVAL
      if ((check.kind & ~(KIND_BIG_ENDIAN | KIND_REFUSES_INSIDE)) != 0) return EINVAL
      if (isNoLoop(check.count, check.stride, check.stride)) return EINVAL
      const bytes = packedSpan + span(check.count, check.stride) + (check.elements as u64) * check.width
      if (isOutside((packed as u64) + check.offset, bytes)) return EFAULT
    }
  }
  return 0
}

/** Several rounds at one place would be a mistake, and with many of them a hang. */
function isNoLoop(count: u32, strideA: u32, strideB: u32): bool {
  return count == 0 || (count > 1 && (strideA == 0 || strideB == 0))
}

function isNoWidth(width: u32): bool {
  return width > 8 || popcnt(width) != 1
}

/** Bytes from the first to the last of `count` things. */
function span(count: u32, stride: u32): u64 {
  return min(((count - 1) as u64) * stride, FAR)
}
