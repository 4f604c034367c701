/**
 * The live state: properties over engine memory, as the device model reads and writes them.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { type Layout, type Leaf, type PlacedField, ringSlots } from './layout.ts'
import type { LiveRing, LiveState, ScalarField, Schema } from './schema.ts'

type Value = number | bigint | boolean

/** Builds the accessors of the state at `pointer` of the engine's memory. */
export function liveState<S extends Schema>(engine: Engine, layout: Layout, pointer: number): LiveState<S> {
  const { buffer, byteOffset } = engine.bytes
  const view = new DataView(buffer, byteOffset + pointer, layout.liveBytes)
  return fieldsObject(view, layout.fields, 0) as LiveState<S>
}

function fieldsObject(view: DataView, fields: readonly PlacedField[], base: number): object {
  const state = {}
  for (const placed of fields) {
    const { name, field } = placed
    const at = base + placed.live
    if (field.kind === 'scalar') {
      const scalar = field as ScalarField
      Object.defineProperty(state, name, {
        enumerable: true,
        get: () => readValue(view, at, scalar),
        set: (value: Value) => {
          writeValue(view, at, scalar, value)
        },
      })
    } else Object.defineProperty(state, name, { enumerable: true, value: compound(view, placed, at) })
  }
  return Object.freeze(state)
}

function compound(view: DataView, placed: PlacedField, at: number): unknown {
  const { field } = placed
  if (field.kind === 'array') return typedArray(view, at, field.element, field.length)
  if (field.kind === 'blob') return new Uint8Array(view.buffer, view.byteOffset + at, field.byteLength)
  if (field.kind === 'ring') return liveRing(view, at, field.element, field.capacity)
  if (field.kind === 'nested') return fieldsObject(view, placed.fields, at)
  if (field.kind === 'repeated')
    return Array.from({ length: field.count }, (_, index) =>
      fieldsObject(view, placed.fields, at + index * placed.stride),
    )
  return undefined
}

function typedArray(view: DataView, at: number, scalar: ScalarField, length: number): ArrayBufferView {
  const signed = scalar.type === 'signed'
  const types = {
    1: signed ? Int8Array : Uint8Array,
    2: signed ? Int16Array : Uint16Array,
    4: signed ? Int32Array : Uint32Array,
    8: signed ? BigInt64Array : BigUint64Array,
  }
  return new types[scalar.width](view.buffer as ArrayBuffer, view.byteOffset + at, length)
}

function liveRing(view: DataView, at: number, scalar: ScalarField, capacity: number): LiveRing<Value> {
  const slots = at + ringSlots(scalar.width)
  const slot = (index: number): number =>
    slots + ((view.getUint32(at, true) + index) % capacity) * scalar.width
  return {
    capacity,
    get length() {
      return view.getUint32(at + 4, true)
    },
    push(value) {
      const count = view.getUint32(at + 4, true)
      if (count === capacity) return false
      writeValue(view, slot(count), scalar, value)
      view.setUint32(at + 4, count + 1, true)
      return true
    },
    shift() {
      const count = view.getUint32(at + 4, true)
      if (count === 0) return undefined
      const value = readValue(view, slot(0), scalar)
      view.setUint32(at, (view.getUint32(at, true) + 1) % capacity, true)
      view.setUint32(at + 4, count - 1, true)
      return value
    },
    at(index) {
      return index >= 0 && index < view.getUint32(at + 4, true)
        ? readValue(view, slot(index), scalar)
        : undefined
    },
    clear() {
      view.setUint32(at, 0, true)
      view.setUint32(at + 4, 0, true)
    },
  }
}

function readValue(view: DataView, at: number, scalar: ScalarField): Value {
  if (scalar.type === 'boolean') return view.getUint8(at) !== 0
  const signed = scalar.type === 'signed'
  if (scalar.width === 1) return signed ? view.getInt8(at) : view.getUint8(at)
  if (scalar.width === 2) return signed ? view.getInt16(at, true) : view.getUint16(at, true)
  if (scalar.width === 4) return signed ? view.getInt32(at, true) : view.getUint32(at, true)
  return signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true)
}

function writeValue(view: DataView, at: number, scalar: ScalarField, value: Value): void {
  if (scalar.width === 8) view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true)
  else if (scalar.width === 4) view.setUint32(at, Number(value), true)
  else if (scalar.width === 2) view.setUint16(at, Number(value), true)
  else view.setUint8(at, Number(value))
}

/**
 * Writes the defaults of the leaves that came after `version`: 0 for all of them (power-on), or a
 * stream's version (what it could not hold). The memory there must be zero.
 */
export function applyDefaults(engine: Engine, layout: Layout, pointer: number, version: number): void {
  const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, layout.liveBytes)
  for (const leaf of layout.leaves) {
    const initial = leaf.scalar.options.default
    if (leaf.since <= version || initial === undefined) continue
    for (let i = 0; i < leaf.count; i++) writeValue(view, leaf.live + i * leaf.width, leaf.scalar, initial)
  }
}

/** The first value that its field's `oneOf` does not allow, in words, or undefined. */
export function disallowedValue(
  engine: Engine,
  leaves: readonly Leaf[],
  pointer: number,
): string | undefined {
  for (const leaf of leaves) {
    const allowed: readonly Value[] | undefined = leaf.scalar.options.oneOf
    if (allowed === undefined) continue
    const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer + leaf.live)
    for (let i = 0; i < leaf.count; i++) {
      const value = readValue(view, i * leaf.width, leaf.scalar)
      if (!allowed.includes(value)) return `${leaf.path} is ${value}, not one of ${allowed.join(', ')}`
    }
  }
  return undefined
}
