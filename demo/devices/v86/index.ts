/**
 * A whole PC as one migratable device: the v86 emulator, moved by stopcopy.
 *
 * ```ts
 * const left = await createV86Machine({ memoryBytes: 16 << 20, wasm: v86WasmUrl })
 * const device = await VfioDevice.open(left.driver) // powered on and running
 * await migrate(device, otherDevice, {})            // RUNNING -> ... -> the other one runs
 * await device.close()
 * await left.destroy()
 * ```
 *
 * The machine runs and stops by its device's state alone (RUNNING, STOP, ...). RAM and video memory are
 * foreign memory (`wrapMemory`, tables from `v86_malloc`) with PRE_COPY; all the rest of v86's state is device
 * state. Source and destination must be created with the same options; what differs is refused by name.
 *
 * Works in Node, a page and a Worker: it touches no DOM unless `screen` is given.
 *
 * @module
 */

export { createV86Machine } from './machine.ts'
export { optionsFor } from './hardware.ts'
export type { V86Frame, V86Image, V86Machine, V86MachineOptions } from './options.ts'
export { V86_VERSION } from './internals.ts'
