/**
 * Where things are in the display's 2 MiB of video memory.
 *
 * ```text
 * 0x000000  picture     640 x 360 bytes, palette indices, row by row
 * 0x039000  wind maps   8 x 640 x 360 bytes, directions in 1/256 of a turn
 * 0x1fb000  particles   1,280 x 16 bytes, see drawing-engine.ts
 * 0x200000  the end
 * ```
 *
 * @module
 */

/** Bytes of video memory. */
export const VIDEO_BYTES: number = 2 * 1024 * 1024
export const PAGE_BYTES = 4096
/** Pixels of a row, and bytes from one to the next. */
export const WIDTH = 640
export const HEIGHT = 360
/** Bytes of the picture, and of a wind map. */
export const PICTURE_BYTES: number = WIDTH * HEIGHT

export const MAPS_OFFSET = 0x039000
export const MAP_COUNT = 8

export const PARTICLES_OFFSET = 0x1fb000
export const PARTICLE_BYTES = 16
export const PARTICLE_COUNT: number = (VIDEO_BYTES - PARTICLES_OFFSET) / PARTICLE_BYTES
