/**
 * The least that boots in two more ways, made of a boot sector: a CD by El Torito, and a kernel by the Linux boot
 * protocol.
 *
 * @module
 */

import { Assembler } from '../../demo/devices/v86/guest/assembler.ts'

const CD_SECTOR_BYTES = 2048
const DISK_SECTOR_BYTES = 512
/** Where on the CD what is: behind 16 sectors that belong to nobody. */
const VOLUME_AT = 16
const BOOT_RECORD_AT = 17
const END_AT = 18
const CATALOG_AT = 19
const ROOT_AT = 20
const IMAGE_AT = 21
const CD_SECTORS = 22

/**
 * A CD whose only content boots without emulation of a disk.
 *
 * @param sectorCount - of 2048 bytes, more than it needs for a larger CD
 */
export function bootCd(bootSector: Uint8Array, sectorCount: number = CD_SECTORS): Uint8Array<ArrayBuffer> {
  const cd = new Uint8Array(sectorCount * CD_SECTOR_BYTES)
  const sector = (at: number): DataView => new DataView(cd.buffer, at * CD_SECTOR_BYTES, CD_SECTOR_BYTES)
  const descriptor = (at: number, type: number): DataView => {
    const view = sector(at)
    view.setUint8(0, type)
    text(view, 1, 'CD001\x01')
    return view
  }
  const directory = (view: DataView, at: number, name: number): void => {
    view.setUint8(at, 34)
    both32(view, at + 2, ROOT_AT)
    both32(view, at + 10, CD_SECTOR_BYTES)
    view.setUint8(at + 25, 2)
    both16(view, at + 28, 1)
    view.setUint8(at + 32, 1)
    view.setUint8(at + 33, name)
  }

  const volume = descriptor(VOLUME_AT, 1)
  text(volume, 8, ' '.repeat(32))
  text(volume, 40, 'STOPCOPY'.padEnd(32))
  both32(volume, 80, sectorCount)
  both16(volume, 120, 1)
  both16(volume, 124, 1)
  both16(volume, 128, CD_SECTOR_BYTES)
  directory(volume, 156, 0)
  directory(sector(ROOT_AT), 0, 0)
  directory(sector(ROOT_AT), 34, 1)

  const record = descriptor(BOOT_RECORD_AT, 0)
  text(record, 7, 'EL TORITO SPECIFICATION')
  record.setUint32(0x47, CATALOG_AT, true)
  descriptor(END_AT, 255)

  const catalog = sector(CATALOG_AT)
  catalog.setUint8(0, 1)
  catalog.setUint16(30, 0xaa55, true)
  let sum = 0
  for (let at = 0; at < 32; at += 2) sum += catalog.getUint16(at, true)
  catalog.setUint16(28, -sum & 0xffff, true)
  catalog.setUint8(32, 0x88)
  catalog.setUint16(32 + 6, 1, true)
  catalog.setUint32(32 + 8, IMAGE_AT, true)
  cd.set(bootSector, IMAGE_AT * CD_SECTOR_BYTES)
  return cd
}

function text(view: DataView, at: number, words: string): void {
  new Uint8Array(view.buffer, view.byteOffset + at).set(new TextEncoder().encode(words))
}

/** Numbers of ISO 9660 are written twice: little endian, then big. */
function both32(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setUint32(at + 4, value)
}

function both16(view: DataView, at: number, value: number): void {
  view.setUint16(at, value, true)
  view.setUint16(at + 2, value)
}

const PROTECTED_MODE_AT = 0x100000
const BOOT_SECTOR_AT = 0x7c00
const SETUP_SECTORS = 1

/**
 * A kernel whose setup code, in real mode, has the BIOS copy the rest of it down from 1 MiB: the boot sector, which it
 * goes on with.
 */
export function bootKernel(bootSector: Uint8Array): Uint8Array<ArrayBuffer> {
  const setup = new Assembler(0)
    .padTo(0x1f1)
    .raw('setup_sects', SETUP_SECTORS)
    .word(0) // root_flags
    .word(bootSector.length / 16) // syssize
    .padTo(0x1fe)
    .word(0xaa55)
    .jump('jmp', 'setup')
    .raw('"HdrS"', 0x48, 0x64, 0x72, 0x53)
    .word(0x0206) // version
    .padTo(0x211)
    .raw('loadflags: LOADED_HIGH', 1)
    .padTo(0x214)
    .raw('code32_start', 0, 0, 0x10, 0)
    .padTo(0x22c)
    .raw('initrd_addr_max', 0xff, 0xff, 0xff, 0x37)
    .padTo(0x238)
    .raw('cmdline_size', 0xff, 0, 0, 0)
    // Segments are the loader's: data and stack begin where the file does.
    .label('setup')
    .mov('si', 'descriptors')
    .mov('cx', bootSector.length / 2)
    .movb('ah', 0x87)
    .int(0x15)
    .raw('jmp far 0000:7C00', 0xea, 0x00, 0x7c, 0x00, 0x00)
    // Two that are empty, from and to, two that are the BIOS's.
    .label('descriptors')
    .raw('empty', ...Array.from({ length: 16 }, () => 0))
    .raw('from', ...dataDescriptor(PROTECTED_MODE_AT))
    .raw('to', ...dataDescriptor(BOOT_SECTOR_AT))
    .padTo((1 + SETUP_SECTORS) * DISK_SECTOR_BYTES)
    .assemble()
  const kernel = new Uint8Array(setup.length + bootSector.length)
  kernel.set(setup)
  kernel.set(bootSector, setup.length)
  return kernel
}

/** 64 KiB of data from that address on. */
function dataDescriptor(address: number): readonly number[] {
  return [0xff, 0xff, address & 0xff, (address >> 8) & 0xff, (address >> 16) & 0xff, 0x93, 0, 0]
}
