/**
 * v86's state as plain values and buffers, and back, in the shape in which v86 writes it itself.
 *
 * @module
 */

/** Where a buffer stands. */
export interface BufferInfo {
  readonly offset: number
  readonly length: number
}

/** What v86 saves: an object that tells its state. */
interface Stateful {
  get_state(): readonly unknown[]
}

const TYPES = {
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
} as const

/** The tree without its typed arrays, and their bytes where they lie: look at them before v86 runs again. */
export function treeOf(values: readonly unknown[]): { tree: unknown; buffers: Uint8Array[] } {
  const buffers: Uint8Array[] = []
  return { tree: flattenAll(values, buffers), buffers }
}

/** A machine waits for this: a loop takes half the time of `map`, and most values are numbers, or gaps. */
function flattenAll(values: readonly unknown[], buffers: Uint8Array[]): unknown[] {
  const { length } = values
  const flat: unknown[] = []
  for (let n = 0; n < length; n++) {
    const value = values[n]
    // JSON writes a gap as null.
    flat[n] = typeof value === 'object' && value !== null ? flatten(value, buffers) : (value ?? null)
  }
  return flat
}

function flatten(value: object, buffers: Uint8Array[]): unknown {
  if (Array.isArray(value)) return flattenAll(value, buffers)
  if (value instanceof Map)
    return {
      __state_type__: 'Map',
      args: [...value].map((entry) => flattenAll(entry, buffers)),
    }
  // By its properties, which are there when they are asked for: views of the WASM memory are proxies.
  const { BYTES_PER_ELEMENT: width } = value as Partial<Uint8Array<ArrayBuffer>>
  if (width === undefined) return flattenAll((value as Stateful).get_state(), buffers)
  const { buffer, byteOffset, length, constructor } = value as Uint8Array<ArrayBuffer>
  const type = constructor.name.replace('bound ', '')
  return {
    __state_type__: type,
    buffer_id: buffers.push(new Uint8Array(buffer, byteOffset, length * width)) - 1,
  }
}

/** Turns the tree into its values, with buffers copied out of `bytes`; in words what is wrong with it otherwise. */
export function revive(tree: unknown[], infos: readonly unknown[], bytes: Uint8Array): unknown[] | string {
  if (!infos.every((info) => isInside(info, bytes.length))) return 'a buffer of its v86 state lies outside'
  try {
    return restoredAll(tree, infos as readonly BufferInfo[], bytes)
  } catch (error) {
    if (error instanceof Fault) return error.message
    throw error
  }
}

/** Ends the walk through a tree that is none. */
class Fault extends Error {}

/** The list itself, which nobody else has, with what stands for something in its place. */
function restoredAll(list: unknown[], infos: readonly BufferInfo[], bytes: Uint8Array): unknown[] {
  for (let n = 0; n < list.length; n++) {
    const value = list[n]
    if (typeof value === 'object' && value !== null) list[n] = restored(value, infos, bytes)
  }
  return list
}

function restored(value: object, infos: readonly BufferInfo[], bytes: Uint8Array): unknown {
  if (Array.isArray(value)) return restoredAll(value, infos, bytes)
  const { __state_type__: type, buffer_id: id, args } = value as Record<string, unknown>
  if (type === 'Map' && Array.isArray(args) && args.every((each) => Array.isArray(each)))
    return new Map(args.map((each) => restoredAll(each, infos, bytes) as [unknown, unknown]))
  const info = typeof id === 'number' ? infos[id] : undefined
  if (info === undefined || typeof type !== 'string' || !Object.hasOwn(TYPES, type))
    throw new Fault('its v86 state holds a value of no known type')
  const Type = TYPES[type as keyof typeof TYPES]
  if (info.length % Type.BYTES_PER_ELEMENT !== 0)
    throw new Fault('a buffer of its v86 state has a broken number')
  const { offset, length } = info
  return new Type(bytes.slice(offset, offset + length).buffer)
}

function isInside(info: unknown, room: number): boolean {
  const { offset, length } = (info ?? {}) as { offset?: unknown; length?: unknown }
  return (
    typeof offset === 'number' &&
    typeof length === 'number' &&
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= room
  )
}
