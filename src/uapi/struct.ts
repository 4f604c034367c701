/**
 * Wire structures: a table of fields from which one encoder and one decoder work.
 *
 * All VFIO structures are little endian with natural alignment and no hidden padding, so a field is its
 * kernel name, type and offset, and the table is at the same time what `explain` prints and what the
 * tests compare with the installed header. u64 is bigint, u32 and s32 are numbers.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { userBytes } from './user-memory.ts'

/** One field: kernel spelling, type, offset in bytes. */
export interface Field<Type extends FieldType = FieldType> {
  /** As the kernel spells it. */
  readonly name: string
  /** Width and sign. */
  readonly type: Type
  /** Bytes from the structure's start. */
  readonly offset: number
}

/** Integer types that occur in VFIO structures. */
export type FieldType = 'u32' | 's32' | 'u64'

/** The fields of a structure whose value is `Value`; a bigint member is a u64. */
export type FieldTable<Value> = {
  readonly [Key in keyof Value]: Field<Value[Key] extends bigint ? 'u64' : 'u32' | 's32'>
}

/** Encoder and decoder of one structure. */
export interface Struct<Value> {
  /** Kernel spelling, without `struct`. */
  readonly name: string
  /** Bytes of the structure. */
  readonly byteLength: number
  /** Its fields by the value's keys. */
  readonly fields: FieldTable<Value>
  /**
   * Reads the structure at `address` (default 0); bytes behind it do not matter.
   *
   * @throws {@link VfioError} EFAULT when it is not wholly inside `memory`
   */
  decode(memory: Uint8Array, address?: number | bigint): Value
  /**
   * The structure's bytes.
   *
   * @throws {@link VfioError} EINVAL when a value does not fit its field
   */
  encode(value: Value): Uint8Array
  /**
   * Writes the structure at `address` of `memory`, all of it or nothing.
   *
   * @throws {@link VfioError} EFAULT when it is not wholly inside `memory`; EINVAL when a value does not
   * fit its field
   */
  encodeInto(memory: Uint8Array, address: number | bigint, value: Value): void
}

const WIDTH: Record<FieldType, number> = { u32: 4, s32: 4, u64: 8 }
const HIGHEST_U64 = 0xffff_ffff_ffff_ffffn

/** Defines a structure whose fields follow each other in the order of `fields`. */
export function defineStruct<Value>(
  name: string,
  members: { readonly [Key in keyof Value]: readonly [name: string, type: FieldTable<Value>[Key]['type']] },
): Struct<Value> {
  let byteLength = 0
  const fields: Record<string, Field> = {}
  for (const [key, [fieldName, type]] of Object.entries(members) as [string, [string, FieldType]][]) {
    fields[key] = { name: fieldName, type, offset: byteLength }
    byteLength += WIDTH[type]
  }
  const entries = Object.entries(fields)

  const encode = (value: Value): Uint8Array => {
    const bytes = new Uint8Array(byteLength)
    const view = new DataView(bytes.buffer)
    for (const [key, field] of entries) store(view, field, value[key as keyof Value] as number | bigint)
    return bytes
  }
  return {
    name,
    byteLength,
    fields: fields as FieldTable<Value>,
    decode(memory, address = 0) {
      const bytes = userBytes(memory, address, byteLength)
      const view = new DataView(bytes.buffer, bytes.byteOffset, byteLength)
      const value: Record<string, number | bigint> = {}
      for (const [key, field] of entries) value[key] = load(view, field)
      return value as Value
    },
    encode,
    encodeInto(memory, address, value) {
      const bytes = encode(value)
      userBytes(memory, address, byteLength).set(bytes)
    },
  }
}

function load(view: DataView, { type, offset }: Field): number | bigint {
  if (type === 'u64') return view.getBigUint64(offset, true)
  return type === 'u32' ? view.getUint32(offset, true) : view.getInt32(offset, true)
}

// A DataView would wrap 2^32 + 3 to 3 in silence: a request for another state than the one asked for.
function store(view: DataView, { name, type, offset }: Field, value: number | bigint): void {
  if (!fits(type, value)) {
    throw new VfioError(
      'EINVAL',
      `Cannot encode ${name}: ${value} is no ${type}, pass a whole number in its range`,
    )
  }
  if (type === 'u64') view.setBigUint64(offset, BigInt(value), true)
  else if (type === 'u32') view.setUint32(offset, Number(value), true)
  else view.setInt32(offset, Number(value), true)
}

function fits(type: FieldType, value: number | bigint): boolean {
  if (type === 'u64')
    return typeof value === 'bigint'
      ? value >= 0n && value <= HIGHEST_U64
      : Number.isSafeInteger(value) && value >= 0
  const number = Number(value)
  return type === 'u32' ? number === number >>> 0 : number === (number | 0)
}
