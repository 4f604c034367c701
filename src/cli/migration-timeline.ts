/**
 * What happened in a live migration and when, for a plot: collected from its events and progress.
 *
 * @module
 */

import type { MigrateEvent, MigrateProgress, MigrateReport } from '../migrate/index.ts'

/** A moment; milliseconds since the migration began, and bytes. */
export interface TimelinePoint {
  readonly ms: number
  readonly remainingBytes: number
  /** Written by the device since the pass began, and unread. */
  readonly dirtyBytes: number
}

/** Rates at a moment, in bytes per second. */
export interface TimelineRates {
  readonly ms: number
  readonly bytesPerSecond?: number
  readonly dirtyBytesPerSecond?: number
}

/** Listens to a migration; give it to `migrate` as `onEvent` and `onProgress`. */
export class MigrationTimeline {
  readonly points: TimelinePoint[] = []
  readonly rates: TimelineRates[] = []
  /** When each pass ended. */
  readonly passEndsMs: number[] = []
  /** When each phase began. */
  readonly phasesMs: Partial<Record<MigrateProgress['phase'], number>> = {}
  report: MigrateReport | undefined
  #startMs: number | undefined
  /** Sent and unread when the pass began; what there is more of now was written since. */
  #passBytes: number | undefined
  #bytes = 0

  /** An arrow, to be passed on. */
  readonly onProgress = (progress: MigrateProgress): void => {
    const ms = this.#nowMs
    const { phase, bytes, remainingBytes, bytesPerSecond, dirtyBytesPerSecond } = progress
    this.#bytes = bytes
    // What is left of it after the stop is told by the switchover; the counters stand still then.
    if (phase !== 'precopy') return
    if (remainingBytes !== undefined) this.#add(ms, remainingBytes)
    this.rates.push({
      ms,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(dirtyBytesPerSecond === undefined ? {} : { dirtyBytesPerSecond }),
    })
  }

  /** An arrow, to be passed on. */
  readonly onEvent = (event: MigrateEvent): void => {
    const ms = this.#nowMs
    switch (event.type) {
      case 'phase':
        this.phasesMs[event.phase] = ms
        if (event.phase === 'load' && this.points.length > 0)
          this.points.push({ ms, remainingBytes: 0, dirtyBytes: 0 })
        return
      case 'iteration':
        this.points.push({ ms, remainingBytes: event.remainingBytes, dirtyBytes: event.remainingBytes })
        // A new pass: nothing is dirty yet that was not unread at its start.
        this.points.push({ ms, remainingBytes: event.remainingBytes, dirtyBytes: 0 })
        this.passEndsMs.push(ms)
        this.#passBytes = this.#bytes + event.remainingBytes
        return
      case 'switchover':
        this.#add(ms, event.remainingBytes)
        return
      default:
    }
  }

  #add(ms: number, remainingBytes: number): void {
    this.#passBytes ??= this.#bytes + remainingBytes
    const dirtyBytes = Math.max(0, this.#bytes + remainingBytes - this.#passBytes)
    this.points.push({ ms, remainingBytes, dirtyBytes: Math.min(dirtyBytes, remainingBytes) })
  }

  get #nowMs(): number {
    const nowMs = performance.now()
    this.#startMs ??= nowMs
    return nowMs - this.#startMs
  }
}
