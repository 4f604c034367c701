/**
 * Compiles a state schema to a layout: where each number lives in engine memory, and in which order the
 * numbers travel. `layout-program.ts` makes the engine's programs from it.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { constraintFault } from './constraints.ts'
import { type Field, type FieldOptions, type ScalarField, type Schema } from './schema.ts'

/** A run of equal numbers: `count` of `width` bytes, dense in both layouts; once per round of its loops. */
export interface Leaf {
  readonly kind: 'leaf'
  /** The path, cut where an index stands: 'bank', '.level' for bank[3].level. */
  readonly pathPieces: readonly string[]
  /** Live offset in the first round of every loop. */
  readonly live: number
  readonly width: 1 | 2 | 4 | 8
  readonly count: number
  readonly since: number
  readonly scalar: ScalarField
}

/** Parts that repeat: `count` rounds, `stride` live bytes apart. */
export interface Loop {
  readonly kind: 'loop'
  readonly count: number
  readonly stride: number
  readonly parts: readonly Part[]
}

/** What the state consists of, in wire order. */
export type Part = Leaf | Loop

/** A field placed in the live layout. */
export interface PlacedField {
  readonly name: string
  readonly field: Field
  /** Offset from the start of the fields around it. */
  readonly live: number
  /** Fields of nested and repeated ones. */
  readonly fields: readonly PlacedField[]
  /** Live bytes from one repetition to the next. */
  readonly stride: number
}

/** A compiled schema. */
export interface Layout {
  readonly fields: readonly PlacedField[]
  readonly liveBytes: number
  readonly parts: readonly Part[]
}

const RING_HEAD: ScalarField<number> = { kind: 'scalar', width: 4, type: 'unsigned', options: {} }
const BYTE: ScalarField<number> = { kind: 'scalar', width: 1, type: 'unsigned', options: {} }

/** Compiles a schema. EINVAL when a constraint, a version or a stride makes no sense. */
export function compileLayout(schema: Schema, version: number): Layout {
  const placed = placeFields(schema)
  const parts = collectParts(placed.fields, { live: 0, pathPieces: [''], since: 1 })
  for (const leaf of leavesOf(parts)) {
    const { since } = leaf
    const fault =
      !Number.isInteger(since) || since < 1 || since > version
        ? `since version ${since}, use 1 to ${version}`
        : constraintFault(leaf.scalar)
    if (fault !== undefined) throw refusal(leafPath(leaf, []), fault)
  }
  return { fields: placed.fields, liveBytes: placed.byteLength, parts }
}

/** All leaves, each once, in wire order. */
export function leavesOf(parts: readonly Part[]): Leaf[] {
  return parts.flatMap((part) => (part.kind === 'leaf' ? [part] : leavesOf(part.parts)))
}

/** The path of a leaf in a round; index 0 where none is given. */
export function leafPath(leaf: Leaf, indices: readonly number[]): string {
  return leaf.pathPieces.map((piece, n) => (n === 0 ? piece : `[${indices[n - 1] ?? 0}]${piece}`)).join('')
}

/** Bytes of the packed state of a version. */
export function packedBytes(parts: readonly Part[], version: number): number {
  let total = 0
  for (const part of parts) {
    if (part.kind === 'loop') total += part.count * packedBytes(part.parts, version)
    else if (part.since <= version) total += part.width * part.count
  }
  return total
}

/** Words that are equal when, and only when, two packed layouts are: behind CONFIG's `state.layout`. */
export function describeLayout(layout: Layout, version: number): string {
  const describe = (parts: readonly Part[], counts: readonly number[]): string[] =>
    parts.flatMap((part) => {
      if (part.kind === 'loop') return describe(part.parts, [...counts, part.count])
      if (part.since > version) return []
      const { type, options } = part.scalar
      const order = options.endian === 'big' && part.width > 1 ? 'be' : ''
      return [`${leafPath(part, counts)}:${type}${part.width * 8}${order}x${part.count}`]
    })
  return describe(layout.parts, []).join('\n')
}

