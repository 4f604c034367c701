/**
 * Layout programs: what moves a device's registers between their live layout and the packed bytes of
 * a stream, and what checks the packed bytes. The host compiles them from a state schema; ops and
 * checks are drawn in `src/engine/engine.ts`.
 *
 * A program is checked as a whole before its first op runs.
 *
 * @module
 */

import { EFAULT, EINVAL, LAYOUT_CHECK_BYTES, LAYOUT_OP_BYTES } from './abi'
import { isOutside } from './bounds'

/** Offsets of an op's fields. */
const OP_LIVE: usize = 0
const OP_PACKED: usize = 4
const OP_BYTES: usize = 8
const OP_RESERVED: usize = 12

/** Offsets of a check's fields. */
const CHECK_OFFSET: usize = 0
const CHECK_WIDTH: usize = 4
const CHECK_COUNT: usize = 8
const CHECK_STRIDE: usize = 12
const CHECK_KIND: usize = 16
const CHECK_RESERVED: usize = 20
const CHECK_MIN: usize = 24
const CHECK_MAX: usize = 32

const KIND_UNSIGNED: u32 = 0
const KIND_SIGNED: u32 = 1

/** Live layout to packed bytes. Returns 0, EFAULT, or EINVAL (a reserved field is set). */
export function layoutPack(program: usize, opCount: u32, packed: usize, live: usize): i32 {
  return move(program, opCount, packed, OP_PACKED, live, OP_LIVE)
}

/** Packed bytes to live layout. Returns 0, EFAULT, or EINVAL (a reserved field is set). */
export function layoutUnpack(program: usize, opCount: u32, live: usize, packed: usize): i32 {
  return move(program, opCount, live, OP_LIVE, packed, OP_PACKED)
}

/** Runs the ops in order; `dstField` and `srcField` say which offset of an op belongs to which base. */
function move(program: usize, opCount: u32, dst: usize, dstField: usize, src: usize, srcField: usize): i32 {
  const programBytes = (opCount as u64) * LAYOUT_OP_BYTES
  if (isOutside(program, programBytes)) return EFAULT
  let op = program
  for (let n: u32 = 0; n < opCount; n++) {
    const to = (dst as u64) + (load<u32>(op + dstField) as u64)
    const from = (src as u64) + (load<u32>(op + srcField) as u64)
    const bytes = load<u32>(op, OP_BYTES) as u64
    if (isOutside(to, bytes) || isOutside(from, bytes)) return EFAULT
    // An op that rewrote the program would undo this check.
    if (to < (program as u64) + programBytes && to + bytes > (program as u64)) return EFAULT
    if (load<u32>(op, OP_RESERVED) != 0) return EINVAL
    op += LAYOUT_OP_BYTES
  }
  // SAFETY: every op is inside the memory, and none writes the program.
  op = program
  for (let n: u32 = 0; n < opCount; n++) {
    moveBytes(dst + load<u32>(op + dstField), src + load<u32>(op + srcField), load<u32>(op, OP_BYTES))
    op += LAYOUT_OP_BYTES
  }
  return 0
}

/** `memory.copy` is a call; a register is one load and one store. */
function moveBytes(dst: usize, src: usize, bytes: u32): void {
  if (bytes == 4) store<u32>(dst, load<u32>(src))
  else if (bytes == 8) store<u64>(dst, load<u64>(src))
  else if (bytes == 2) store<u16>(dst, load<u16>(src))
  else if (bytes == 1) store<u8>(dst, load<u8>(src))
  else memory.copy(dst, src, bytes)
}

/**
 * Returns how many checks pass before the first that fails: all `checkCount` of them when none does.
 * EFAULT; EINVAL for a width or kind that does not exist, a reserved field, or more checks than a
 * result can count.
 */
export function layoutValidate(program: usize, checkCount: u32, packed: usize): i32 {
  if (checkCount > (i32.MAX_VALUE as u32)) return EINVAL
  if (isOutside(program, (checkCount as u64) * LAYOUT_CHECK_BYTES)) return EFAULT
  let check = program
  for (let n: u32 = 0; n < checkCount; n++) {
    const width = load<u32>(check, CHECK_WIDTH)
    if (width > 8 || popcnt(width) != 1) return EINVAL
    if (load<u32>(check, CHECK_KIND) > KIND_SIGNED || load<u32>(check, CHECK_RESERVED) != 0) return EINVAL
    const count = load<u32>(check, CHECK_COUNT) as u64
    if (count > 0) {
      // Cannot wrap: at most (2^32 - 2) * (2^32 - 1) + 2 * (2^32 - 1) + 8 < 2^64.
      const first = (packed as u64) + (load<u32>(check, CHECK_OFFSET) as u64)
      const last = first + (count - 1) * (load<u32>(check, CHECK_STRIDE) as u64)
      if (isOutside(last, width)) return EFAULT
    }
    check += LAYOUT_CHECK_BYTES
  }
  // SAFETY: the last value of every check ends inside the memory, so all its values do.
  check = program
  for (let n: u32 = 0; n < checkCount; n++) {
    if (!checkPasses(check, packed)) return n
    check += LAYOUT_CHECK_BYTES
  }
  return checkCount
}

function checkPasses(check: usize, packed: usize): bool {
  const width = load<u32>(check, CHECK_WIDTH)
  const stride = load<u32>(check, CHECK_STRIDE)
  const signed = load<u32>(check, CHECK_KIND) != KIND_UNSIGNED
  const lowest = load<u64>(check, CHECK_MIN)
  const highest = load<u64>(check, CHECK_MAX)
  let at = packed + load<u32>(check, CHECK_OFFSET)
  for (let left = load<u32>(check, CHECK_COUNT); left > 0; left--) {
    if (signed) {
      const value = loadSigned(at, width)
      if (value < (lowest as i64) || value > (highest as i64)) return false
    } else {
      const value = loadUnsigned(at, width)
      if (value < lowest || value > highest) return false
    }
    at += stride
  }
  return true
}

function loadUnsigned(at: usize, width: u32): u64 {
  if (width == 4) return load<u32>(at)
  if (width == 8) return load<u64>(at)
  if (width == 2) return load<u16>(at)
  return load<u8>(at)
}

function loadSigned(at: usize, width: u32): i64 {
  if (width == 4) return load<i32>(at)
  if (width == 8) return load<i64>(at)
  if (width == 2) return load<i16>(at)
  return load<i8>(at)
}
