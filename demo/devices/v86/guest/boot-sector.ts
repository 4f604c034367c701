/**
 * Our guest: 512 bytes that draw a plasma in mode 13h and count timer ticks on COM1.
 *
 * ```text
 * 0x00500 u32 ticks of the timer     0x00508 u8  hue, moved by keys
 * 0x00504 u32 ticks told and drawn   0x0050a u16 work
 * 0x00600 u8[256] a wave             0x10000 u32 every 16 bytes: told ticks, a log
 * 0x20000 u8[320 * 200] the picture
 * ```
 *
 * Each tick is told as 8 hex digits and a line feed, then an eighth of the rows is drawn. The top rows show
 * the tick's bits, 10 pixels each, the highest first: a picture of the screen tells its tick.
 *
 * @module
 */

import { Assembler } from './assembler.ts'

const ORIGIN = 0x7c00
/** Timer ticks per second. */
export const TICKS_PER_SECOND = 50
const TIMER_DIVISOR: number = Math.round(1_193_182 / TICKS_PER_SECOND)

/** Where in RAM the guest keeps the tick that it told last. */
export const TOLD_TICK_ADDRESS = 0x504

/** The boot sector. */
export function plasmaBootSector(): Uint8Array<ArrayBuffer> {
  const code = new Assembler(ORIGIN)
  begin(code)
  palette(code)
  wave(code)
  timer(code)
  code
    .label('idle')
    .raw('hlt', 0xf4)
    .label('work')
    .raw('mov eax, [0x504]', 0x66, 0xa1, 0x04, 0x05)
    .raw('cmp eax, [0x500]', 0x66, 0x3b, 0x06, 0x00, 0x05)
    .jump('je', 'idle')
    .raw('inc dword [0x504]', 0x66, 0xff, 0x06, 0x04, 0x05)
  tell(code)
  keys(code)
  log(code)
  plasma(code)
  bits(code)
  code.jumpNear('work')
  routines(code)
  return code
    .padTo(ORIGIN + 510)
    .word(0xaa55)
    .assemble()
}

function begin(code: Assembler): void {
  code
    .raw('cli; cld', 0xfa, 0xfc)
    .raw('xor ax, ax', 0x31, 0xc0)
    .raw('mov ds, ax; mov es, ax; mov ss, ax', 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0)
    .mov('sp', 0x7000)
    .mov('ax', 0x13)
    .int(0x10)
    .raw('xor ax, ax', 0x31, 0xc0)
    .mov('di', 0x500)
    .mov('cx', 8)
    .raw('rep stosw', 0xf3, 0xab)
}

/** Three triangles, a third of the circle apart. */
function palette(code: Assembler): void {
  code
    .mov('dx', 0x3c8)
    .raw('out dx, al; inc dx', 0xee, 0x42)
    .raw('xor bx, bx', 0x31, 0xdb)
    .label('colour')
    .raw('mov al, bl', 0x88, 0xd8)
    .call('triangle')
    .raw('mov al, bl; add al, 85', 0x88, 0xd8, 0x04, 85)
    .call('triangle')
    .raw('mov al, bl; add al, 170', 0x88, 0xd8, 0x04, 170)
    .call('triangle')
    .raw('inc bl', 0xfe, 0xc3)
    .jump('jne', 'colour')
}

/** 256 bytes of 64 + 60 sin, by the FPU. */
function wave(code: Assembler): void {
  code
    .mov('di', 0x600)
    .raw('xor bx, bx; fninit', 0x31, 0xdb, 0xdb, 0xe3)
    .label('wave')
    .raw('mov [0x50a], bx; fild word [0x50a]', 0x89, 0x1e, 0x0a, 0x05, 0xdf, 0x06, 0x0a, 0x05)
    .raw('fldpi; fmulp', 0xd9, 0xeb, 0xde, 0xc9)
    .raw('fidiv word [c128]', 0xde, 0x36)
    .address('c128')
    .raw('fsin; fimul word [c60]', 0xd9, 0xfe, 0xde, 0x0e)
    .address('c60')
    .raw('fistp word [0x50a]', 0xdf, 0x1e, 0x0a, 0x05)
    .raw('mov al, [0x50a]; add al, 64; stosb', 0xa0, 0x0a, 0x05, 0x04, 64, 0xaa)
    .raw('inc bx; test bh, bh', 0x43, 0x84, 0xff)
    .jump('je', 'wave')
}

function timer(code: Assembler): void {
  code
    .out(0x43, 0x34)
    .out(0x40, TIMER_DIVISOR & 0xff)
    .out(0x40, TIMER_DIVISOR >> 8)
    .raw('mov word [0x20], tick', 0xc7, 0x06, 0x20, 0x00)
    .address('tick')
    .raw('mov word [0x22], 0', 0xc7, 0x06, 0x22, 0x00, 0x00, 0x00)
    .out(0x21, 0xfe)
    .raw('sti', 0xfb)
}

function tell(code: Assembler): void {
  code
    .raw('mov eax, [0x504]', 0x66, 0xa1, 0x04, 0x05)
    .mov('cx', 8)
    .label('digit')
    .raw('rol eax, 4; push ax; and al, 15', 0x66, 0xc1, 0xc0, 0x04, 0x50, 0x24, 0x0f)
    .raw('cmp al, 10; sbb al, 0x69; das', 0x3c, 0x0a, 0x1c, 0x69, 0x2f)
    .call('send')
    .raw('pop ax', 0x58)
    .jump('loop', 'digit')
    .movb('al', 10)
    .call('send')
}

