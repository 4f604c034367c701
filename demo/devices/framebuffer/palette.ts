/**
 * Colours: four ramps of 64 levels, from the dark of the screen to the light of a particle.
 *
 * @module
 */

/** Levels of a ramp; a palette has four. */
export const LEVELS = 64

/** Red, green and blue. */
type Colour = readonly [number, number, number]

interface Theme {
  readonly ground: Colour
  readonly ramps: readonly [Colour, Colour, Colour, Colour]
}

export const THEMES: readonly Theme[] = [
  {
    ground: [11, 16, 30],
    ramps: [
      [122, 201, 255],
      [96, 132, 255],
      [178, 150, 255],
      [255, 214, 165],
    ],
  },
  {
    ground: [24, 13, 16],
    ramps: [
      [255, 176, 92],
      [255, 112, 88],
      [255, 226, 168],
      [214, 96, 140],
    ],
  },
  {
    ground: [8, 22, 20],
    ramps: [
      [128, 240, 190],
      [72, 190, 178],
      [214, 245, 140],
      [150, 220, 255],
    ],
  },
  {
    ground: [18, 18, 20],
    ramps: [
      [236, 236, 232],
      [176, 180, 186],
      [255, 255, 255],
      [206, 190, 170],
    ],
  },
]

/** Fills `palette`; bright levels go on towards white. */
export function fillPalette(palette: Uint32Array, theme: number): void {
  const { ground, ramps } = THEMES[theme] as Theme
  ramps.forEach((light, ramp) => {
    for (let level = 0; level < LEVELS; level++) {
      const part = level / (LEVELS - 1)
      const glow = Math.max(0, part - 0.7) * 0.9
      const [red, green, blue] = light.map((value, i) => {
        const dark = ground[i] as number
        const mixed = dark + (value - dark) * Math.min(1, part * 1.15)
        return Math.round(mixed + (255 - mixed) * glow)
      }) as [number, number, number]
      palette[ramp * LEVELS + level] = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0
    }
  })
}
