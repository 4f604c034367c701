/**
 * Registers of the display, as they travel.
 *
 * @module
 */

import { array, bool, type DeviceContext, u16, u32, u64, u8 } from 'stopcopy'
import { HEIGHT, WIDTH } from './memory-map.ts'
import { THEMES } from './palette.ts'

/** Raised when a field is added. */
export const FRAMEBUFFER_VERSION = 1

/** Ticks that a burst lasts. */
export const BURST_TICKS = 40

export const FRAMEBUFFER_STATE = {
  /** Bit 0: the drawing engine draws. */
  control: u32({ default: 1, max: 1 }),
  /** Pictures drawn since power-on, across migrations. */
  tick: u64(),
  /** Of the random numbers, never zero. */
  seed: u32({ default: 0x9e3779b9, min: 1 }),
  theme: u8({ max: THEMES.length - 1 }),
  /** Turns all wind, 1/256 of a turn. */
  twist: u8(),
  pointerX: u16({ max: WIDTH - 1 }),
  pointerY: u16({ max: HEIGHT - 1 }),
  /** Whether the pointer is over the picture. */
  pointerInside: bool(),
  /** Bit 0: pressed. */
  buttons: u8({ max: 1 }),
  /** Code of the last key. */
  key: u8(),
  /** Ticks that the burst goes on. */
  burst: u8({ max: BURST_TICKS }),
  /** Colours as the bytes R, G, B, A. */
  palette: array(u32(), 256),
}
export type FramebufferSchema = typeof FRAMEBUFFER_STATE
export type FramebufferContext = DeviceContext<FramebufferSchema, 'video'>
