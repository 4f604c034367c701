/**
 * How many records are due: time turned into a count, without loss and without repeat.
 *
 * @module
 */

/** A period, in the first part of which all of its records are due; ms. */
export interface Rhythm {
  readonly burstMs: number
  readonly burstPeriodMs: number
}

/** The pace of one workload. */
export class Pace {
  #carry = 0
  #phaseMs = 0

  /** Begins anew, this far into a period. */
  start(phaseMs: number): void {
    this.#carry = 0
    this.#phaseMs = phaseMs
  }

  /** How far into its period the workload is, ms. */
  get phaseMs(): number {
    return this.#phaseMs
  }

  /** Records due after `elapsedMs` more, at a rate per second on average. */
  due(elapsedMs: number, rate: number, rhythm?: Rhythm): number {
    const activeMs = rhythm === undefined ? elapsedMs : this.#burstMs(elapsedMs, rhythm)
    const due = this.#carry + (activeMs * rate) / 1000
    const count = Math.floor(due)
    this.#carry = due - count
    return count
  }

  /** Time within bursts, weighted so that a whole period counts as its length. */
  #burstMs(elapsedMs: number, { burstMs, burstPeriodMs }: Rhythm): number {
    const active = (ms: number): number =>
      Math.floor(ms / burstPeriodMs) * burstMs + Math.min(ms % burstPeriodMs, burstMs)
    const from = this.#phaseMs % burstPeriodMs
    this.#phaseMs = (from + elapsedMs) % burstPeriodMs
    return ((active(from + elapsedMs) - active(from)) * burstPeriodMs) / burstMs
  }
}
