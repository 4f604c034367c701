/**
 * What the PC runs, by kind: where its ticks are seen, and what it is made of when it is switched on.
 *
 * @module
 */

import { TOLD_TICK_ADDRESS } from '../devices/v86/guest/boot-sector.ts'
import type { V86Machine, V86MachineOptions } from '../devices/v86/index.ts'
import { biosOf, type GuestFiles, servedFile } from './guest-files.ts'
import { BOOTABLE, FORM_NAMES } from './image-form.ts'

/** What the options of a machine lack that are the same for all. */
export type GuestOptions = Omit<V86MachineOptions, 'wasm' | 'onSerial' | 'onFailure' | 'screen'>

/** One guest. */
export interface PcGuest {
  /** Its word in the configuration of its machine; the boot sector has none. */
  readonly word: string | undefined
  /** Options of a machine that boots it. @throws Error when what it needs is not there */
  readonly boot: (files: GuestFiles) => Promise<GuestOptions>
  /** Ticks since power-on, by what the machine holds. */
  readonly ticks: (machine: V86Machine) => number
  /** The tick that a line on COM1 tells. */
  readonly tickOf: (line: string) => number | undefined
}

const MIB = 1024 * 1024
/** Of dropped images; v86 puts all of a disk into its state. */
const IMAGE_LIMIT_BYTES: number = 256 * MIB
const IMAGE_RAM_BYTES: number = 64 * MIB
/** Where a PC's BIOS counts the ticks of its clock. */
const BIOS_TICKS_ADDRESS = 0x46c

/** All of them, by the id of their kind. */
export const PC_GUESTS: Readonly<Record<string, PcGuest>> = {
  pc: {
    word: undefined,
    boot: () => Promise.resolve({}),
    ticks: (machine) => wordAt(machine, TOLD_TICK_ADDRESS),
    tickOf: (line) => (/^[0-9A-F]{8}$/.test(line) ? Number.parseInt(line, 16) : undefined),
  },
  linux: {
    word: 'linux',
    boot: bootLinux,
    // It tells a tick when the screen shows it already.
    ticks: (machine) => Number(screenTick(machine) ?? 0),
    tickOf: (line) => {
      const tick = /^tick (\d+)\r?$/.exec(line)?.[1]
      return tick === undefined ? undefined : Number(tick)
    },
  },
  image: {
    word: 'image',
    boot: bootImage,
    ticks: (machine) => wordAt(machine, BIOS_TICKS_ADDRESS),
    tickOf: () => undefined,
  },
}

/** The guest of a machine by its configuration, and the kind that it is. */
export function guestOf(word: unknown): readonly [kind: string, guest: PcGuest] {
  const found = Object.entries(PC_GUESTS).find(([, guest]) => guest.word === word)
  if (found !== undefined) return found
  throw new RangeError(`Cannot make a machine: no guest here is called "${String(word)}"`)
}

function wordAt({ ram }: V86Machine, address: number): number {
  return new DataView(ram.buffer, ram.byteOffset).getUint32(address, true)
}

function screenTick(machine: V86Machine): string | undefined {
  const frame = machine.frame()
  if (frame?.kind !== 'text') return undefined
  for (const row of frame.rows) {
    const tick = /Linux, tick (\d+)/.exec(row)?.[1]
    if (tick !== undefined) return tick
  }
  return undefined
}

async function bootLinux(files: GuestFiles): Promise<GuestOptions> {
  const { linux } = files.served
  if (linux === undefined)
    throw new Error(
      'Cannot start Linux: its guest is not built, run demo/guest/build.sh and then npm run demo:web',
    )
  return {
    guest: 'linux',
    memoryBytes: linux.memoryBytes,
    cmdline: linux.commandLine,
    bzimage: await servedFile(files, 'bzImage'),
    ...(await biosOf(files)),
  }
}

async function bootImage(files: GuestFiles): Promise<GuestOptions> {
  const image = files.dropped.find(({ form }) => BOOTABLE.includes(form))
  if (image === undefined)
    throw new Error(
      'Cannot start your image: there is none, drop a disk, floppy, CD or Linux kernel on the page',
    )
  const { name, form, blob } = image
  if (blob.size > IMAGE_LIMIT_BYTES)
    throw new Error(`Cannot start ${name}: it has ${blob.size} bytes, use ${IMAGE_LIMIT_BYTES} at most`)
  const bios = await biosOf(files)
  // Our own BIOS can do no more than start the first sector of a hard disk.
  if (bios === undefined && form !== 'hda')
    throw new Error(
      `Cannot start ${name}: ${FORM_NAMES[form]} needs SeaBIOS, drop its bios.bin and vgabios-stdvga.bin on the page, ` +
        'or install the package seabios where the page is built',
    )
  return {
    guest: 'image',
    memoryBytes: IMAGE_RAM_BYTES,
    ...bios,
    [form]: wholeSectors(await blob.arrayBuffer()),
    ...(form === 'bzimage' ? { cmdline: 'console=tty0' } : {}),
  }
}

/** A boot sector alone becomes a disk of one track. */
function wholeSectors(bytes: ArrayBuffer): ArrayBuffer {
  const track = 63 * 512
  if (bytes.byteLength >= track) return bytes
  const disk = new Uint8Array(track)
  disk.set(new Uint8Array(bytes))
  return disk.buffer
}
