/**
 * How many bytes a checked stream has, or has left: the stop-copy length.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import {
  END_PAYLOAD_BYTES,
  FRAME_BYTES,
  HEADER_BYTES,
  PAGE_BYTES,
  SECTION_HEADER_BYTES,
  ZERO_PAYLOAD_BYTES,
} from '../format/index.ts'
import type { MemoryRegion } from './memory-region.ts'
import { PageCursor, type PageRun } from './page-runs.ts'

/** Bytes of memory that a run stands for. */
export function runBytes(run: PageRun, region: MemoryRegion): number {
  const from = run.first * PAGE_BYTES
  return Math.min(run.count * PAGE_BYTES, region.byteLength - from)
}

/** Stream bytes of the page sections that a cursor would still give out, if nothing changed. */
export function plannedPageBytes(
  cursor: PageCursor,
  regions: readonly MemoryRegion[],
): { initial: number; dirty: number } {
  const dry = cursor.dryRun()
  const planned = { initial: 0, dirty: 0 }
  for (;;) {
    const pass = dry.initial ? 'initial' : 'dirty'
    const run = dry.next()
    if (run === undefined) return planned
    const payload = run.zero ? ZERO_PAYLOAD_BYTES : runBytes(run, regions[run.region] as MemoryRegion)
    planned[pass] += SECTION_HEADER_BYTES + payload
  }
}

/**
 * Stream bytes of a whole save, if nothing changed: what MIG_DATA_SIZE says outside a session.
 *
 * @param sizes - `bitmap`: 32 bytes of engine memory for zero scans
 */
export function wholeStreamBytes(
  engine: Engine,
  regions: readonly MemoryRegion[],
  sizes: { configurationBytes: number; stateBytes: number; bitmap: number },
): number {
  const none = regions.map((region) => new Uint32Array(region.dirty.length))
  return (
    openingBytes(sizes.configurationBytes) +
    plannedPageBytes(new PageCursor(engine, regions, sizes.bitmap, none), regions).initial +
    closingBytes(sizes.stateBytes)
  )
}

/** Stream bytes of the stream header and the CONFIG section. */
export function openingBytes(configurationBytes: number): number {
  return HEADER_BYTES + SECTION_HEADER_BYTES + configurationBytes
}

/** Stream bytes of the STATE sections that are left and the END section. */
export function closingBytes(stateBytes: number): number {
  const sections = Math.ceil(stateBytes / FRAME_BYTES) + 1
  return stateBytes + sections * SECTION_HEADER_BYTES + END_PAYLOAD_BYTES
}
