/**
 * Compiles a state schema to a layout: where each number lives, where it stands in the packed
 * stream of each version, and the ops and checks that the engine's layout kernels run.
 *
 * @module
 */

import { type Engine, LAYOUT_CHECK_BYTES, LAYOUT_OP_BYTES } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import { constraintFault, valueRange } from './constraints.ts'
import { type Field, type FieldOptions, type ScalarField, type Schema } from './schema.ts'

/** A run of equal numbers: `count` of `width` bytes, `stride` apart in the live layout, dense in the stream. */
export interface Leaf {
  readonly path: string
  readonly live: number
  readonly width: 1 | 2 | 4 | 8
  readonly count: number
  readonly since: number
  readonly scalar: ScalarField
}

/** A field placed in the live layout. */
export interface PlacedField {
  readonly name: string
  readonly field: Field
  /** Offset from the start of the fields around it. */
  readonly live: number
  /** Fields of nested and repeated ones. */
  readonly fields: readonly PlacedField[]
  /** Live bytes of one repetition. */
  readonly stride: number
}

/** A compiled schema. */
export interface Layout {
  readonly fields: readonly PlacedField[]
  readonly liveBytes: number
  readonly leaves: readonly Leaf[]
}

const RING_HEAD: ScalarField<number> = { kind: 'scalar', width: 4, type: 'unsigned', options: {} }
const BYTE: ScalarField<number> = { kind: 'scalar', width: 1, type: 'unsigned', options: {} }

/** Compiles a schema. EINVAL when a constraint or version makes no sense. */
export function compileLayout(schema: Schema, version: number): Layout {
  const placed = placeFields(schema)
  const leaves: Leaf[] = []
  collectLeaves(placed.fields, 0, '', 1, leaves)
  for (const leaf of leaves) {
    const { path, since } = leaf
    const fault =
      !Number.isInteger(since) || since < 1 || since > version
        ? `since version ${since}, use 1 to ${version}`
        : constraintFault(leaf.scalar)
    if (fault !== undefined) throw new VfioError('EINVAL', `Cannot define state: ${path}: ${fault}`)
  }
  return { fields: placed.fields, liveBytes: placed.byteLength, leaves }
}

function placeFields(schema: Schema): { fields: PlacedField[]; byteLength: number; alignment: number } {
  const fields: PlacedField[] = []
  let at = 0
  let alignment = 1
  for (const [name, field] of Object.entries(schema)) {
    // Untyped authors write `{ a: 1 }` for `{ a: u8({ default: 1 }) }`.
    if (typeof (field as { kind?: unknown } | null)?.kind !== 'string')
      throw new VfioError('EINVAL', `Cannot define state: ${name}: it is no field, use one such as u8()`)
    const inner = field.kind === 'nested' || field.kind === 'repeated' ? placeFields(field.fields) : undefined
    const align = inner?.alignment ?? fieldAlignment(field)
    const stride = inner === undefined ? 0 : inner.byteLength
    at = Math.ceil(at / align) * align
    fields.push({ name, field, live: at, fields: inner?.fields ?? [], stride })
    at += inner === undefined ? fieldBytes(field) : stride * (field.kind === 'repeated' ? field.count : 1)
    alignment = Math.max(alignment, align)
  }
  return { fields, byteLength: Math.ceil(at / alignment) * alignment, alignment }
}

function fieldAlignment(field: Field): number {
  if (field.kind === 'scalar') return field.width
  if (field.kind === 'array') return field.element.width
  if (field.kind === 'ring') return Math.max(4, field.element.width)
  return 1
}

/** Where a ring's slots stand: behind start and count, aligned. */
export function ringSlots(width: number): number {
  return Math.max(8, width)
}

function fieldBytes(field: Field): number {
  if (field.kind === 'scalar') return field.width
  if (field.kind === 'array') return field.element.width * field.length
  if (field.kind === 'ring') return ringSlots(field.element.width) + field.element.width * field.capacity
  return field.kind === 'blob' ? field.byteLength : 0
}

