/**
 * `wrapMemory`: memory that lives outside the engine as a region of a device.
 *
 * @module
 */

import type { LinearMemory } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import type { MemoryDefinition } from './device-blueprint.ts'
import { ForeignMemory } from './foreign-memory.ts'
import type { Tracking } from './page-record.ts'

/** Where the memory is and how it may be used. */
export interface WrapMemoryOptions {
  /** Where the region begins in the memory. */
  readonly byteOffset: number
  /** Bytes of the region, of any size. */
  readonly byteLength: number
  /**
   * Takes bytes of the same WebAssembly memory that its owner will not use, and returns their pointer, such as
   * an exported `malloc`. It is called a fixed number of times, whatever is migrated and how often; what it gave
   * is never given back. With it the pages are scanned in place.
   */
  readonly allocate?: (bytes: number) => number
  /**
   * The owner neither writes nor grows the memory in STOP_COPY, so that STOP_COPY may hand out the pages
   * where they lie. Default false: copies.
   */
  readonly stable?: boolean
  /**
   * How written pages are found, default `'hash'`: an XXH3-64 of each page, 8 bytes per page. `'diff'` is
   * exact and doubles the memory; `'marked'` is for an owner who knows what was written.
   */
  readonly tracking?: Tracking
  /** As of other memory. */
  readonly iova?: bigint
}

/**
 * Makes memory outside the engine a region for the `memory` of `defineDevice`: with PRE_COPY, though its owner
 * knows nothing of dirty pages. A `WebAssembly.Memory` may grow at any time. One open device at a time.
 *
 * When the device is opened the memory is left as it is; a reset and the way into RESUMING zero it.
 *
 * @param memory - a `WebAssembly.Memory`, or an `ArrayBuffer`
 * @throws {@link VfioError} EINVAL for a range outside the memory, or `allocate` with an ArrayBuffer
 * @example
 * ```ts
 * import { defineDevice, u32, VfioDevice, wrapMemory } from 'stopcopy'
 * const memory = new WebAssembly.Memory({ initial: 2 }) // of an emulator
 * const ram = wrapMemory(memory, { byteOffset: 65536, byteLength: 65536 })
 * const emulator = defineDevice({ type: 'emulator', version: 1, state: { pc: u32() }, memory: { ram } })
 * const device = await VfioDevice.open(emulator)
 * emulator.memory.ram.bytes[0] = 1 // nobody marks it, and it is found
 * await device.close()
 * ```
 */
export function wrapMemory(memory: LinearMemory | ArrayBuffer, options: WrapMemoryOptions): MemoryDefinition {
  const { byteOffset, byteLength, allocate, stable = false, tracking = 'hash', iova } = options
  const isLinear = !(memory instanceof ArrayBuffer)
  const size = isLinear ? memory.buffer?.byteLength : memory.byteLength
  if (typeof size !== 'number') refuse('it is none, pass a WebAssembly.Memory or an ArrayBuffer')
  if (!Number.isSafeInteger(byteOffset) || !Number.isSafeInteger(byteLength))
    refuse(`${byteLength} bytes at ${byteOffset} is no range, pass whole numbers`)
  if (byteOffset < 0 || byteLength < 0 || byteOffset + byteLength > size)
    refuse(`${byteLength} bytes at ${byteOffset} pass its ${size} bytes, stay inside`)
  if (allocate !== undefined && !isLinear)
    refuse('allocate gives WebAssembly memory and this is an ArrayBuffer, leave allocate out')
  const foreign = new ForeignMemory(memory, { byteOffset, byteLength, allocate, stable })
  return { byteLength, tracking, ...(iova === undefined ? {} : { iova }), foreign }
}

function refuse(reason: string): never {
  throw new VfioError('EINVAL', `Cannot wrap memory: ${reason}`)
}
