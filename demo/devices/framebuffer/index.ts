/**
 * The display of the demo.
 *
 * @module
 */

export { createFramebuffer, type Framebuffer } from './framebuffer.ts'
export { FRAMEBUFFER_ID, FramebufferRegister, Key } from './framebuffer-registers.ts'
export { HEIGHT, PICTURE_BYTES, WIDTH } from './memory-map.ts'