function collectLeaves(
  fields: readonly PlacedField[],
  base: number,
  prefix: string,
  outerSince: number,
  leaves: Leaf[],
): void {
  for (const { name, field, live, fields: inner, stride } of fields) {
    const path = prefix + name
    const at = base + live
    const element = field.kind === 'array' || field.kind === 'ring' ? field.element.options.since : undefined
    const own = (field.options as FieldOptions<unknown>).since ?? 1
    const sinces = [outerSince, own, element ?? 1]
    // What is no version must not hide behind one that is.
    const since = Math.min(...sinces) < 1 ? Math.min(...sinces) : Math.max(...sinces)
    const leaf = (scalar: ScalarField, count: number, offset: number, suffix = ''): void => {
      leaves.push({ path: path + suffix, live: at + offset, width: scalar.width, count, since, scalar })
    }
    if (field.kind === 'scalar') leaf(field, 1, 0)
    else if (field.kind === 'array') leaf(field.element, field.length, 0)
    else if (field.kind === 'blob') leaf(BYTE, field.byteLength, 0)
    else if (field.kind === 'ring') {
      leaf(bounded(field.capacity - 1), 1, 0, '.start')
      leaf(bounded(field.capacity), 1, 4, '.count')
      leaf(field.element, field.capacity, ringSlots(field.element.width))
    } else if (field.kind === 'nested') collectLeaves(inner, at, `${path}.`, since, leaves)
    else
      for (let index = 0; index < field.count; index++)
        collectLeaves(inner, at + index * stride, `${path}[${index}].`, since, leaves)
  }
}

function bounded(max: number): ScalarField {
  return { ...RING_HEAD, options: { max } }
}

/** A layout program of one version, in engine memory. */
export interface LayoutProgram {
  readonly packedBytes: number
  readonly pointer: number
  readonly opCount: number
  readonly checks: number
  readonly checkCount: number
  /** What the n-th check is about, for the error message. */
  readonly checkLeaves: readonly Leaf[]
}

/** Bytes of the packed state of a version. */
export function packedBytes(layout: Layout, version: number): number {
  let total = 0
  for (const leaf of layout.leaves) if (leaf.since <= version) total += leaf.width * leaf.count
  return total
}

/** Words that are equal when, and only when, two packed layouts are: behind CONFIG's `state.layout`. */
export function describeLayout(layout: Layout, version: number): string {
  return layout.leaves
    .filter((leaf) => leaf.since <= version)
    .map((leaf) => `${leaf.path}:${leaf.scalar.type}${leaf.width * 8}x${leaf.count}`)
    .join('\n')
}

/** Writes the program of a version to engine memory; ENOMEM when it does not fit. Free `pointer` after use. */
export function loadProgram(engine: Engine, layout: Layout, version: number): LayoutProgram {
  const leaves = layout.leaves.filter((leaf) => leaf.since <= version)
  const ops: { live: number; packed: number; bytes: number }[] = []
  const checks: { leaf: Leaf; packed: number; min: bigint; max: bigint; kind: number }[] = []
  let packed = 0
  for (const leaf of leaves) {
    const bytes = leaf.width * leaf.count
    const last = ops.at(-1)
    // Neighbours in both layouts become one copy.
    if (last !== undefined && last.live + last.bytes === leaf.live) last.bytes += bytes
    else ops.push({ live: leaf.live, packed, bytes })
    const range = valueRange(leaf.scalar)
    if (range !== undefined) checks.push({ leaf, packed, ...range })
    packed += bytes
  }
  const checksAt = ops.length * LAYOUT_OP_BYTES
  const byteLength = checksAt + checks.length * LAYOUT_CHECK_BYTES
  const pointer = engine.allocate(byteLength)
  const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, byteLength)
  for (const [index, op] of ops.entries()) {
    const at = index * LAYOUT_OP_BYTES
    view.setUint32(at, op.live, true)
    view.setUint32(at + 4, op.packed, true)
    view.setUint32(at + 8, op.bytes, true)
  }
  for (const [index, check] of checks.entries()) {
    const at = checksAt + index * LAYOUT_CHECK_BYTES
    view.setUint32(at, check.packed, true)
    view.setUint32(at + 4, check.leaf.width, true)
    view.setUint32(at + 8, check.leaf.count, true)
    view.setUint32(at + 12, check.leaf.width, true)
    view.setUint32(at + 16, check.kind, true)
    view.setBigUint64(at + 24, BigInt.asUintN(64, check.min), true)
    view.setBigUint64(at + 32, BigInt.asUintN(64, check.max), true)
  }
  return {
    packedBytes: packed,
    pointer,
    opCount: ops.length,
    checks: pointer + checksAt,
    checkCount: checks.length,
    checkLeaves: checks.map((check) => check.leaf),
  }
}
