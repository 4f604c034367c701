/** Files that are dropped on the demo's page are known by what they hold. */

import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formOf, formOfFile, type ImageForm } from '../../../demo/machines/image-form.ts'

function bytes(length: number, ...pieces: readonly (readonly [at: number, values: readonly number[]])[]) {
  const whole = new Uint8Array(length)
  for (const [at, values] of pieces) whole.set(values, at)
  return whole
}

const letters = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0))
const SIGNATURE = [0x55, 0xaa]

describe('formOf()', () => {
  it.each<[string, Uint8Array, ImageForm | undefined]>([
    ['a saved machine', bytes(4096, [0, [0x89, ...letters('STOPCP'), 0x0a]]), 'stream'],
    [
      'a kernel, which has a boot signature, too',
      bytes(9000, [510, SIGNATURE], [0x202, letters('HdrS')]),
      'bzimage',
    ],
    [
      'a CD, also one that boots as a disk',
      bytes(0x9000, [510, SIGNATURE], [0x8001, letters('CD001')]),
      'cdrom',
    ],
    ['a floppy disk by its size', bytes(1440 * 1024, [510, SIGNATURE]), 'floppy'],
    ['a hard disk', bytes(63 * 512, [510, SIGNATURE]), 'hda'],
    ['a boot sector alone', bytes(512, [510, SIGNATURE]), 'hda'],
    ['a system BIOS', bytes(128 * 1024, [128 * 1024 - 16, [0xea]]), 'bios'],
    ['a video BIOS', bytes(39_936, [0, [...SIGNATURE, 78]]), 'vga-bios'],
    ['a text', bytes(2000, [0, letters('hello')]), undefined],
    ['nothing at all', new Uint8Array(0), undefined],
  ])('knows %s', async (_, file, form) => {
    expect(formOf(file, file.subarray(-16), file.length)).toBe(form)
    expect(await formOfFile(new Blob([file as Uint8Array<ArrayBuffer>]))).toBe(form)
  })

  it('knows the BIOS of this machine, where it has one', async () => {
    const found = ['bios.bin', 'vgabios-stdvga.bin']
      .map((name) => `/usr/share/seabios/${name}`)
      .filter(existsSync)
    const forms = await Promise.all(
      found.map((path) => formOfFile(new Blob([new Uint8Array(readFileSync(path))]))),
    )
    expect(forms).toEqual(['bios', 'vga-bios'].slice(0, found.length))
  })
})
