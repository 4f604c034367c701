/**
 * The state schema: what a device's register state consists of, written once by its author.
 *
 * Fields live in engine memory at natural alignment, where the device model reads and writes them,
 * and travel packed, without padding, in the order of the schema, little endian unless they say so.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Options of any field. */
export interface FieldOptions<V> {
  /** First version of the device's state that has this field; default 1. */
  readonly since?: number
  /** Power-on value, and the value after restoring a stream older than `since`; default 0. */
  readonly default?: V
}

/** Options of a number field: what a stream may hold. */
export interface NumberOptions<V> extends FieldOptions<V> {
  /** Least and greatest value, inclusive. */
  readonly min?: V
  /** Greatest value, inclusive. */
  readonly max?: V
  /** The only values allowed. */
  readonly oneOf?: readonly V[]
  /** Byte order on the wire, default 'little'; the device model reads and writes numbers either way. */
  readonly endian?: 'little' | 'big'
}

/** One number: `width` bytes. */
export interface ScalarField<V = number | bigint | boolean> {
  /** Tells fields apart. */
  readonly kind: 'scalar'
  /** Bytes on the wire. */
  readonly width: 1 | 2 | 4 | 8
  /** How the bytes are read; a boolean is 0 or 1. */
  readonly type: 'unsigned' | 'signed' | 'boolean'
  /** What a stream may hold. */
  readonly options: NumberOptions<V>
}

/** `length` numbers, as one typed array. */
export interface ArrayField<V = number | bigint | boolean> {
  /** Tells fields apart. */
  readonly kind: 'array'
  /** What each number is. */
  readonly element: ScalarField<V>
  /** How many numbers there are. */
  readonly length: number
  /** Since when there is the field. */
  readonly options: FieldOptions<never>
}

/** A queue of up to `capacity` numbers: a start index, a count and the slots. */
export interface RingField<V = number | bigint | boolean> {
  /** Tells fields apart. */
  readonly kind: 'ring'
  /** What each number is. */
  readonly element: ScalarField<V>
  /** Most numbers in the queue. */
  readonly capacity: number
  /** Since when there is the field. */
  readonly options: FieldOptions<never>
}

/** Raw bytes without structure. */
export interface BlobField {
  /** Tells fields apart. */
  readonly kind: 'blob'
  /** How long it is, always. */
  readonly byteLength: number
  /** Since when there is the field. */
  readonly options: FieldOptions<never>
}

/** Fields under one name. */
export interface NestedField<S extends Schema = Schema> {
  /** Tells fields apart. */
  readonly kind: 'nested'
  /** The fields, in wire order. */
  readonly fields: S
  /** Since when there are the fields. */
  readonly options: FieldOptions<never>
}

/** `count` times the same fields. */
export interface RepeatedField<S extends Schema = Schema> {
  /** Tells fields apart. */
  readonly kind: 'repeated'
  /** The fields of each repetition, in wire order. */
  readonly fields: S
  /** How many repetitions there are. */
  readonly count: number
  /** Since when there are the fields, and where they lie. */
  readonly options: FieldOptions<never> & {
    /** Bytes from one repetition to the next in engine memory; default: as few as alignment allows. */
    readonly stride?: number
  }
}

/** Any field. */
export type Field =
  | ScalarField<number>
  | ScalarField<bigint>
  | ScalarField<boolean>
  | ArrayField<number>
  | ArrayField<bigint>
  | RingField<number>
  | RingField<bigint>
  | BlobField
  | NestedField
  | RepeatedField

/** A state schema: named fields, in wire order. */
export interface Schema {
  /** A field by its name. */
  readonly [name: string]: Field
}

/** A bounded queue in device state. */
export interface LiveRing<V> {
  /** Most values it can hold. */
  readonly capacity: number
  /** Values in it now. */
  readonly length: number
  /** Appends a value; false when the ring is full. */
  push(value: V): boolean
  /** Takes the oldest value, undefined when empty. */
  shift(): V | undefined
  /** The value `index` places behind the oldest, undefined outside. */
  at(index: number): V | undefined
  /** Takes all values away. */
  clear(): void
}

/** The typed array of an {@link ArrayField}. */
export type LiveArray<V> = V extends bigint
  ? BigUint64Array | BigInt64Array
  : Uint8Array | Uint16Array | Uint32Array | Int8Array | Int16Array | Int32Array

