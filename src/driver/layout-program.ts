/**
 * The engine's layout program of a schema at one version: ops that move every field between the live
 * layout and the packed stream, and checks of what a stream may hold.
 *
 * The outermost `repeated` around a field becomes a loop over records, and the longest one inside it a
 * loop of its op; further ones are written out. So a program grows with the schema, not with the device.
 *
 * @module
 */

import {
  type Engine,
  LAYOUT_CHECK_BYTES,
  LAYOUT_GROUP_BYTES,
  LAYOUT_OP_BYTES,
  LayoutCheckKind,
  type LayoutFault,
} from '../engine/index.ts'
import { type ValueCheck, valueChecks } from './constraints.ts'
import { type Layout, type Leaf, leafPath, packedBytes, type Part } from './layout.ts'
import { readValue } from './live-value.ts'

/** A layout program of one version, in engine memory. */
export interface LayoutProgram {
  readonly packedBytes: number
  /** Free it after use. */
  readonly pointer: number
  readonly byteLength: number
  /** What the n-th check is about, for {@link faultReason}. */
  readonly checks: readonly ProgramCheck[]
}

interface ProgramLoop {
  readonly count: number
  readonly liveStride: number
  readonly packedStride: number
}

const ONCE: ProgramLoop = { count: 1, liveStride: 0, packedStride: 0 }

/** A leaf with its place in both layouts, in the first round of all its loops (outermost first). */
interface Site {
  readonly leaf: Leaf
  readonly packed: number
  readonly loops: readonly ProgramLoop[]
}

interface Op extends ProgramLoop {
  readonly live: number
  readonly packed: number
  readonly bytes: number
  readonly swap: number
}

/** What a check is about. */
export interface ProgramCheck {
  readonly site: Site
  readonly value: ValueCheck
  readonly packed: number
  readonly loop: ProgramLoop
}

/** What repeats together. */
interface Group {
  readonly loop: ProgramLoop
  readonly ops: Op[]
  readonly checks: ProgramCheck[]
}

/** Writes the program of a version to engine memory; ENOMEM when it does not fit. Free `pointer` after use. */
export function loadProgram(engine: Engine, layout: Layout, version: number): LayoutProgram {
  const groups: Group[] = []
  for (const site of placeSites(layout.parts, version, 0, [])) addSite(groups, site)
  const byteLength = groups.reduce(
    (total, { ops, checks }) =>
      total + LAYOUT_GROUP_BYTES + ops.length * LAYOUT_OP_BYTES + checks.length * LAYOUT_CHECK_BYTES,
    0,
  )
  const pointer = engine.allocate(byteLength)
  writeGroups(new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, byteLength), groups)
  return {
    packedBytes: packedBytes(layout.parts, version),
    pointer,
    byteLength,
    checks: groups.flatMap(({ checks }) => checks),
  }
}

/** Why packed state at `packed` of engine memory is refused, such as "bank[3].level is out of range". */
export function faultReason(
  engine: Engine,
  checks: readonly ProgramCheck[],
  packed: number,
  fault: LayoutFault,
): string {
  const { site, value } = checks[fault.check] as ProgramCheck
  const { leaf } = site
  let offset = fault.offset - site.packed
  const indices = site.loops.map(({ packedStride }) => {
    const index = Math.floor(offset / packedStride)
    offset -= index * packedStride
    return index
  })
  const path = leafPath(leaf, indices)
  if (value.rule === 'range') return `${path} is out of range`
  const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + packed + fault.offset)
  const found = readValue(view, 0, leaf.scalar, leaf.scalar.options.endian !== 'big')
  return `${path} is ${found}, not one of ${leaf.scalar.options.oneOf?.join(', ')}`
}

function placeSites(
  parts: readonly Part[],
  version: number,
  packed: number,
  loops: readonly ProgramLoop[],
): Site[] {
  let at = packed
  return parts.flatMap((part): Site[] => {
    const first = at
    at += packedBytes([part], version)
    if (at === first) return []
    if (part.kind === 'leaf') return [{ leaf: part, packed: first, loops }]
    const packedStride = (at - first) / part.count
    const loop = { count: part.count, liveStride: part.stride, packedStride }
    return placeSites(part.parts, version, first, [...loops, loop])
  })
}

function addSite(groups: Group[], site: Site): void {
  const { leaf } = site
  const loops = site.loops.filter(({ count }) => count > 1)
  const [record = ONCE, ...inner] = loops
  const item = inner.reduce((longest, loop) => (loop.count > longest.count ? loop : longest), ONCE)
  let group = groups.at(-1)
  if (group?.loop !== record) {
    group = { loop: record, ops: [], checks: [] }
    groups.push(group)
  }
  const bytes = leaf.width * leaf.count
  const swap = leaf.scalar.options.endian === 'big' && leaf.width > 1 ? leaf.width : 0
  const values = valueChecks(leaf.scalar)
  const writtenOut = inner.filter((loop) => loop !== item)
  for (const { live, packed } of rounds(writtenOut, leaf.live, site.packed)) {
    addOp(group.ops, { live, packed, bytes, swap, ...item })
    for (const value of values) group.checks.push({ site, value, packed, loop: item })
  }
}

/** Where something stands in every round of some loops. */
function rounds(
  loops: readonly ProgramLoop[],
  live: number,
  packed: number,
): { live: number; packed: number }[] {
  const [loop, ...inner] = loops
  if (loop === undefined) return [{ live, packed }]
  return Array.from({ length: loop.count }, (_, round) =>
    rounds(inner, live + round * loop.liveStride, packed + round * loop.packedStride),
  ).flat()
}

/** Neighbours in both layouts become one op, and so do rounds that touch. */
function addOp(ops: Op[], op: Op): void {
  const last = ops.at(-1)
  const joins =
    last !== undefined &&
    last.swap === op.swap &&
    last.count === op.count &&
    last.liveStride === op.liveStride &&
    last.packedStride === op.packedStride &&
    last.live + last.bytes === op.live &&
    last.packed + last.bytes === op.packed
  const joined = joins ? { ...last, bytes: last.bytes + op.bytes } : op
  if (joins) ops.pop()
  const { bytes, count, liveStride, packedStride } = joined
  if (count > 1 && bytes === liveStride && bytes === packedStride)
    addOp(ops, { ...joined, ...ONCE, bytes: bytes * count })
  else ops.push(joined)
}

/** Rows as `engine/layout-rows.ts` draws them. */
function writeGroups(view: DataView, groups: readonly Group[]): void {
  let at = 0
  const words = (...values: number[]): void => {
    for (const value of values) {
      view.setUint32(at, value, true)
      at += 4
    }
  }
  for (const { loop, ops, checks } of groups) {
    words(loop.count, ops.length, checks.length, 0, loop.liveStride, loop.packedStride)
    for (const { live, packed, bytes, swap, count, liveStride, packedStride } of ops)
      words(live, packed, bytes, swap, count, liveStride, packedStride, 0)
    for (const { site, value, packed, loop: item } of checks) {
      const { width, count, scalar } = site.leaf
      const kind =
        (scalar.options.endian === 'big' ? LayoutCheckKind.BIG_ENDIAN : 0) |
        (value.refuses === 'inside' ? LayoutCheckKind.REFUSES_INSIDE : 0)
      words(packed, width, count, kind, item.count, item.packedStride)
      view.setBigUint64(at, BigInt.asUintN(8 * width, value.min), true)
      view.setBigUint64(at + 8, value.max - value.min, true)
      at += 16
    }
  }
}