/** A key that goes down moves the hue. */
function keys(code: Assembler): void {
  code
    .raw('in al, 0x64; test al, 1', 0xe4, 0x64, 0xa8, 0x01)
    .jump('je', 'no key')
    .raw('in al, 0x60; test al, al', 0xe4, 0x60, 0x84, 0xc0)
    .jump('jns', 'key')
    .jump('jmp', 'no key')
    .label('key')
    .raw('add [0x508], al', 0x00, 0x06, 0x08, 0x05)
    .label('no key')
}

function log(code: Assembler): void {
  code
    .raw('push 0x1000; pop es', 0x68, 0x00, 0x10, 0x07)
    .raw('mov eax, [0x504]', 0x66, 0xa1, 0x04, 0x05)
    .raw('mov di, ax; shl di, 4; stosd', 0x89, 0xc7, 0xc1, 0xe7, 0x04, 0x66, 0xab)
}

/** Rows tick & 7, + 8, + 16 ... of three waves, drawn in RAM and copied to the screen. */
function plasma(code: Assembler): void {
  code
    .raw('push 0x2000; pop es', 0x68, 0x00, 0x20, 0x07)
    .raw('mov bp, [0x504]; and bp, 7', 0x8b, 0x2e, 0x04, 0x05, 0x83, 0xe5, 0x07)
    .label('row')
    .raw('imul di, bp, 320', 0x69, 0xfd, 0x40, 0x01)
    .raw('mov bx, bp; add bx, bx; add bl, [0x504]', 0x89, 0xeb, 0x01, 0xdb, 0x02, 0x1e, 0x04, 0x05)
    .raw('mov bh, 0; mov dh, [bx + 0x600]', 0xb7, 0x00, 0x8a, 0xb7, 0x00, 0x06)
    .raw('add dh, [0x508]; xor cx, cx', 0x02, 0x36, 0x08, 0x05, 0x31, 0xc9)
    .label('pixel')
    .raw('mov bx, cx; add bl, [0x504]', 0x89, 0xcb, 0x02, 0x1e, 0x04, 0x05)
    .raw('mov bh, 0; mov al, [bx + 0x600]', 0xb7, 0x00, 0x8a, 0x87, 0x00, 0x06)
    .raw('mov bx, cx; add bx, bp; sub bl, [0x504]', 0x89, 0xcb, 0x01, 0xeb, 0x2a, 0x1e, 0x04, 0x05)
    .raw('mov bh, 0; add al, [bx + 0x600]', 0xb7, 0x00, 0x02, 0x87, 0x00, 0x06)
    .raw('add al, dh; stosb; inc cx', 0x00, 0xf0, 0xaa, 0x41)
    .raw('cmp cx, 320', 0x81, 0xf9, 0x40, 0x01)
    .jump('jb', 'pixel')
    .raw('push ds; push es; push es; pop ds', 0x1e, 0x06, 0x06, 0x1f)
    .raw('push 0xa000; pop es', 0x68, 0x00, 0xa0, 0x07)
    .raw('sub di, 320; mov si, di', 0x81, 0xef, 0x40, 0x01, 0x89, 0xfe)
    .mov('cx', 80)
    .raw('rep movsd', 0xf3, 0x66, 0xa5)
    .raw('pop es; pop ds', 0x07, 0x1f)
    .raw('add bp, 8; cmp bp, 200', 0x83, 0xc5, 0x08, 0x81, 0xfd, 0xc8, 0x00)
    .jump('jb', 'row')
}

/** The tick's bits in the top eight rows. */
function bits(code: Assembler): void {
  code
    .raw('push 0xa000; pop es; xor di, di', 0x68, 0x00, 0xa0, 0x07, 0x31, 0xff)
    .mov('bx', 8)
    .label('bit row')
    .raw('mov edx, [0x504]', 0x66, 0x8b, 0x16, 0x04, 0x05)
    .mov('si', 32)
    .label('bit')
    .raw('rol edx, 1; sbb al, al; and al, 0x80', 0x66, 0xd1, 0xc2, 0x18, 0xc0, 0x24, 0x80)
    .mov('cx', 10)
    .raw('rep stosb; dec si', 0xf3, 0xaa, 0x4e)
    .jump('jne', 'bit')
    .raw('dec bx', 0x4b)
    .jump('jne', 'bit row')
}

function routines(code: Assembler): void {
  code
    // DAC data of a triangle wave: 0 to 63 and back.
    .label('triangle')
    .raw('test al, al', 0x84, 0xc0)
    .jump('jns', 'rising')
    .raw('not al', 0xf6, 0xd0)
    .label('rising')
    .raw('shr al, 1; out dx, al; ret', 0xd0, 0xe8, 0xee, 0xc3)
    // al to COM1
    .label('send')
    .raw('push ax', 0x50)
    .mov('dx', 0x3fd)
    .label('busy')
    .raw('in al, dx; test al, 0x20', 0xec, 0xa8, 0x20)
    .jump('je', 'busy')
    .raw('pop ax; mov dl, 0xf8; out dx, al; ret', 0x58, 0xb2, 0xf8, 0xee, 0xc3)
    // IRQ 0
    .label('tick')
    .raw('push ax; inc dword cs:[0x500]', 0x50, 0x2e, 0x66, 0xff, 0x06, 0x00, 0x05)
    .out(0x20, 0x20)
    .raw('pop ax; iret', 0x58, 0xcf)
    .label('c128')
    .word(128)
    .label('c60')
    .word(60)
}
