/**
 * What we use of v86 beyond its documented interface. Names of internals survive its minifier in the version
 * that is pinned; any other may lack them, so each is looked for before a machine is made.
 *
 * @module
 */

import type { V86 } from 'v86'
import { VfioError } from 'stopcopy'

/** The version of the npm package `v86` that this device was made for. */
export const V86_VERSION = '0.5.462'

/** A picture as v86 holds it. */
export interface V86Layer {
  readonly image_data: ImageData
  readonly screen_x: number
  readonly screen_y: number
  readonly buffer_x: number
  readonly buffer_y: number
  readonly buffer_width: number
  readonly buffer_height: number
}

/** The video adapter. */
export interface V86Vga {
  /** A proxy; its memory is the WASM memory's. */
  svga_memory: Uint8Array
  /** Made anew from video memory after a restore. */
  pixel_buffer: Uint8Array
  readonly graphical_mode: boolean
  readonly svga_enabled: boolean
  readonly image_data: ImageData | null
  readonly layers: readonly V86Layer[]
  readonly screen_width: number
  readonly screen_height: number
  readonly virtual_width: number
  /** What of the planes, and of the pixels made of them, is to be drawn anew: first and last. */
  diff_plot_min: number
  diff_plot_max: number
  diff_addr_min: number
  diff_addr_max: number
  screen_fill_buffer(): void
  get_state(): readonly unknown[]
}

/** The PCI bus; where no device is, both lists are empty. */
export interface V86Pci {
  readonly devices: readonly ({ readonly pci_bars: readonly (object | undefined)[] } | undefined)[]
  readonly device_spaces: readonly (Int32Array | undefined)[]
}

/** The machine without its RAM, as `pack_memory` must answer for it. */
interface PackedMemory {
  readonly packed_memory: Uint8Array
  readonly bitmap: { get_buffer(): ArrayBuffer }
}

/** The processor, and with it the machine. */
export interface V86Cpu {
  readonly wasm_memory: WebAssembly.Memory
  /** A proxy; element access is slow. */
  readonly mem8: Uint8Array
  readonly wm: {
    readonly exports: {
      v86_malloc(bytes: number): number
      /** Writes the time stamp counter to {@link V86Cpu.current_tsc}. */
      store_current_tsc(): void
      set_tsc(low: number, high: number): void
    }
  }
  /** Low and high half of the time stamp counter as last stored; a proxy. */
  readonly current_tsc: Uint32Array
  readonly devices: { readonly vga: V86Vga; readonly pci: V86Pci }
  /** Values, typed arrays, and devices that tell theirs. */
  get_state(): readonly unknown[]
  set_state(state: readonly unknown[]): void
  pack_memory?: () => PackedMemory
  unpack_memory?: () => void
}

/** The emulator behind the documented one. */
export interface V86Core {
  readonly cpu: V86Cpu
  running: boolean
  stopping: boolean
  tick_counter: number
  do_tick: () => void
  run(): void
}

/** Where each internal is, and what it must be. */
const INTERNALS: readonly (readonly [path: string, type: string])[] = [
  ['v86.running', 'boolean'],
  ['v86.stopping', 'boolean'],
  ['v86.tick_counter', 'number'],
  ['v86.do_tick', 'function'],
  ['v86.run', 'function'],
  ['v86.cpu.wasm_memory.buffer', 'object'],
  ['v86.cpu.mem8.byteOffset', 'number'],
  ['v86.cpu.mem8.length', 'number'],
  ['v86.cpu.get_state', 'function'],
  ['v86.cpu.set_state', 'function'],
  ['v86.cpu.pack_memory', 'function'],
  ['v86.cpu.unpack_memory', 'function'],
  ['v86.cpu.wm.exports.v86_malloc', 'function'],
  ['v86.cpu.wm.exports.store_current_tsc', 'function'],
  ['v86.cpu.wm.exports.set_tsc', 'function'],
  ['v86.cpu.current_tsc.length', 'number'],
  ['v86.cpu.devices.vga.svga_memory.byteOffset', 'number'],
  ['v86.cpu.devices.vga.svga_memory.length', 'number'],
  ['v86.cpu.devices.vga.pixel_buffer.length', 'number'],
  ['v86.cpu.devices.vga.graphical_mode', 'boolean'],
  ['v86.cpu.devices.vga.screen_fill_buffer', 'function'],
  ['v86.cpu.devices.vga.virtual_width', 'number'],
  ['v86.cpu.devices.vga.diff_plot_min', 'number'],
  ['v86.cpu.devices.vga.diff_plot_max', 'number'],
  ['v86.cpu.devices.vga.diff_addr_min', 'number'],
  ['v86.cpu.devices.vga.diff_addr_max', 'number'],
  ['v86.cpu.devices.vga.get_state', 'function'],
  ['v86.cpu.devices.pci.devices.length', 'number'],
  ['v86.cpu.devices.pci.device_spaces.length', 'number'],
  ['screen_adapter.get_text_screen', 'function'],
]

/** The internals of a loaded emulator. */
export interface V86Internals {
  readonly core: V86Core
  readonly textScreen: () => readonly string[]
}

/**
 * Finds the internals.
 *
 * @throws {VfioError} EOPNOTSUPP naming the version and what it lacks
 */
export function internalsOf(emulator: V86): V86Internals {
  const missing = INTERNALS.filter(([path, type]) => typeof valueAt(emulator, path) !== type)
  if (missing.length > 0)
    throw new VfioError(
      'EOPNOTSUPP',
      `Cannot move this v86: it has no ${missing.map(([path]) => path).join(', ')}, ` +
        `install v86 ${V86_VERSION}, whose internals are known`,
    )
  const { v86: core, screen_adapter: screen } = emulator as unknown as {
    v86: V86Core
    screen_adapter: { get_text_screen(): string[] }
  }
  return { core, textScreen: () => screen.get_text_screen() }
}

function valueAt(root: unknown, path: string): unknown {
  let value = root
  for (const name of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[name]
  return value
}
