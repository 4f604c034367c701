/**
 * Holds a migration to a bandwidth.
 *
 * @module
 */

/** A saved-up allowance lasts for so long at most: after a pause there is no burst. */
const BURST_MS = 20

/** Says how long to wait before the next bytes may go. */
export class RateLimit {
  readonly #bytesPerMs: number
  #freeAtMs = 0

  /** @param bytesPerSecond - Infinity is no limit */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000
  }

  /** Takes an allowance for `byteLength` bytes; milliseconds until it holds, 0 for now. */
  take(byteLength: number, nowMs: number): number {
    if (this.#bytesPerMs === Number.POSITIVE_INFINITY) return 0
    const startMs = Math.max(this.#freeAtMs, nowMs - BURST_MS)
    this.#freeAtMs = startMs + byteLength / this.#bytesPerMs
    return Math.max(0, startMs - nowMs)
  }
}
