/**
 * Time by phase of a migration that comes in, and who is told of it.
 *
 * @module
 */

import type { HandoverTicket } from '../handover/ticket.ts'
import { Stopwatch, throughput } from '../report.ts'
import type { DataIntake } from './data-intake.ts'
import type { ReceivePhase, ReceiveProgress, ReceiveReport } from './receive-report.ts'

/** Time between two progress calls of one phase. */
const PROGRESS_MS = 50

/** Counts for one migration. */
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

  constructor(id: string, intake: DataIntake, onProgress: ((progress: ReceiveProgress) => void) | undefined) {
    this.#id = id
    this.#intake = intake
    this.#onProgress = onProgress
  }

  /** The time since the last lap goes to `phase`. */
  lap(phase: keyof ReceiveReport['phases']): void {
    this.phases[phase] += this.#watch.lap()
  }

  /** @param always - whether it is told though it was a moment ago */
  progress(phase: ReceivePhase, always: boolean): void {
    const elapsedMs = this.#watch.elapsedMs
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
