/** The PC's text screen as pixels: the guest's font, its colours, its cursor. */

import { readFileSync } from 'node:fs'
import { migrate } from 'stopcopy'
import { afterEach, expect, it } from 'vitest'
import { optionsFor } from '../../../demo/devices/v86/index.ts'
import type { V86Vga } from '../../../demo/devices/v86/internals.ts'
import { textPicture, textSignature } from '../../../demo/devices/v86/text-screen.ts'
import { type OpenMachine, openMachine, sha256 } from '../../support/v86-machine.ts'

const BLUE = 0xffaa0000
const WHITE = 0xffffffff

/** Two columns and two rows of 4 lines; character 1 is a bar at the left. */
function adapter(changes: Record<string, unknown> = {}): V86Vga {
  const plane2 = new Uint8Array(65_536)
  plane2.fill(0x80, 32, 36)
  plane2.fill(0x01, 0xc4 * 32, 0xc4 * 32 + 4)
  const memory = new Uint8Array(262_144)
  memory.set([1, 0x1f, 0, 0x1f, 0xc4, 0x1f, 0, 0x1f])
  const palette = new Int32Array(256)
  palette[1] = 0x0000aa
  palette[15] = 0xffffff
  return {
    vga_memory: memory,
    plane2,
    max_cols: 2,
    max_rows: 2,
    start_address: 0,
    offset_register: 1,
    cursor_address: 1,
    cursor_scanline_start: 2,
    cursor_scanline_end: 3,
    attribute_mode: 4,
    clocking_mode: 0,
    max_scan_line: 3,
    character_map_select: 0,
    dac_mask: 255,
    dac_map: Uint8Array.from({ length: 16 }, (_, n) => n),
    vga256_palette: palette,
    ...changes,
  } as unknown as V86Vga
}

/** A line of pixels as text: `#` for ink. */
function line(vga: V86Vga, y: number): string {
  const { width = 0, pixels = new Uint8ClampedArray() } = textPicture(vga) ?? {}
  const words = new Uint32Array(pixels.buffer).subarray(y * width, (y + 1) * width)
  expect([...words].every((word) => word === BLUE || word === WHITE)).toBe(true)
  return [...words].map((word) => (word === WHITE ? '#' : '.')).join('')
}

it('is drawn with the font in plane 2, the ninth column of lines and blocks, and the cursor', () => {
  expect(textPicture(adapter())).toMatchObject({ width: 18, height: 8 })
  expect(line(adapter(), 0)).toBe('#.................')
  expect(line(adapter(), 3)).toBe('#........#########')
  expect(line(adapter(), 4)).toBe('.......##.........')
})

it('has eight columns where the adapter has, no cursor where it is off, and scrolls', () => {
  expect(line(adapter({ clocking_mode: 1 }), 4)).toBe('.......#........')
  expect(line(adapter({ cursor_scanline_start: 0x22 }), 3)).toBe('#.................')
  expect(line(adapter({ start_address: 2, cursor_address: 0 }), 0)).toBe('.......##.........')
})

it('is not there before a font is', () => {
  expect(textPicture(adapter({ plane2: new Uint8Array(65_536) }))).toBeUndefined()
})

it('has a signature that changes with characters and cursor', () => {
  const other = adapter()
  ;(other as unknown as { vga_memory: Uint8Array }).vga_memory[2] = 7
  const signatures = [adapter(), other, adapter({ cursor_address: 2 })].map(textSignature)
  expect(new Set(signatures).size).toBe(3)
  expect(textSignature(adapter())).toBe(signatures[0])
})

const image = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(`/usr/share/seabios/${name}`))

const open: OpenMachine[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

it('shows what SeaBIOS says, the same after it moved to a machine that was made by its configuration', async () => {
  const source = await openMachine({
    guest: 'image',
    memoryBytes: 32 << 20,
    floppy: new Uint8Array(1440 * 1024),
    bios: image('bios.bin'),
    vgaBios: image('vgabios-stdvga.bin'),
  })
  open.push(source)
  const text = (): string => {
    const frame = source.machine.frame()
    return frame?.kind === 'text' ? frame.rows.join('\n') : ''
  }
  await expect.poll(text, { timeout: 20_000 }).toMatch(/SeaBIOS[\s\S]*Booting from Floppy/)
  const target = await openMachine(optionsFor(source.machine.driver.identity.configuration ?? {}))
  open.push(target)
  await migrate(source.device, target.device, {})
  const [left, right] = [source, target].map(({ machine }) => {
    const frame = machine.frame()
    return frame?.kind === 'text' ? frame.picture() : undefined
  })
  expect(left).toMatchObject({ width: 720, height: 400 })
  expect(new Set(new Uint32Array(left?.pixels.buffer ?? new ArrayBuffer(0))).size).toBeGreaterThan(1)
  expect(right && sha256(new Uint8Array(right.pixels.buffer))).toBe(
    left && sha256(new Uint8Array(left.pixels.buffer)),
  )
})

it('no machine is made for a configuration that asks for too much, or is none', () => {
  expect(() => optionsFor({})).toThrow(/not the configuration/)
  expect(() => optionsFor({ 'memory.0.bytes': 2 ** 40 })).toThrow(/not the configuration/)
  expect(() => optionsFor({ 'memory.0.bytes': 2 ** 24, 'v86.hda': 2 ** 40 })).toThrow(/hda passes/)
})