/** What a field is to a device model. */
export type LiveField<F> =
  F extends ScalarField<infer V>
    ? V
    : F extends ArrayField<infer V>
      ? LiveArray<V>
      : F extends RingField<infer V>
        ? LiveRing<V>
        : F extends BlobField
          ? Uint8Array
          : F extends NestedField<infer S>
            ? LiveState<S>
            : F extends RepeatedField<infer S>
              ? readonly LiveState<S>[]
              : never

/** Values of the number fields. */
export type Settable<S> = { [K in keyof S]: S[K] extends ScalarField<infer V> ? V : never }

/** A device's state as its model uses it: numbers are properties, arrays are typed arrays. */
export type LiveState<S extends Schema> = {
  -readonly [K in keyof S as S[K] extends { kind: 'scalar' } ? K : never]: Settable<S>[K]
} & {
  readonly [K in keyof S as S[K] extends { kind: 'scalar' } ? never : K]: LiveField<S[K]>
}

function unsigned(width: 1 | 2 | 4): (options?: NumberOptions<number>) => ScalarField<number> {
  return (options = {}) => ({ kind: 'scalar', width, type: 'unsigned', options })
}

function signed(width: 1 | 2 | 4): (options?: NumberOptions<number>) => ScalarField<number> {
  return (options = {}) => ({ kind: 'scalar', width, type: 'signed', options })
}

/** An unsigned 8-bit number. */
export const u8: (options?: NumberOptions<number>) => ScalarField<number> = unsigned(1)
/** An unsigned 16-bit number. */
export const u16: (options?: NumberOptions<number>) => ScalarField<number> = unsigned(2)
/** An unsigned 32-bit number. */
export const u32: (options?: NumberOptions<number>) => ScalarField<number> = unsigned(4)
/** A signed 8-bit number. */
export const i8: (options?: NumberOptions<number>) => ScalarField<number> = signed(1)
/** A signed 16-bit number. */
export const i16: (options?: NumberOptions<number>) => ScalarField<number> = signed(2)
/** A signed 32-bit number. */
export const i32: (options?: NumberOptions<number>) => ScalarField<number> = signed(4)

/** An unsigned 64-bit number, a bigint to the model. */
export function u64(options: NumberOptions<bigint> = {}): ScalarField<bigint> {
  return { kind: 'scalar', width: 8, type: 'unsigned', options }
}

/** A signed 64-bit number, a bigint to the model. */
export function i64(options: NumberOptions<bigint> = {}): ScalarField<bigint> {
  return { kind: 'scalar', width: 8, type: 'signed', options }
}

/** A boolean: one byte, 0 or 1; any other byte in a stream is refused. */
export function bool(options: FieldOptions<boolean> = {}): ScalarField<boolean> {
  return { kind: 'scalar', width: 1, type: 'boolean', options }
}

/** `length` numbers. Constraints and the default of `element` hold for each. */
export function array<V extends number | bigint>(
  element: ScalarField<V>,
  length: number,
  options: { since?: number } = {},
): ArrayField<V> {
  return { kind: 'array', element, length: checkedCount('array length', length), options }
}

/** A queue of up to `capacity` numbers. */
export function ring<V extends number | bigint>(
  element: ScalarField<V>,
  capacity: number,
  options: { since?: number } = {},
): RingField<V> {
  return { kind: 'ring', element, capacity: checkedCount('ring capacity', capacity), options }
}

/** `byteLength` raw bytes. */
export function blob(byteLength: number, options: { since?: number } = {}): BlobField {
  return { kind: 'blob', byteLength: checkedCount('blob length', byteLength), options }
}

/** Fields under one name. */
export function nested<S extends Schema>(fields: S, options: { since?: number } = {}): NestedField<S> {
  return { kind: 'nested', fields, options }
}

/**
 * `count` times the same fields; costs what the fields cost once, but for the memory.
 *
 * @param options - `stride`: bytes from one repetition to the next in engine memory, a multiple of the
 * fields' alignment and no less than they take (EINVAL at the definition); not part of the stream
 */
export function repeated<S extends Schema>(
  count: number,
  fields: S,
  options: { since?: number; stride?: number } = {},
): RepeatedField<S> {
  return { kind: 'repeated', fields, count: checkedCount('repetition', count), options }
}

function checkedCount(what: string, count: number): number {
  if (Number.isSafeInteger(count) && count >= 1 && count <= 0x4000_0000) return count
  throw new VfioError(
    'EINVAL',
    `Cannot define state: ${what} ${count} is out of range, use an integer of 1 to 2^30`,
  )
}
