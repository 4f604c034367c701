/**
 * The tick counter in the picture, in digits of 5 x 7 dots.
 *
 * @module
 */

import { HEIGHT, WIDTH } from './memory-map.ts'

/** Rows of each digit, the leftmost dot in bit 4. */
const DIGITS: readonly (readonly number[])[] = [
  [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
  [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
  [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
  [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
  [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
  [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
  [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
  [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
  [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
  [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
]
const SCALE = 2
const PLACES = 8
const MARGIN = 14
const ADVANCE: number = 6 * SCALE

/** Rows of the picture that the counter takes. */
export const COUNTER_TOP: number = HEIGHT - MARGIN - 7 * SCALE
export const COUNTER_ROWS: number = 7 * SCALE

/** Draws the last eight digits of `tick` at the lower right corner. */
export function drawCounter(picture: Uint8Array, tick: bigint, ink: number): void {
  const text = (tick % 10n ** BigInt(PLACES)).toString().padStart(PLACES, '0')
  const left = WIDTH - MARGIN - PLACES * ADVANCE
  for (let y = 0; y < COUNTER_ROWS; y++) {
    const row = (COUNTER_TOP + y) * WIDTH + left
    picture.fill(0, row - SCALE, row + PLACES * ADVANCE)
    for (let place = 0; place < PLACES; place++) {
      const bits = (DIGITS[Number(text[place])] as readonly number[])[y >> 1] as number
      for (let dot = 0; dot < 5; dot++) {
        if ((bits & (0x10 >> dot)) === 0) continue
        const at = row + place * ADVANCE + dot * SCALE
        picture.fill(ink, at, at + SCALE)
      }
    }
  }
}
