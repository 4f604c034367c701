/**
 * The wind that the particles drift in: smooth random directions, the same at every power-on.
 *
 * @module
 */

import { HEIGHT, MAP_COUNT, PICTURE_BYTES, WIDTH } from './memory-map.ts'

/** Distances between the points that are random, in pixels; between them it is smooth. */
const COARSE = 128
const FINE = 40
/** How far the directions of a map differ, 1/256 of a turn. */
const SPREAD = 420
const FINE_SPREAD = 90

let made: Uint8Array | undefined

/** All maps, one after the other; made once, and not to be written. */
export function windMaps(): Uint8Array {
  if (made !== undefined) return made
  const maps = new Uint8Array(PICTURE_BYTES * MAP_COUNT)
  for (let map = 0; map < MAP_COUNT; map++) {
    const picture = maps.subarray(map * PICTURE_BYTES, (map + 1) * PICTURE_BYTES)
    addNoise(picture, COARSE, SPREAD, map * 2 + 1)
    addNoise(picture, FINE, FINE_SPREAD, map * 2 + 2)
  }
  made = maps
  return maps
}

/** Whole numbers alone, so that every runtime makes the same maps. */
function addNoise(picture: Uint8Array, cell: number, spread: number, salt: number): void {
  const columns = Math.ceil(WIDTH / cell) + 1
  const lattice = (column: number, row: number): number => hash(row * columns + column, salt) & 0xffff
  const ease = Array.from({ length: cell }, (_, i) =>
    Math.floor((i * i * (3 * cell - 2 * i) * 256) / cell ** 3),
  )
  for (let y = 0; y < HEIGHT; y++) {
    const row = Math.floor(y / cell)
    const down = ease[y % cell] as number
    for (let column = 0; column * cell < WIDTH; column++) {
      const left = mix(lattice(column, row), lattice(column, row + 1), down)
      const right = mix(lattice(column + 1, row), lattice(column + 1, row + 1), down)
      const first = y * WIDTH + column * cell
      const count = Math.min(cell, WIDTH - column * cell)
      for (let x = 0; x < count; x++) {
        const value = mix(left, right, ease[x] as number)
        picture[first + x] = (picture[first + x] as number) + ((value * spread) >>> 16)
      }
    }
  }
}

function mix(from: number, to: number, part: number): number {
  return (from * (256 - part) + to * part) >> 8
}

function hash(index: number, salt: number): number {
  let value = Math.imul(index + 1, 0x85ebca6b) ^ Math.imul(salt, 0xc2b2ae35)
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d)
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39)
  return (value ^ (value >>> 15)) >>> 0
}
