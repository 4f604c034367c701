/**
 * The register block (region 0) and the video memory (region 1) of the display.
 *
 * ```text
 * region 0, little endian
 * 0x00 ID, read-only          0x18 POINTER, x in bits 0..15, y in bits 16..31
 * 0x04 VERSION, read-only     0x1c BUTTONS: 1 pressed, 2 pointer inside
 * 0x08 CONTROL, 1: draw       0x20 KEY: a code of {@link Key}
 * 0x0c SIZE, read-only        0x24 THEME
 * 0x10 TICK, read-only, u64   0x28 TWIST, 1/256 of a turn
 * ```
 * Any bytes can be accessed; a write to part of a register changes that part. A value out of a register's bounds
 * is dropped.
 *
 * @module
 */

import { type DeviceRegions, VfioError } from 'stopcopy'
import { BURST_TICKS, FRAMEBUFFER_VERSION, type FramebufferContext } from './framebuffer-state.ts'
import { HEIGHT, WIDTH } from './memory-map.ts'
import { fillPalette, THEMES } from './palette.ts'

/** Offsets in region 0. */
export const FramebufferRegister = {
  ID: 0x00,
  VERSION: 0x04,
  CONTROL: 0x08,
  SIZE: 0x0c,
  TICK: 0x10,
  POINTER: 0x18,
  BUTTONS: 0x1c,
  KEY: 0x20,
  THEME: 0x24,
  TWIST: 0x28,
} as const

/** Keys that the display knows. */
export const Key = { BURST: 1, NEXT_THEME: 2, TURN_LEFT: 3, TURN_RIGHT: 4 } as const

/** "FBUF" */
export const FRAMEBUFFER_ID = 0x4655_4246
const BLOCK_BYTES = 0x2c
const TURN = 16

/** Register access to an open display. */
export function framebufferRegions(context: FramebufferContext): DeviceRegions {
  const { state, memory } = context
  return {
    read(index, offset, dst) {
      if (index === 1) return memory.video.read(offset, dst)
      check('read', index, offset, dst.length)
      dst.set(new Uint8Array(blockOf(state).buffer, offset, dst.length))
    },
    write(index, offset, src) {
      if (index === 1) return memory.video.write(offset, src)
      check('write', index, offset, src.length)
      const block = blockOf(state)
      // A key is pressed by writing its code, not by the one that is there.
      block.setUint32(FramebufferRegister.KEY, 0, true)
      new Uint8Array(block.buffer).set(src, offset)
      const first = offset - (offset % 4)
      for (let at = first; at < offset + src.length; at += 4)
        writeWord(context, at, block.getUint32(at, true))
    },
  }
}

/** Region 0 as it reads now. */
function blockOf(state: FramebufferContext['state']): DataView<ArrayBuffer> {
  const block = new DataView(new ArrayBuffer(BLOCK_BYTES))
  const words: readonly (readonly [number, number])[] = [
    [FramebufferRegister.ID, FRAMEBUFFER_ID],
    [FramebufferRegister.VERSION, FRAMEBUFFER_VERSION],
    [FramebufferRegister.CONTROL, state.control],
    [FramebufferRegister.SIZE, WIDTH | (HEIGHT << 16)],
    [FramebufferRegister.POINTER, state.pointerX | (state.pointerY << 16)],
    [FramebufferRegister.BUTTONS, state.buttons | (state.pointerInside ? 2 : 0)],
    [FramebufferRegister.KEY, state.key],
    [FramebufferRegister.THEME, state.theme],
    [FramebufferRegister.TWIST, state.twist],
  ]
  for (const [at, value] of words) block.setUint32(at, value, true)
  block.setBigUint64(FramebufferRegister.TICK, state.tick, true)
  return block
}

function writeWord({ state }: FramebufferContext, offset: number, value: number): void {
  switch (offset) {
    case FramebufferRegister.CONTROL:
      state.control = value & 1
      return
    case FramebufferRegister.POINTER: {
      const [x, y] = [value & 0xffff, value >>> 16]
      if (x < WIDTH && y < HEIGHT) [state.pointerX, state.pointerY] = [x, y]
      return
    }
    case FramebufferRegister.BUTTONS:
      state.buttons = value & 1
      state.pointerInside = (value & 2) !== 0
      return
    case FramebufferRegister.KEY:
      return pressKey(state, value)
    case FramebufferRegister.THEME:
      return setTheme(state, value)
    case FramebufferRegister.TWIST:
      state.twist = value & 0xff
      return
    default:
    // What is written to a read-only register is dropped, as hardware does.
  }
}

function pressKey(state: FramebufferContext['state'], code: number): void {
  state.key = code & 0xff
  if (code === Key.BURST) state.burst = BURST_TICKS
  if (code === Key.NEXT_THEME) setTheme(state, (state.theme + 1) % THEMES.length)
  if (code === Key.TURN_LEFT) state.twist = (state.twist - TURN) & 0xff
  if (code === Key.TURN_RIGHT) state.twist = (state.twist + TURN) & 0xff
}

function setTheme(state: FramebufferContext['state'], theme: number): void {
  if (theme >= THEMES.length) return
  state.theme = theme
  fillPalette(state.palette as Uint32Array, theme)
}

function check(action: string, index: number, offset: number, byteLength: number): void {
  const inside = Number.isInteger(offset) && offset >= 0 && offset + byteLength <= BLOCK_BYTES
  if (index === 0 && inside) return
  throw new VfioError(
    'EINVAL',
    `Cannot ${action} a register: ${byteLength} bytes at ${offset} of region ${index} pass it, stay inside`,
  )
}
