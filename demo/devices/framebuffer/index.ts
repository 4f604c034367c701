/**
 * The display of the demo.
 *
 * @module
 */

export { createFramebuffer, type Framebuffer, type FramebufferOptions } from './framebuffer.ts'
export { FRAMEBUFFER_ID, FramebufferRegister, Key } from './framebuffer-registers.ts'
export { HEIGHT, PICTURE_BYTES, VIDEO_BYTES, WIDTH } from './memory-map.ts'
export { type PictureClock, timerClock } from './picture-clock.ts'
