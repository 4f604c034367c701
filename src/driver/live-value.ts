/**
 * One number of a state, read from or written to memory.
 *
 * @module
 */

import type { ScalarField } from './schema.ts'

/** What a field can hold. */
export type Value = number | bigint | boolean

/** Reads the number at `at`; live state is little endian. */
export function readValue(view: DataView, at: number, scalar: ScalarField, littleEndian = true): Value {
  if (scalar.type === 'boolean') return view.getUint8(at) !== 0
  const signed = scalar.type === 'signed'
  if (scalar.width === 1) return signed ? view.getInt8(at) : view.getUint8(at)
  if (scalar.width === 2) return signed ? view.getInt16(at, littleEndian) : view.getUint16(at, littleEndian)
  if (scalar.width === 4) return signed ? view.getInt32(at, littleEndian) : view.getUint32(at, littleEndian)
  return signed ? view.getBigInt64(at, littleEndian) : view.getBigUint64(at, littleEndian)
}

/** Writes a number to live state, cut to its width as a typed array does. */
export function writeValue(view: DataView, at: number, scalar: ScalarField, value: Value): void {
  if (scalar.width === 8) view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true)
  else if (scalar.width === 4) view.setUint32(at, Number(value), true)
  else if (scalar.width === 2) view.setUint16(at, Number(value), true)
  else view.setUint8(at, Number(value))
}
