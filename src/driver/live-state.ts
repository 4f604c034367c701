/**
 * The live state: properties over engine memory, as the device model reads and writes them.
 *
 * A state may have 100,000 records. All records of one `repeated` share a prototype with the properties
 * and hold no more than their place; arrays, rings and what is nested are made on first use.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import type { Layout, Leaf, Loop, Part, PlacedField } from './layout.ts'
import { liveRing } from './live-ring.ts'
import { readValue, type Value, writeValue } from './live-value.ts'
import type { LiveState, ScalarField, Schema } from './schema.ts'

/** Builds the accessors of the state at `pointer` of the engine's memory. */
export function liveState<S extends Schema>(engine: Engine, layout: Layout, pointer: number): LiveState<S> {
  const { buffer, byteOffset } = engine.bytes
  const view = new DataView(buffer, byteOffset + pointer, layout.liveBytes)
  return recordFactory(view, layout.fields, false)(0) as LiveState<S>
}

/** A record's place, and what of it was made already. */
class LiveRecord {
  readonly #at: number
  #compounds: unknown[] | undefined

  constructor(at: number) {
    this.#at = at
  }

  /** Properties of records whose fields are placed like this; `many`: there is more than one record. */
  static properties(view: DataView, fields: readonly PlacedField[], many: boolean): PropertyDescriptorMap {
    // Without a prototype, so that a field may have any name.
    const properties = Object.create(null) as PropertyDescriptorMap
    for (const [index, placed] of fields.entries()) {
      const { field, live } = placed
      properties[placed.name] =
        field.kind === 'scalar'
          ? {
              enumerable: true,
              get(this: LiveRecord) {
                return readValue(view, this.#at + live, field)
              },
              set(this: LiveRecord, value: Value) {
                writeValue(view, this.#at + live, field, value)
              },
            }
          : {
              enumerable: true,
              get: LiveRecord.#compoundGetter(index, live, compound(view, placed, many)),
            }
    }
    return properties
  }

  static #compoundGetter(index: number, live: number, make: (at: number) => unknown) {
    return function (this: LiveRecord): unknown {
      this.#compounds ??= []
      return (this.#compounds[index] ??= make(this.#at + live))
    }
  }
}

/** How to make records at their places; one that is alone has properties of its own, which a spread copies. */
function recordFactory(
  view: DataView,
  fields: readonly PlacedField[],
  many: boolean,
): (at: number) => object {
  const properties = LiveRecord.properties(view, fields, many)
  if (!many) return (at) => Object.freeze(Object.defineProperties(new LiveRecord(at), properties))
  class SharedRecord extends LiveRecord {}
  Object.defineProperties(SharedRecord.prototype, properties)
  return (at) => Object.preventExtensions(new SharedRecord(at))
}

/** How to make the arrays, rings and records of a field at their places. */
function compound(view: DataView, placed: PlacedField, many: boolean): (at: number) => unknown {
  const { field, fields, stride } = placed
  switch (field.kind) {
    case 'array':
      return (at) => typedArray(view, at, field.element, field.length)
    case 'blob':
      return (at) => new Uint8Array(view.buffer, view.byteOffset + at, field.byteLength)
    case 'ring':
      return (at) => liveRing(view, at, field.element, field.capacity)
    case 'repeated': {
      const create = recordFactory(view, fields, true)
      return (at) => Array.from({ length: field.count }, (_, index) => create(at + index * stride))
    }
    default:
      return recordFactory(view, fields, many)
  }
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

/**
 * Writes the defaults of the leaves that came after `version`: 0 for all of them (power-on), or a
 * stream's version (what it could not hold). The memory there must be zero.
 */
export function applyDefaults(engine: Engine, layout: Layout, pointer: number, version: number): void {
  const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, layout.liveBytes)
  writeDefaults(view, layout.parts, version)
}

/** Returns where what was written begins and ends, undefined when nothing was. */
function writeDefaults(
  view: DataView,
  parts: readonly Part[],
  version: number,
): [number, number] | undefined {
  let first = Infinity
  let end = 0
  for (const part of parts) {
    const written =
      part.kind === 'loop' ? repeatDefaults(view, part, version) : writeDefault(view, part, version)
    if (written === undefined) continue
    first = Math.min(first, written[0])
    end = Math.max(end, written[1])
  }
  return end === 0 ? undefined : [first, end]
}

function writeDefault(view: DataView, leaf: Leaf, version: number): [number, number] | undefined {
  const initial = leaf.scalar.options.default
  if (leaf.since <= version || initial === undefined) return undefined
  for (let i = 0; i < leaf.count; i++) writeValue(view, leaf.live + i * leaf.width, leaf.scalar, initial)
  return [leaf.live, leaf.live + leaf.count * leaf.width]
}

/** The first round field by field, the others as copies of it, in pieces that double. */
function repeatDefaults(view: DataView, loop: Loop, version: number): [number, number] | undefined {
  const written = writeDefaults(view, loop.parts, version)
  if (written === undefined) return undefined
  const [first, end] = written
  const bytes = new Uint8Array(
    view.buffer,
    view.byteOffset + first,
    (loop.count - 1) * loop.stride + end - first,
  )
  for (let done = loop.stride; done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done)
  return [first, first + bytes.length]
}
