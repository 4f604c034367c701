/**
 * A BIOS that does what our guest needs and nothing else: it sets up the interrupt table and controllers,
 * reads the first sector of the first disk, knows INT 10h AX=0013h, and jumps. So the boot-sector machine
 * needs nothing that has to be downloaded.
 *
 * @module
 */

import { Assembler } from './assembler.ts'

/** The ROM: segment F000h. */
const ROM_BYTES = 65_536
const ENTRY = 0xe000

// Mode 13h: 320 x 200, 256 colours.
const SEQUENCER = [0x03, 0x01, 0x0f, 0x00, 0x0e]
const CRTC = [
  0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
  0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff,
]
const GRAPHICS = [0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0f, 0xff]
const ATTRIBUTES = [...Array.from({ length: 16 }, (_, index) => index), 0x41, 0x00, 0x0f, 0x00, 0x00]

/** The ROM image. */
export function tinyBios(): Uint8Array<ArrayBuffer> {
  const code = new Assembler(0).padTo(ENTRY)
  vectors(code)
  controllers(code)
  load(code)
  video(code)
  return code.padTo(0xfff0).raw('jmp far F000:E000', 0xea, 0x00, 0xe0, 0x00, 0xf0).padTo(ROM_BYTES).assemble()
}

function vectors(code: Assembler): void {
  code
    .raw('cli; cld; xor ax, ax', 0xfa, 0xfc, 0x31, 0xc0)
    .raw('mov ds, ax; mov es, ax; mov ss, ax', 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0)
    .mov('sp', 0x7000)
    .raw('xor di, di', 0x31, 0xff)
    .mov('cx', 256)
    .label('vector')
    .mov('ax', 'nothing')
    .raw('stosw', 0xab)
    .mov('ax', 0xf000)
    .raw('stosw', 0xab)
    .jump('loop', 'vector')
    .raw('mov word [0x40], int 10h', 0xc7, 0x06, 0x40, 0x00)
    .address('int 10h')
}

/** Interrupt controllers to vectors 8 and 70h, all masked; the keyboard may send. */
function controllers(code: Assembler): void {
  for (const [port, vector, cascade] of [
    [0x20, 0x08, 0x04],
    [0xa0, 0x70, 0x02],
  ] as const)
    code
      .out(port, 0x11)
      .out(port + 1, vector)
      .out(port + 1, cascade)
      .out(port + 1, 0x01)
      .out(port + 1, 0xff)
  code.out(0x60, 0xf4)
}

/** Sector 0 of the first disk by programmed I/O to 0000:7C00. */
function load(code: Assembler): void {
  for (const [port, value] of [
    [0x1f6, 0xe0],
    [0x1f2, 1],
    [0x1f3, 0],
    [0x1f4, 0],
    [0x1f5, 0],
    [0x1f7, 0x20],
  ] as const)
    code.mov('dx', port).movb('al', value).raw('out dx, al', 0xee)
  code
    .label('wait')
    .raw('in al, dx; and al, 0x88; cmp al, 8', 0xec, 0x24, 0x88, 0x3c, 0x08)
    .jump('jne', 'wait')
    .mov('dx', 0x1f0)
    .mov('di', 0x7c00)
    .mov('cx', 256)
    .raw('rep insw', 0xf3, 0x6d)
    .raw('cmp word [0x7dfe], 0xaa55', 0x81, 0x3e, 0xfe, 0x7d, 0x55, 0xaa)
    .jump('jne', 'halt')
    .movb('dl', 0x80)
    .raw('jmp far 0000:7C00', 0xea, 0x00, 0x7c, 0x00, 0x00)
    .label('halt')
    .raw('hlt', 0xf4)
    .jump('jmp', 'halt')
    .label('nothing')
    .raw('iret', 0xcf)
}

function video(code: Assembler): void {
  code
    .label('int 10h')
    .raw('cmp ax, 0x13', 0x3d, 0x13, 0x00)
    .jump('jne', 'nothing')
    .raw('pusha; push ds; push es; push cs; pop ds; cld', 0x60, 0x1e, 0x06, 0x0e, 0x1f, 0xfc)
    .mov('dx', 0x3c2)
    .movb('al', 0x63)
    .raw('out dx, al', 0xee)
    .mov('si', 'tables')
    .mov('dx', 0x3c4)
    .mov('cx', SEQUENCER.length)
    .call('indexed')
    .mov('dx', 0x3d4)
    .mov('ax', 0x0011)
    .raw('out dx, ax', 0xef)
    .mov('cx', CRTC.length)
    .call('indexed')
    .mov('dx', 0x3ce)
    .mov('cx', GRAPHICS.length)
    .call('indexed')
    .mov('dx', 0x3da)
    .raw('in al, dx', 0xec)
    .mov('dx', 0x3c0)
    .raw('xor bx, bx', 0x31, 0xdb)
    .mov('cx', ATTRIBUTES.length)
    .label('attribute')
    .raw('mov al, bl; out dx, al; lodsb; out dx, al; inc bx', 0x88, 0xd8, 0xee, 0xac, 0xee, 0x43)
    .jump('loop', 'attribute')
    .movb('al', 0x20)
    .raw('out dx, al', 0xee)
    .mov('dx', 0x3c6)
    .movb('al', 0xff)
    .raw('out dx, al', 0xee)
    .raw('push 0xa000; pop es; xor di, di; xor ax, ax', 0x68, 0x00, 0xa0, 0x07, 0x31, 0xff, 0x31, 0xc0)
    .mov('cx', 32_000)
    .raw('rep stosw', 0xf3, 0xab)
    .raw('pop es; pop ds; popa; iret', 0x07, 0x1f, 0x61, 0xcf)
    // cx bytes at ds:si to the registers 0, 1, 2 ... behind an index port at dx
    .label('indexed')
    .raw('xor bx, bx', 0x31, 0xdb)
    .label('register')
    .raw('lodsb; mov ah, al; mov al, bl; out dx, ax; inc bx', 0xac, 0x88, 0xc4, 0x88, 0xd8, 0xef, 0x43)
    .jump('loop', 'register')
    .raw('ret', 0xc3)
    .label('tables')
    .raw('tables', ...SEQUENCER, ...CRTC, ...GRAPHICS, ...ATTRIBUTES)
}
