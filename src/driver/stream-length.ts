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
function runBytes(run: PageRun, region: MemoryRegion): number {
  const from = run.first * PAGE_BYTES
  return Math.min(run.count * PAGE_BYTES, region.byteLength - from)
}

/**
 * Stream bytes of the page sections that a cursor would still give out, if nothing changed.
 *
 * @param pointer CURSOR_BYTES of engine memory to work in
 */
export function plannedPageBytes(
  cursor: PageCursor,
  regions: readonly MemoryRegion[],
  pointer: number,
): { initial: number; dirty: number } {
  const dry = cursor.dryRun(pointer)
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
 * @param sizes `cursor`: CURSOR_BYTES of engine memory to work in
 */
export function wholeStreamBytes(
  engine: Engine,
  regions: readonly MemoryRegion[],
  sizes: { configurationBytes: number; stateBytes: number; cursor: number },
): number {
  const planned = plannedPageBytes(new PageCursor(engine, regions, sizes.cursor), regions, sizes.cursor)
  return openingBytes(sizes.configurationBytes) + planned.initial + closingBytes(sizes.stateBytes)
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
