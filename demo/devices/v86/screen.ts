/**
 * Pictures of a machine's screen, without a canvas.
 *
 * @module
 */

import type { V86Internals } from './internals.ts'
import type { V86Frame } from './options.ts'
import { textPicture, textSignature } from './text-screen.ts'

/**
 * v86 paints into an `ImageData`; where the host has none, as Node, a stand-in takes its place. Must be there
 * before the machine sets a graphics mode.
 */
export function provideImageData(): void {
  if (typeof ImageData === 'function') return
  class PlainImageData {
    readonly data: Uint8ClampedArray
    readonly width: number
    readonly height: number
    constructor(data: Uint8ClampedArray, width: number, height: number) {
      this.data = data
      this.width = width
      this.height = height
    }
  }
  Object.assign(globalThis, { ImageData: PlainImageData })
}

/** The screen now; undefined before a graphics mode has its first picture. */
export function frameOf({ core, textScreen }: V86Internals): V86Frame | undefined {
  const { vga } = core.cpu.devices
  if (!vga.graphical_mode)
    return {
      kind: 'text',
      rows: textScreen(),
      signature: textSignature(vga),
      picture: () => textPicture(vga),
    }
  if (vga.image_data === null || !(vga.screen_width > 0 && vga.screen_height > 0)) return undefined
  vga.screen_fill_buffer()
  const { screen_width: width, screen_height: height } = vga
  const pixels = new Uint8ClampedArray(width * height * 4)
  const whole = {
    image_data: vga.image_data,
    screen_x: 0,
    screen_y: 0,
    buffer_x: 0,
    buffer_y: 0,
    buffer_width: width,
    buffer_height: height,
  }
  for (const layer of vga.svga_enabled ? [whole] : vga.layers) {
    const { data, width: stride } = layer.image_data
    const columns = Math.min(layer.buffer_width, width - layer.screen_x, stride - layer.buffer_x)
    for (let row = 0; row < Math.min(layer.buffer_height, height - layer.screen_y); row++) {
      const from = ((layer.buffer_y + row) * stride + layer.buffer_x) * 4
      const to = ((layer.screen_y + row) * width + layer.screen_x) * 4
      pixels.set(data.subarray(from, from + columns * 4), to)
    }
  }
  return { kind: 'graphics', width, height, pixels }
}
