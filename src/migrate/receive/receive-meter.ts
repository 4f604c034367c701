/**
 * Figures of a migration that comes in: time by phase, progress, and the report at its end.
 *
 * @module
 */

import type { HandoverTicket } from '../handover/ticket.ts'
import { Stopwatch, throughput } from '../report.ts'
import type { DataIntake } from './data-intake.ts'
import type { ReceivePhase, ReceiveProgress, ReceiveReport } from './receive-report.ts'

/** Time between two progress calls of one phase. */
const PROGRESS_MS = 50

/** Counts time by phase and tells those who watch. */
export class ReceiveMeter {
  readonly phases: { -readonly [P in keyof ReceiveReport['phases']]: number } = {
    prepareMs: 0,
    transferMs: 0,
    loadMs: 0,
    waitMs: 0,
    startMs: 0,
  }
  readonly #id: string
  readonly #intake: DataIntake
  readonly #onProgress: ((progress: ReceiveProgress) => void) | undefined
  readonly #watch: Stopwatch = new Stopwatch()
  #toldMs = 0

  constructor(id: string, intake: DataIntake, onProgress?: (progress: ReceiveProgress) => void) {
    this.#id = id
    this.#intake = intake
    this.#onProgress = onProgress
  }

  /** What passed since the last lap belongs to this phase. */
  lap(phase: 'prepare' | 'transfer' | 'load' | 'wait' | 'start'): void {
    this.phases[`${phase}Ms`] += this.#watch.lap()
  }

  /** @throws what the callback throws */
  tell(phase: ReceivePhase, always: boolean): void {
    const { elapsedMs } = this.#watch
    if (this.#onProgress === undefined || (!always && elapsedMs - this.#toldMs < PROGRESS_MS)) return
    this.#toldMs = elapsedMs
    this.#onProgress({ id: this.#id, phase, bytes: this.#intake.bytes, elapsedMs })
  }

  report(owner: ReceiveReport['owner'], ticket?: HandoverTicket): ReceiveReport {
    const { streams, bytes } = this.#intake
    return {
      id: this.#id,
      bytes,
      elapsedMs: this.#watch.elapsedMs,
      bytesPerSecond: throughput(bytes, this.phases.transferMs),
      owner,
      ...(ticket === undefined ? {} : { ticket }),
      devices: streams,
      phases: { ...this.phases },
    }
  }
}
