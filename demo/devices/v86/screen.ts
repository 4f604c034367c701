/**
 * Pictures of a machine's screen, without a canvas.
 *
 * @module
 */

import type { V86Internals, V86Vga } from './internals.ts'
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

/** False: it shows what it showed when it was drawn last. */
export function hasDrawn(vga: V86Vga): boolean {
  const isToldOf = vga.graphical_mode && !vga.svga_enabled
  return !isToldOf || vga.diff_addr_min <= vga.diff_addr_max || vga.diff_plot_min <= vga.diff_plot_max
}

/** The screen now; undefined before a graphics mode has its first picture. */
export function frameOf({ core, textScreen }: V86Internals): V86Frame | undefined {
  const { vga } = core.cpu.devices
  if (!vga.graphical_mode)
    return {
      kind: 'text',
      get rows() {
        return textScreen()
      },
      signature: textSignature(vga),
      picture: () => textPicture(vga),
    }
  if (vga.image_data === null || !(vga.screen_width > 0 && vga.screen_height > 0)) return undefined
  draw(vga)
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

/** So many pixels of the unseen ones are made at a time. */
const UNSEEN_AT_A_TIME = 65_536
/** All that the adapter can hold, as v86 marks it when a state was loaded. */
const ALL_PIXELS = 524_288
/** From where on the unseen pixels of an adapter are still to be made. */
const unseen = new WeakMap<V86Vga, number>()

/**
 * Has v86 make the pixels. After a load that would be all that the adapter can hold, eight times what is seen in
 * mode 13h, which takes as long as several pictures: so the first picture is of what is seen, and the rest, which
 * a guest may scroll to, follows with the next ones.
 */
function draw(vga: V86Vga): void {
  if (vga.svga_enabled) return vga.screen_fill_buffer()
  const isWhole = vga.diff_plot_min === 0 && vga.diff_plot_max >= ALL_PIXELS
  if (isWhole) {
    const seenTo = seenEnd(vga)
    unseen.set(vga, seenTo)
    vga.diff_plot_max = seenTo - 1
    vga.diff_addr_max = seenTo - 1
  }
  vga.screen_fill_buffer()
  const from = unseen.get(vga)
  if (isWhole || from === undefined) return
  const to = Math.min(from + UNSEEN_AT_A_TIME, ALL_PIXELS)
  vga.diff_plot_min = from
  vga.diff_addr_min = from
  vga.diff_plot_max = to - 1
  vga.diff_addr_max = to - 1
  vga.screen_fill_buffer()
  if (to < ALL_PIXELS) unseen.set(vga, to)
  else unseen.delete(vga)
}

/** Behind the last pixel that is on the screen. */
function seenEnd({ layers, virtual_width: width }: V86Vga): number {
  const ends = layers.map(({ buffer_y, buffer_height }) => Math.ceil(buffer_y + buffer_height) * width)
  return Math.min(ALL_PIXELS, Math.max(0, ...ends))
}
