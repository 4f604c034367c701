/**
 * The text screen, drawn as the video adapter would: with the font that the guest's BIOS or system put into
 * plane 2, its palette and its cursor. Both ends of a hand-over have all of that, so they show the same picture.
 *
 * @module
 */

import type { V86Vga } from './internals.ts'

/** What more is used of the video adapter in its text modes. */
interface TextVga {
  /** Characters and attributes, one after the other; behind them the planes. */
  readonly vga_memory: Uint8Array
  /** Fonts of 256 characters of 32 rows of 8 pixels. */
  readonly plane2: Uint8Array
  readonly max_cols: number
  readonly max_rows: number
  readonly start_address: number
  readonly offset_register: number
  readonly cursor_address: number
  readonly cursor_scanline_start: number
  readonly cursor_scanline_end: number
  readonly attribute_mode: number
  readonly clocking_mode: number
  readonly max_scan_line: number
  readonly character_map_select: number
  readonly dac_mask: number
  readonly dac_map: Uint8Array
  /** Red, green and blue from the third byte on. */
  readonly vga256_palette: Int32Array
}

/** RGBA pixels. */
export interface TextPicture {
  readonly width: number
  readonly height: number
  readonly pixels: Uint8ClampedArray<ArrayBuffer>
}

const FONT_BYTES = 0x2000
const GLYPH_ROWS = 32
/** Characters whose last column goes on to the ninth: lines and blocks. */
const isLineDrawing = (code: number): boolean => code >= 0xc0 && code <= 0xdf

/** The screen now; undefined until a font was loaded. What blinks is shown lit. */
export function textPicture(adapter: V86Vga): TextPicture | undefined {
  const vga = adapter as unknown as TextVga
  const { max_cols: columns, max_rows: rows, vga_memory: memory } = vga
  const font = fontOf(vga)
  const rowsPerGlyph = (vga.max_scan_line & 31) + 1
  if (!(columns > 0 && rows > 0) || !font.some((byte) => byte !== 0)) return undefined
  const columnsPerGlyph = (vga.clocking_mode & 1) === 0 ? 9 : 8
  const width = columns * columnsPerGlyph
  const height = rows * rowsPerGlyph
  const pixels = new Uint32Array(width * height)
  const colours = coloursOf(vga)
  const stride = Math.max(columns, 2 * vga.offset_register)
  const extends9 = (vga.attribute_mode & 4) !== 0
  const backgrounds = (vga.attribute_mode & 8) === 0 ? 15 : 7
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const cell = (vga.start_address + row * stride + column) * 2
      const code = memory[cell] ?? 0
      const attribute = memory[cell + 1] ?? 0
      const ink = colours[attribute & 15] as number
      const paper = colours[(attribute >> 4) & backgrounds] as number
      for (let line = 0; line < rowsPerGlyph; line++) {
        const bits = (font[code * GLYPH_ROWS + line] as number) << 1
        const ninth = extends9 && isLineDrawing(code) ? (bits >> 1) & 1 : 0
        const at = (row * rowsPerGlyph + line) * width + column * columnsPerGlyph
        for (let x = 0; x < columnsPerGlyph; x++)
          pixels[at + x] = (((bits | ninth) >> (8 - x)) & 1) === 1 ? ink : paper
      }
    }
  drawCursor(vga, pixels, { width, stride, columnsPerGlyph, rowsPerGlyph, colours })
  return { width, height, pixels: new Uint8ClampedArray(pixels.buffer) }
}

/** The first font: where the adapter's map says. */
function fontOf({ plane2, character_map_select: map }: TextVga): Uint8Array {
  const at = ((map & 3) * 2 + ((map >> 4) & 1)) * FONT_BYTES
  return plane2.subarray(at, at + FONT_BYTES)
}

/** The 16 colours, as words of RGBA. */
function coloursOf({ dac_map: map, dac_mask: mask, vga256_palette: palette }: TextVga): Uint32Array {
  return Uint32Array.from({ length: 16 }, (_, index) => {
    const rgb = palette[mask & (map[index] as number)] as number
    return 0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | ((rgb >> 16) & 0xff)
  })
}

interface Metrics {
  readonly width: number
  readonly stride: number
  readonly columnsPerGlyph: number
  readonly rowsPerGlyph: number
  readonly colours: Uint32Array
}

function drawCursor(vga: TextVga, pixels: Uint32Array, metrics: Metrics): void {
  const { width, stride, columnsPerGlyph, rowsPerGlyph, colours } = metrics
  const offset = vga.cursor_address - vga.start_address
  const column = offset % stride
  const row = Math.floor(offset / stride)
  const isHidden = (vga.cursor_scanline_start & 0x20) !== 0
  if (isHidden || offset < 0 || row >= vga.max_rows || column >= vga.max_cols) return
  const ink = colours[(vga.vga_memory[vga.cursor_address * 2 + 1] ?? 7) & 15] as number
  const last = Math.min(vga.cursor_scanline_end & 31, rowsPerGlyph - 1)
  for (let line = vga.cursor_scanline_start & 31; line <= last; line++) {
    const at = (row * rowsPerGlyph + line) * width + column * columnsPerGlyph
    pixels.fill(ink, at, at + columnsPerGlyph)
  }
}

/** Changes when the text screen does: a hash of its characters, colours and cursor. */
export function textSignature(adapter: V86Vga): number {
  const vga = adapter as unknown as TextVga
  const { vga_memory: memory, start_address: start, cursor_address: cursor } = vga
  const cells = Math.max(vga.max_cols, 2 * vga.offset_register) * vga.max_rows
  const words = new Int32Array(memory.buffer, memory.byteOffset + ((start * 2) & ~3), cells >> 1)
  let hash = (cursor << 8) ^ vga.cursor_scanline_start
  for (const word of words) hash = Math.imul(hash ^ word, 0x01000193) ^ (hash >>> 15)
  return hash
}
