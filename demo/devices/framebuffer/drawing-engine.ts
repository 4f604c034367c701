/**
 * Draws one picture per tick: 1,280 particles drift in the wind and leave trails that fade.
 *
 * What it draws depends on registers and video memory alone, in whole numbers, so a display that was moved
 * draws what it would have drawn where it was.
 *
 * ```text
 * a particle, little endian
 * 0x0 i32 x, 1/65536 pixel    0x8 i32 ticks left
 * 0x4 i32 y                   0xc u32 ramp (bits 0..1), speed (bits 8..15)
 * ```
 *
 * @module
 */

import { COUNTER_ROWS, COUNTER_TOP, drawCounter } from './digits.ts'
import type { FramebufferContext } from './framebuffer-state.ts'
import {
  HEIGHT,
  MAP_COUNT,
  MAPS_OFFSET,
  PAGE_BYTES,
  PARTICLE_BYTES,
  PARTICLE_COUNT,
  PARTICLES_OFFSET,
  PICTURE_BYTES,
  WIDTH,
} from './memory-map.ts'
import { LEVELS } from './palette.ts'

/** Each tick fades one of so many bands of the picture. */
const BANDS = 5
const BAND_ROWS: number = HEIGHT / BANDS
/** Ticks for which a map is the wind, as a power of two. */
const MAP_SHIFT = 9
const LIGHT = 26
const HALO = 9
/** Around the pointer the wind turns about it. */
const REACH = 120
const SPRAYED = 14
const BURSTING = 34

const FADED: Uint8Array = Uint8Array.from({ length: 256 }, (_, index) => {
  const level = index % LEVELS
  return index - level + Math.max(0, level - 1 - (level >> 3))
})
/** Of a whole turn, 1/65536 pixel. */
const COSINE: Int32Array = Int32Array.from({ length: 256 }, (_, turn) =>
  Math.round(Math.cos((turn * Math.PI) / 128) * 65_536),
)

/** The engine of one open display. */
export class DrawingEngine {
  readonly #context: FramebufferContext
  readonly #picture: Uint8Array
  readonly #maps: Uint8Array
  readonly #particles: Int32Array
  readonly #touched: Uint8Array = new Uint8Array(Math.ceil(PICTURE_BYTES / PAGE_BYTES))

