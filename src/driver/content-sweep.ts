/**
 * The sweeps of a PRE_COPY session over regions whose device does not mark what it writes: in pieces,
 * whenever the session ran out of pages, and once over everything after the device stopped.
 *
 * @module
 */

import type { MemoryRegion } from './memory-region.ts'

/** Pages that one piece looks at: a megabyte, some tenths of a millisecond. */
const PIECE_PAGES = 256
/** And after the stop, when nothing else is to be done and each call counts. */
const FINAL_PIECE_PAGES = 1024
/** How long one turn sweeps at the most, as long as it finds nothing. */
const TURN_MS = 1
/** How long a sweep that found nothing counts for, or as long as it took: who asks again and again must not spin. */
const REST_MS = 10
/** How long the sweep after the stop runs between two turns of the event loop. */
const FINAL_TURN_MS = 10

/** Where a sweep is: a region with a record and a page. */
interface Place {
  region: number
  page: number
}

/** The pages that a session sends. */
export interface SentPages {
  /** How many pages of a region it has found so far; those behind them are sent anyway. */
  foundPages(index: number): number
  /** Whether it has nothing to send now. */
  readonly exhausted: boolean
}

/** The sweeps of one session. */
export class ContentSweep {
  readonly #regions: readonly MemoryRegion[]
  readonly #sent: SentPages
  readonly #isNeeded: boolean
  readonly #place: Place = { region: 0, page: 0 }
  #foundThisRound = false
  #roundStartMs = 0
  #restUntilMs = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #over = false

  constructor(regions: readonly MemoryRegion[], sent: SentPages) {
    this.#regions = regions
    this.#sent = sent
    this.#isNeeded = regions.some(({ record }) => record !== undefined)
  }

  /**
   * Looks for written pages, for about {@link TURN_MS}. True when some were found; when not, the search goes
   * on by itself until some are or the session has others to send.
   */
  step(): boolean {
    if (!this.#isNeeded || this.#over) return false
    const found = this.#turn()
    if (!found) this.search()
    return found
  }

  /** Sweeps by itself until pages are found: after a rest, or at once in the midst of a round. */
  search(): void {
    if (!this.#isNeeded || this.#over || this.#timer !== undefined) return
    const delayMs = Math.max(0, this.#restUntilMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // A found page wakes the session; one that has pages comes back when it runs out of them.
      if (!this.#over && this.#sent.exhausted && !this.#turn()) this.search()
    }, delayMs)
    // Who waits for the session keeps the program alive, not the search.
    ;(this.#timer as { unref?: () => void }).unref?.()
  }

  /** The device has stopped: marks every page that it wrote without marking. Pauses on large memory. */
  async finish(): Promise<void> {
    this.stop()
    if (!this.#isNeeded) return
    const place: Place = { region: 0, page: 0 }
    let turnEndMs = performance.now() + FINAL_TURN_MS
    while (!this.#piece(place, FINAL_PIECE_PAGES).isRoundOver) {
      if (performance.now() < turnEndMs) continue
      await new Promise((resolve) => setTimeout(resolve))
      turnEndMs = performance.now() + FINAL_TURN_MS
    }
  }

  /** No sweep starts any more, but for {@link finish}. */
  stop(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #turn(): boolean {
    const startMs = performance.now()
    if (startMs < this.#restUntilMs) return false
    for (;;) {
      if (this.#place.region === 0 && this.#place.page === 0) this.#roundStartMs = performance.now()
      const { found, isRoundOver } = this.#piece(this.#place)
      if (found) this.#foundThisRound = true
      if (isRoundOver) {
        const nowMs = performance.now()
        if (!this.#foundThisRound) this.#restUntilMs = nowMs + Math.max(REST_MS, nowMs - this.#roundStartMs)
        this.#foundThisRound = false
      }
      if (found) return true
      if (isRoundOver || performance.now() - startMs >= TURN_MS) return false
    }
  }

  /** Sweeps the piece at `place` and moves on. */
  #piece(place: Place, pages: number = PIECE_PAGES): { found: boolean; isRoundOver: boolean } {
    const region = this.#regions[place.region]
    const end = region?.record === undefined ? 0 : this.#sent.foundPages(place.region)
    const count = Math.min(pages, end - place.page)
    const found = count > 0 && region !== undefined && region.markWritten(place.page, count) > 0
    place.page += pages
    if (place.page < end) return { found, isRoundOver: false }
    place.page = 0
    place.region = (place.region + 1) % this.#regions.length
    return { found, isRoundOver: place.region === 0 }
  }
}
