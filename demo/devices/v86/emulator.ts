/**
 * Makes a v86 and waits until it can run.
 *
 * @module
 */

import { V86, type V86Options } from 'v86'
import { VfioError } from 'stopcopy'
import { plasmaBootSector } from './guest/boot-sector.ts'
import { tinyBios } from './guest/bios.ts'
import { internalsOf, type V86Internals, type V86Pci } from './internals.ts'
import type { V86Image, V86MachineOptions } from './options.ts'
import { provideImageData } from './screen.ts'

const SECTOR_BYTES = 512
/** The disk that a boot sector becomes: one track. */
const BOOT_DISK_BYTES: number = 63 * SECTOR_BYTES

/** A loaded emulator. */
export interface Emulator {
  readonly v86: V86
  readonly internals: V86Internals
}

/** The hard disk of a machine; undefined for none. */
export function hardDisk(options: V86MachineOptions): Uint8Array<ArrayBuffer> | undefined {
  const { hda, bootSector, cdrom, bzimage } = options
  if (hda !== undefined) return copyOf(hda)
  if (bootSector === undefined && (cdrom !== undefined || bzimage !== undefined)) return undefined
  const sector = bootSector === undefined ? plasmaBootSector() : copyOf(bootSector)
  if (sector.length !== SECTOR_BYTES || sector[510] !== 0x55 || sector[511] !== 0xaa)
    throw new VfioError(
      'EINVAL',
      `Cannot make a machine: its boot sector has ${sector.length} bytes or no signature, pass 512 bytes that end in 55 AA`,
    )
  const disk = new Uint8Array(BOOT_DISK_BYTES)
  disk.set(sector)
  return disk
}

/**
 * The emulator, stopped, with its devices.
 *
 * @throws {VfioError} EOPNOTSUPP when the installed v86 is not the known one, EIO when it does not load
 */
export async function loadEmulator(
  options: V86MachineOptions,
  sizes: { memoryBytes: number; vgaMemoryBytes: number },
): Promise<Emulator> {
  provideImageData()
  const { wasm, bios = tinyBios(), vgaBios, cdrom, bzimage, cmdline, screen } = options
  const disk = hardDisk(options)
  return new Promise((resolve, reject) => {
    const settings: V86Options = {
      wasm_fn: async (imports) => {
        try {
          return await instantiate(wasm, imports)
        } catch (error) {
          reject(
            new VfioError('EIO', 'Cannot load v86.wasm: it is not there or not one, check the wasm option', {
              cause: error,
            }),
          )
          // v86 has no way to be told; it waits for ever, and nobody for it.
          return new Promise<WebAssembly.Exports>(() => {})
        }
      },
      memory_size: sizes.memoryBytes,
      vga_memory_size: sizes.vgaMemoryBytes,
      ...imageOption('bios', bios),
      ...imageOption('vga_bios', vgaBios),
      ...imageOption('hda', disk),
      ...imageOption('cdrom', cdrom),
      ...imageOption('bzimage', bzimage),
      ...(cmdline === undefined ? {} : { cmdline }),
      ...(screen === undefined ? {} : { screen: { container: screen } }),
      autostart: false,
      disable_keyboard: true,
      disable_mouse: true,
      disable_speaker: true,
      // A machine that was moved is the same machine.
      preserve_mac_from_state_image: true,
    }
    const v86 = new V86(settings)
    v86.add_listener('emulator-loaded', () => {
      try {
        const internals = internalsOf(v86)
        clearAbsentBars(internals.core.cpu.devices.pci)
        resolve({ v86, internals })
      } catch (error) {
        reject(error)
      }
    })
  })
}

/** Where the configuration space of a PCI device has its base addresses, in words. */
const FIRST_BAR = 4

/**
 * An IDE controller without disks tells base addresses of channels that it does not have, until a BIOS writes
 * to them; v86 fails to restore a machine that still has them.
 */
function clearAbsentBars({ devices, device_spaces: spaces }: V86Pci): void {
  for (const [id, device] of devices.entries())
    for (const [n, bar] of (device?.pci_bars ?? []).entries())
      if (bar === undefined) spaces[id]?.fill(0, FIRST_BAR + n, FIRST_BAR + n + 1)
}

async function instantiate(
  wasm: string | URL | V86Image,
  imports: WebAssembly.Imports,
): Promise<WebAssembly.Exports> {
  const bytes =
    typeof wasm === 'string' || wasm instanceof URL ? await (await fetch(wasm)).arrayBuffer() : copyOf(wasm)
  const { instance } = await WebAssembly.instantiate(bytes, imports)
  return instance.exports
}

/** Bytes of their own: v86 keeps and writes what it is given. */
function copyOf(image: V86Image): Uint8Array<ArrayBuffer> {
  return image instanceof ArrayBuffer ? new Uint8Array(image.slice(0)) : image.slice()
}

/** An option of v86. */
function imageOption(name: string, bytes: V86Image | undefined): Partial<V86Options> {
  return bytes === undefined ? {} : { [name]: { buffer: copyOf(bytes).buffer } }
}
