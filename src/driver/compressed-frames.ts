/**
 * Runs of pages as LZ4 blocks, for links slower than the compression (about 0.4 GB/s).
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import {
  COMPRESSED_PREFIX_BYTES,
  FRAME_BYTES,
  PAGE_BYTES,
  SECTION_HEADER_BYTES,
  type SectionPlan,
  type StreamWriter,
  Tag,
} from '../format/index.ts'
import { FRAME_PAGES } from './page-runs.ts'

/** How a device's memory pages travel. */
export type Compression = 'none' | 'lz4'

/** All there are. */
export const COMPRESSIONS: readonly Compression[] = ['none', 'lz4']

/** Engine memory that compression takes beside the frames. */
export const STAGING_BYTES: number = FRAME_BYTES

/** The part of its bytes that a block must save to be sent instead of the pages, one in so many. */
const LEAST_SAVED = 8

/** Pages that a run is cut down to for a frame's rest, at the least: a block looks back so far. */
const LEAST_CUT_PAGES = 16

/** Turns PAGES sections into PAGES_LZ4 sections where that saves enough. */
export class CompressedFrames {
  readonly #engine: Engine
  readonly #writer: StreamWriter
  readonly #staging: number
  readonly #prefix: DataView
  /** Bytes that blocks saved, less the headers of the sections that runs were cut into to fill frames. */
  #saved = 0

  /** @param staging - {@link STAGING_BYTES} of engine memory */
  constructor(engine: Engine, writer: StreamWriter, staging: number) {
    this.#engine = engine
    this.#writer = writer
    this.#staging = staging
    this.#prefix = new DataView(engine.bytes.buffer, engine.bytes.byteOffset)
  }

  /**
   * How many pages of a run of `count` go into the `room` left of a frame as the next section; 0 is none.
   * A run is cut for it only where its header was saved before: a stream never gets longer than without.
   */
  pagesFor(count: number, room: number): number {
    const whole = Math.min(count, FRAME_PAGES)
    if (SECTION_HEADER_BYTES + whole * PAGE_BYTES <= room) return whole
    const fitting = Math.floor((room - SECTION_HEADER_BYTES) / PAGE_BYTES)
    if (fitting < LEAST_CUT_PAGES || this.#saved < SECTION_HEADER_BYTES) return 0
    this.#saved -= SECTION_HEADER_BYTES
    return fitting
  }

  /**
   * Writes a section for the pages of `plan` to `out`, where there must be room for them as they are.
   *
   * @param stage - copies the pages to where it is told. Needed when they are not in the engine, or when the
   * device may write them meanwhile, from another thread: the kernel reads bytes more than once
   * @returns the section's bytes
   */
  sectionTo(out: number, plan: SectionPlan, stage?: (dst: number) => void): number {
    const { payloadBytes: pageBytes } = plan
    const { kernels } = this.#engine
    let pages = plan.payload
    if (stage !== undefined) {
      pages = this.#staging
      stage(pages)
    }
    const payload = out + SECTION_HEADER_BYTES
    const block = payload + COMPRESSED_PREFIX_BYTES
    const most = pageBytes - Math.ceil(pageBytes / LEAST_SAVED) - COMPRESSED_PREFIX_BYTES
    const blockBytes = most > 0 ? kernels.lz4Compress(pages, pageBytes, block, most) : 0
    if (blockBytes === 0) return this.#writer.sectionTo(out, { ...plan, payload: pages })
    this.#prefix.setUint32(payload, pageBytes, true)
    const payloadBytes = COMPRESSED_PREFIX_BYTES + blockBytes
    this.#saved += pageBytes - payloadBytes
    return this.#writer.sectionTo(out, { ...plan, tag: Tag.PAGES_LZ4, payload, payloadBytes })
  }
}
