/**
 * A ring of the live state: a start index, a count and the slots, in engine memory.
 *
 * @module
 */

import { ringSlots } from './layout.ts'
import { readValue, type Value, writeValue } from './live-value.ts'
import type { LiveRing, ScalarField } from './schema.ts'

/** The ring at `at` of the state. */
export function liveRing(view: DataView, at: number, scalar: ScalarField, capacity: number): LiveRing<Value> {
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
