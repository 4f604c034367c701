/**
 * What a file is that somebody dropped on the page, by its first bytes and its size.
 *
 * @module
 */

/** 'stream': a saved machine. */
export type ImageForm = 'stream' | 'bzimage' | 'cdrom' | 'floppy' | 'hda' | 'bios' | 'vga-bios'

/** The forms that a machine boots from. */
export const BOOTABLE: readonly ImageForm[] = ['bzimage', 'cdrom', 'floppy', 'hda']

/** In words. */
export const FORM_NAMES: Readonly<Record<ImageForm, string>> = {
  stream: 'a saved machine',
  bzimage: 'a Linux kernel',
  cdrom: 'a CD',
  floppy: 'a floppy disk',
  hda: 'a hard disk',
  bios: 'a system BIOS',
  'vga-bios': 'a video BIOS',
}

/** So much of a file tells what it is. */
export const LOOKED_AT_BYTES = 0x8800
const KIB = 1024
const FLOPPY_KIB: readonly number[] = [160, 180, 320, 360, 720, 1200, 1440, 2880]
const BIOS_KIB: readonly number[] = [64, 128, 256]
const SECTOR_BYTES = 512

/** @param last - the last 16 bytes of the file @returns undefined for what no machine has a place for */
export function formOf(first: Uint8Array, last: Uint8Array, byteLength: number): ImageForm | undefined {
  const has = (at: number, text: string): boolean =>
    Array.from(text, (letter) => letter.charCodeAt(0)).every((code, n) => first[at + n] === code)
  if (has(0, '\x89STOPCP\n')) return 'stream'
  if (has(0x202, 'HdrS')) return 'bzimage'
  if (has(0x8001, 'CD001')) return 'cdrom'
  if (has(0, '\x55\xaa') && byteLength <= 64 * KIB && (first[2] ?? 0) * SECTOR_BYTES <= byteLength)
    return 'vga-bios'
  // Where the processor begins: a far jump.
  if (BIOS_KIB.includes(byteLength / KIB) && last[0] === 0xea) return 'bios'
  if (FLOPPY_KIB.includes(byteLength / KIB)) return 'floppy'
  return has(510, '\x55\xaa') ? 'hda' : undefined
}

/** As {@link formOf}, of a file. */
export async function formOfFile(file: Blob): Promise<ImageForm | undefined> {
  const bytes = async (from: number, to: number): Promise<Uint8Array> =>
    new Uint8Array(await file.slice(from, to).arrayBuffer())
  const first = await bytes(0, LOOKED_AT_BYTES)
  return formOf(first, await bytes(Math.max(0, file.size - 16), file.size), file.size)
}
