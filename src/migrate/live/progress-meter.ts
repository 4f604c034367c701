/**
 * Figures of a migration under way, and the report at its end.
 *
 * @module
 */

import type { Situation } from '../convergence-policy.ts'
import type {
  IterationReport,
  MigrateEvent,
  MigratePhase,
  MigrateProgress,
  MigrateReport,
} from './migrate-report.ts'
import type { MigrateSettings } from './migrate-options.ts'

/** Time between two progress calls of one phase. */
const PROGRESS_MS = 50

type Phases = { -readonly [P in keyof MigrateReport['phases']]: number }

/** Counts time by phase and tells those who watch. */
export class ProgressMeter {
  readonly phases: Phases = {
    setupMs: 0,
    precopyMs: 0,
    stopMs: 0,
    drainMs: 0,
    loadMs: 0,
    commitMs: 0,
    cleanupMs: 0,
  }
  readonly iterations: IterationReport[] = []
  throttlePercent = 0
  mostThrottlePercent = 0
  bytes = 0
  readonly #settings: MigrateSettings
  readonly #startMs: number = performance.now()
  #phase: MigratePhase = 'setup'
  #phaseMs: number = performance.now()
  #toldMs = 0
  #situation: Situation | undefined
  #dirtyBytesPerSecond: number | undefined
  #expectedDowntimeMs: number | undefined

  constructor(settings: MigrateSettings) {
    this.#settings = settings
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs
  }

  get phase(): MigratePhase {
    return this.#phase
  }

  /** The next phase begins; its predecessor's time stops here. */
  enter(phase: MigratePhase): void {
    this.#stopClock()
    this.#phase = phase
    this.event({ type: 'phase', phase, elapsedMs: this.elapsedMs })
    this.tell(true)
  }

  /** All is over: the last phase's time stops. */
  finish(): void {
    this.#stopClock()
    this.#phase = 'done'
  }

  /** Bytes were taken by a connection. An arrow, to be passed on. */
  readonly written = (byteLength: number): void => {
    this.bytes += byteLength
    this.tell(false)
  }

  iteration(report: IterationReport): void {
    this.iterations.push(report)
    this.event({ type: 'iteration', ...report })
  }

  throttle(percent: number): void {
    this.throttlePercent = percent
    this.mostThrottlePercent = Math.max(percent, this.mostThrottlePercent)
    this.event({ type: 'throttle', percent, elapsedMs: this.elapsedMs })
  }

  /** A fresh look at the devices' counters. */
  look(situation: Situation, dirtyBytesPerSecond: number, expectedDowntimeMs: number): void {
    this.#situation = situation
    this.#dirtyBytesPerSecond = dirtyBytesPerSecond
    this.#expectedDowntimeMs = expectedDowntimeMs
    this.tell(false)
  }

  event(event: MigrateEvent): void {
    this.#watched(() => this.#settings.onEvent?.(event))
  }

  tell(always: boolean): void {
    const { onProgress } = this.#settings
    const { elapsedMs } = this
    if (onProgress === undefined || (!always && elapsedMs - this.#toldMs < PROGRESS_MS)) return
    this.#toldMs = elapsedMs
    this.#watched(() => onProgress(this.#progress(elapsedMs)))
  }

  /** A watcher that throws ends the migration, as long as it can be ended: until COMMIT. */
  #watched(call: () => void): void {
    try {
      call()
    } catch (error) {
      if (this.#phase !== 'commit' && this.#phase !== 'done') throw error
    }
  }

  #progress(elapsedMs: number): MigrateProgress {
    const { remainingBytes, bytesPerSecond, iteration = 1 } = this.#situation ?? {}
    const dirty = this.#dirtyBytesPerSecond
    return {
      phase: this.#phase,
      elapsedMs,
      bytes: this.bytes,
      iteration,
      throttlePercent: this.throttlePercent,
      ...(finite(remainingBytes) ? { remainingBytes } : {}),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
      ...(dirty === undefined ? {} : { dirtyBytesPerSecond: dirty }),
      ...(finite(this.#expectedDowntimeMs) ? { expectedDowntimeMs: this.#expectedDowntimeMs } : {}),
      ...this.#eta(remainingBytes, bytesPerSecond, dirty),
    }
  }

  /** What is left above the gate, at the rate at which it comes down. */
  #eta(remaining = Infinity, rate = 0, dirty = 0): { etaMs?: number } {
    const { downtimeLimitMs } = this.#settings
    const above = Math.max(0, remaining - (rate * downtimeLimitMs) / 1000)
    if (this.#phase !== 'precopy' || !finite(above) || rate <= dirty) return {}
    return { etaMs: (above * 1000) / (rate - dirty) }
  }

  #stopClock(): void {
    const nowMs = performance.now()
    const name = this.#phase === 'done' ? 'cleanupMs' : (`${this.#phase}Ms` as const)
    this.phases[name] += nowMs - this.#phaseMs
    this.#phaseMs = nowMs
  }
}

function finite(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value)
}