  constructor(context: FramebufferContext) {
    const { bytes } = context.memory.video
    this.#context = context
    this.#picture = bytes.subarray(0, PICTURE_BYTES)
    this.#maps = bytes.subarray(MAPS_OFFSET, MAPS_OFFSET + PICTURE_BYTES * MAP_COUNT)
    this.#particles = new Int32Array(
      bytes.buffer,
      bytes.byteOffset + PARTICLES_OFFSET,
      (PARTICLE_COUNT * PARTICLE_BYTES) / 4,
    )
  }

  /** Particles anywhere, at power-on. */
  scatter(): void {
    for (let index = 0; index < PARTICLE_COUNT; index++) this.#place(index * 4)
    this.#context.memory.video.mark(PARTICLES_OFFSET, PARTICLE_COUNT * PARTICLE_BYTES)
  }

  /** The next picture; pages that changed are marked. */
  draw(): void {
    const { state, memory } = this.#context
    this.#touched.fill(0)
    const tick = Number(state.tick & 0xffff_ffffn)
    this.#fade(tick % BANDS)
    this.#spray()
    this.#drift(tick)
    state.tick += 1n
    drawCounter(this.#picture, state.tick, LEVELS - 1)
    this.#touchRows(COUNTER_TOP, COUNTER_ROWS)
    for (let page = 0; page < this.#touched.length; page++)
      if (this.#touched[page] === 1) memory.video.mark(page * PAGE_BYTES, PAGE_BYTES)
    memory.video.mark(PARTICLES_OFFSET, PARTICLE_COUNT * PARTICLE_BYTES)
  }

  #fade(band: number): void {
    const picture = this.#picture
    const end = (band + 1) * BAND_ROWS * WIDTH
    for (let at = band * BAND_ROWS * WIDTH; at < end; at++)
      picture[at] = FADED[picture[at] as number] as number
    this.#touchRows(band * BAND_ROWS, BAND_ROWS)
  }

  /** New particles at a pressed pointer, or in a ring at the middle during a burst. */
  #spray(): void {
    const { state } = this.#context
    if (state.buttons !== 0) {
      for (let i = 0; i < SPRAYED; i++) this.#emit(state.pointerX, state.pointerY, 6)
    }
    if (state.burst === 0) return
    state.burst--
    for (let i = 0; i < BURSTING; i++) this.#emit(WIDTH / 2, HEIGHT / 2, 46)
  }

  #emit(x: number, y: number, radius: number): void {
    const random = this.#random()
    const at = (random % PARTICLE_COUNT) * 4
    this.#place(at)
    const turn = (random >>> 16) & 0xff
    this.#particles[at] = (x << 16) + cosine(turn) * radius
    this.#particles[at + 1] = (y << 16) + cosine(turn - 64) * radius
  }

  #place(at: number): void {
    const particles = this.#particles
    const random = this.#random()
    particles[at] = (random % WIDTH) << 16
    particles[at + 1] = ((random >>> 10) % HEIGHT) << 16
    const more = this.#random()
    particles[at + 2] = 60 + (more & 0xff)
    particles[at + 3] = ((more >>> 8) & 3) | (((more >>> 10) & 0xff) << 8)
  }

  #drift(tick: number): void {
    const { state } = this.#context
    const { pointerX, pointerY, pointerInside, twist } = state
    const particles = this.#particles
    for (let at = 0; at < particles.length; at += 4) {
      let x = particles[at] as number
      let y = particles[at + 1] as number
      const column = x >> 16
      const row = y >> 16
      const left = (particles[at + 2] as number) - 1
      // Also where a stream put it: what is outside the picture starts anew.
      if (left < 0 || column < 0 || column >= WIDTH || row < 0 || row >= HEIGHT) {
        this.#place(at)
        continue
      }
      // One particle after the other changes to the next map.
      const map = ((tick + at * 2) >>> MAP_SHIFT) % MAP_COUNT
      const turn = (this.#maps[map * PICTURE_BYTES + row * WIDTH + column] as number) + twist
      const kind = particles[at + 3] as number
      const speed = 150 + ((kind >>> 8) & 0xff)
      x += (cosine(turn) * speed) >> 8
      y += (cosine(turn - 64) * speed) >> 8
      if (pointerInside) {
        const dx = column - pointerX
        const dy = row - pointerY
        const near = REACH - Math.max(Math.abs(dx), Math.abs(dy))
        if (near > 0) {
          x += (-dy * 3 - dx) * near * 10
          y += (dx * 3 - dy) * near * 10
        }
      }
      particles[at] = x
      particles[at + 1] = y
      particles[at + 2] = left
      this.#shine(row * WIDTH + column, kind & 3)
    }
  }

  #shine(at: number, ramp: number): void {
    this.#lighten(at, ramp, LIGHT)
    if (at >= 1) this.#lighten(at - 1, ramp, HALO)
    if (at + WIDTH < PICTURE_BYTES) this.#lighten(at + WIDTH, ramp, HALO)
  }

  #lighten(at: number, ramp: number, light: number): void {
    const level = ((this.#picture[at] as number) % LEVELS) + light
    this.#picture[at] = ramp * LEVELS + Math.min(LEVELS - 1, level)
    this.#touched[Math.floor(at / PAGE_BYTES)] = 1
  }

  #touchRows(first: number, count: number): void {
    const last = Math.floor(((first + count) * WIDTH - 1) / PAGE_BYTES)
    this.#touched.fill(1, Math.floor((first * WIDTH) / PAGE_BYTES), last + 1)
  }

  /** Xorshift: 32 bits. */
  #random(): number {
    const { state } = this.#context
    let { seed } = state
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    state.seed = seed >>> 0
    return seed >>> 0
  }
}

function cosine(turn: number): number {
  return COSINE[turn & 0xff] as number
}