function placeFields(schema: Schema): { fields: PlacedField[]; byteLength: number; alignment: number } {
  const fields: PlacedField[] = []
  let at = 0
  let alignment = 1
  for (const [name, field] of Object.entries(schema)) {
    // Untyped authors write `{ a: 1 }` for `{ a: u8({ default: 1 }) }`.
    if (typeof (field as { kind?: unknown } | null)?.kind !== 'string')
      throw refusal(name, 'it is no field, use one such as u8()')
    const inner = field.kind === 'nested' || field.kind === 'repeated' ? placeFields(field.fields) : undefined
    const align = inner?.alignment ?? fieldAlignment(field)
    const stride = inner === undefined ? 0 : strideOf(name, field, inner.byteLength, align)
    at = Math.ceil(at / align) * align
    fields.push({ name, field, live: at, fields: inner?.fields ?? [], stride })
    at += inner === undefined ? fieldBytes(field) : stride * (field.kind === 'repeated' ? field.count : 1)
    alignment = Math.max(alignment, align)
  }
  return { fields, byteLength: Math.ceil(at / alignment) * alignment, alignment }
}

function strideOf(name: string, field: Field, byteLength: number, alignment: number): number {
  const stride = field.kind === 'repeated' ? (field.options.stride ?? byteLength) : byteLength
  if (Number.isSafeInteger(stride) && stride >= byteLength && stride % alignment === 0) return stride
  throw refusal(name, `its stride is ${stride}, use a multiple of ${alignment} from ${byteLength}`)
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

/** Where fields stand: what is the same for all of one list. */
interface Surroundings {
  readonly live: number
  /** The last piece is what their names are appended to. */
  readonly pathPieces: readonly string[]
  readonly since: number
}

function collectParts(fields: readonly PlacedField[], around: Surroundings): Part[] {
  return fields.flatMap(({ name, field, live: offset, fields: inner, stride }): Part[] => {
    const pathPieces = appended(around.pathPieces, name)
    const live = around.live + offset
    const element = field.kind === 'array' || field.kind === 'ring' ? field.element.options.since : undefined
    const own = (field.options as FieldOptions<unknown>).since ?? 1
    const sinces = [around.since, own, element ?? 1]
    // What is no version must not hide behind one that is.
    const since = Math.min(...sinces) < 1 ? Math.min(...sinces) : Math.max(...sinces)
    const leaf = (scalar: ScalarField, count: number, at: number, suffix = ''): Leaf => ({
      kind: 'leaf',
      pathPieces: appended(pathPieces, suffix),
      live: live + at,
      width: scalar.width,
      count,
      since,
      scalar,
    })
    if (field.kind === 'scalar') return [leaf(field, 1, 0)]
    if (field.kind === 'array') return [leaf(field.element, field.length, 0)]
    if (field.kind === 'blob') return [leaf(BYTE, field.byteLength, 0)]
    if (field.kind === 'ring')
      return [
        leaf(bounded(field.capacity - 1), 1, 0, '.start'),
        leaf(bounded(field.capacity), 1, 4, '.count'),
        leaf(field.element, field.capacity, ringSlots(field.element.width)),
      ]
    if (field.kind === 'nested')
      return collectParts(inner, { live, pathPieces: appended(pathPieces, '.'), since })
    const parts = collectParts(inner, { live, pathPieces: [...pathPieces, '.'], since })
    return [{ kind: 'loop', count: field.count, stride, parts }]
  })
}

function appended(pathPieces: readonly string[], text: string): string[] {
  return [...pathPieces.slice(0, -1), `${pathPieces.at(-1) ?? ''}${text}`]
}

function bounded(max: number): ScalarField {
  return { ...RING_HEAD, options: { max } }
}

function refusal(path: string, fault: string): VfioError {
  return new VfioError('EINVAL', `Cannot define state: ${path}: ${fault}`)
}
