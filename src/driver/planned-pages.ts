/**
 * What the pages of a saving session would still take, looked up once for all who ask at the same time.
 *
 * @module
 */

import type { MemoryRegion } from './memory-region.ts'
import type { PageCursor } from './page-runs.ts'
import { plannedPageBytes } from './stream-length.ts'

/** Stream bytes of page sections, of the first pass and of those written since. */
interface PageBytes {
  readonly initial: number
  readonly dirty: number
}

/** Who asks for one counter asks for the other: a look at all of the memory serves both. */
export class PlannedPages {
  readonly #cursor: PageCursor
  readonly #regions: readonly MemoryRegion[]
  readonly #pointer: number
  /** Writes that are found by their content make no mark. */
  readonly #allMark: boolean
  #known: PageBytes | undefined
  #knownMarks = 0

  /** @param pointer CURSOR_BYTES of engine memory to work in */
  constructor(cursor: PageCursor, regions: readonly MemoryRegion[], pointer: number) {
    this.#cursor = cursor
    this.#regions = regions
    this.#pointer = pointer
    this.#allMark = regions.every(({ record }) => record === undefined)
  }

  /** As of now: no page was marked since it was looked up. */
  get bytes(): PageBytes {
    const marks = this.#regions.reduce((total, region) => total + region.marks, 0)
    if (this.#known === undefined || !this.#allMark || marks !== this.#knownMarks) {
      this.#known = plannedPageBytes(this.#cursor, this.#regions, this.#pointer)
      this.#knownMarks = marks
    }
    return this.#known
  }

  /** The cursor goes on. */
  forget(): void {
    this.#known = undefined
  }
}
