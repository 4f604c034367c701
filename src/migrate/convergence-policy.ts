/**
 * When to stop the source of a live migration.
 *
 * The gate is the expected downtime: remaining bytes over the measured bandwidth, plus the fixed cost of a
 * switchover, within the limit, with every initial chunk loaded at the destination. Inside the gate pre-copy
 * goes on only while that clearly pays, and a chance that was let go once is taken when it comes back.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Options of {@link ConvergencePolicy}. */
export interface ConvergenceOptions {
  /** Longest expected downtime to switch over with; 300 ms. */
  readonly downtimeLimitMs?: number | undefined
  /** Passes over memory, the first included, before pre-copy is given up as not converging; 30. */
  readonly maxIterations?: number | undefined
  /** Time before pre-copy is given up as not converging; none. */
  readonly precopyTimeoutMs?: number | undefined
  /** What to do then: switch over whatever the downtime, or abort; 'switch'. */
  readonly onNonConverging?: 'switch' | 'abort' | undefined
  /** Throttle the device while it dirties too fast; false. */
  readonly autoConverge?: boolean | undefined
}

/** A moment of pre-copy. */
export interface Situation {
  /** Since pre-copy began. */
  readonly elapsedMs: number
  /** 1 is the first pass over everything; one more for each pass over what was dirtied. */
  readonly iteration: number
  /** This is the end of an iteration. */
  readonly iterationEnded: boolean
  /** Every session said ENOMSG: nothing is unread but what stopping adds. */
  readonly idle: boolean
  /** Of all devices; Infinity when not known. */
  readonly remainingBytes: number
  readonly bytesPerSecond: number | undefined
  /** Measured fixed cost of a switchover. */
  readonly fixedMs: number
  /** All initial bytes, of every epoch, are delivered and acknowledged by the destination. */
  readonly initialLoaded: boolean
}

/** What to do next. */
export type Decision =
  | { readonly action: 'continue' }
  | { readonly action: 'throttle'; readonly percent: number }
  | { readonly action: 'switch'; readonly reason: 'converged' | 'max-iterations' | 'timeout' }
  | { readonly action: 'abort'; readonly reason: 'max-iterations' | 'timeout' }

/** An iteration that leaves more than this of what the one before left does not pay. */
const SHRINK = 0.75

/** Sending what is left in this part of the fixed cost, or this time, is small. */
const SMALL_OF_FIXED = 0.25
const SMALL_MS = 0.5

/** Time without shrinking, in times of what it would take to send everything that is left. */
const PATIENCE = 2
const PATIENCE_MS = 10

/** An initial chunk that is not loaded holds the switchover up, but not beyond this many times a limit. */
const GRACE = 2

/** Up to this, what is left is one message more, which the fixed cost covers where no bandwidth is known. */
const ONE_MESSAGE_BYTES = 65_536

const FIRST_THROTTLE = 20
const THROTTLE_STEP = 10
const MOST_THROTTLE = 99

const CONTINUE: Decision = { action: 'continue' }
const CONVERGED: Decision = { action: 'switch', reason: 'converged' }

/** The policy of one migration. It keeps no clock: times are told to it. */
export class ConvergencePolicy {
  readonly #limitMs: number
  readonly #maxIterations: number
  readonly #timeoutMs: number
  readonly #aborts: boolean
  readonly #autoConverge: boolean
  /** What was left at the last end of an iteration, at first what there was. */
  #leftBefore: number | undefined
  #shrinks = true
  #gateWasMet = false
  #gateWasLost = false
  /** Least left inside the gate. */
  #least = Infinity
  /** When what was left last came down by a quarter, inside the gate. */
  #progress: { readonly atMs: number; readonly bytes: number; readonly sendMs: number } | undefined
  #throttlePercent = 0
  #throttledIteration = 0
  /** Iterations that ended idle, waiting for the destination: no failure to converge. */
  #waits = 0
  #waitedIteration = 0

  /** @throws {@link VfioError} EINVAL an option that is no such value */
  constructor(options: ConvergenceOptions = {}) {
    const { downtimeLimitMs = 300, maxIterations = 30, precopyTimeoutMs } = options
    const { onNonConverging = 'switch', autoConverge = false } = options
    checkPositive('downtimeLimitMs', downtimeLimitMs)
    if (precopyTimeoutMs !== undefined) checkPositive('precopyTimeoutMs', precopyTimeoutMs)
    if (!Number.isSafeInteger(maxIterations) || maxIterations < 1) {
      throw invalid('maxIterations', maxIterations, 'pass a whole number from 1 on')
    }
    if (onNonConverging !== 'switch' && onNonConverging !== 'abort') {
      throw invalid('onNonConverging', onNonConverging, "pass 'switch' or 'abort'")
    }
    if (typeof autoConverge !== 'boolean') throw invalid('autoConverge', autoConverge, 'pass true or false')
    this.#limitMs = downtimeLimitMs
    this.#maxIterations = maxIterations
    this.#timeoutMs = precopyTimeoutMs ?? Infinity
    this.#aborts = onNonConverging === 'abort'
    this.#autoConverge = autoConverge
  }

  /** What the device was last told to give up of its speed. */
  get throttlePercent(): number {
    return this.#throttlePercent
  }

  /** Infinity when what is left or the bandwidth is not known. */
  expectedDowntimeMs(situation: Situation): number {
    return sendMs(situation) + situation.fixedMs
  }

  /**
   * Called often, and at every end of an iteration. While idle sessions wait for the destination to
   * acknowledge their initial chunk, iterations do not count: only `precopyTimeoutMs` ends that here.
   */
  decide(situation: Situation): Decision {
    this.#observeIteration(situation)
    const isInside = situation.initialLoaded && this.expectedDowntimeMs(situation) <= this.#limitMs
    if (isInside) {
      const pays = this.#pays(situation)
      this.#gateWasMet = true
      const limit = this.#limitReached(situation, 1)
      return pays && limit === undefined ? CONTINUE : CONVERGED
    }
    this.#gateWasLost = this.#gateWasMet
    this.#least = Infinity
    this.#progress = undefined
    return this.#outside(situation)
  }

  #outside(situation: Situation): Decision {
    const reason = this.#limitReached(situation, 1)
    if (reason === undefined) return this.#throttle(situation)
    if (this.#aborts) return { action: 'abort', reason }
    if (situation.initialLoaded) return { action: 'switch', reason }
    // The rest of the chunk may be on its way; a device that never finishes one must not hold us for ever.
    return this.#limitReached(situation, GRACE) === undefined ? CONTINUE : { action: 'abort', reason }
  }

  /** Whether going on inside the gate promises a clearly shorter downtime. */
  #pays(situation: Situation): boolean {
    const { idle, remainingBytes, fixedMs, elapsedMs } = situation
    const ms = sendMs(situation)
    if (idle || this.#gateWasLost || !this.#shrinks) return false
    if (ms <= Math.max(fixedMs * SMALL_OF_FIXED, SMALL_MS)) return false
    this.#least = Math.min(this.#least, remainingBytes)
    // Counters that are asked for now and then rise a little each time; a quarter is a trend.
    if (remainingBytes * SHRINK > this.#least) return false
    if (this.#progress === undefined || remainingBytes <= this.#progress.bytes * SHRINK) {
      this.#progress = { atMs: elapsedMs, bytes: remainingBytes, sendMs: ms }
    }
    return elapsedMs - this.#progress.atMs <= this.#progress.sendMs * PATIENCE + PATIENCE_MS
  }

  #observeIteration({ iterationEnded, remainingBytes, iteration, idle, initialLoaded }: Situation): void {
    if (iterationEnded && idle && !initialLoaded && iteration > this.#waitedIteration) {
      this.#waitedIteration = iteration
      this.#waits++
    }
    if (iterationEnded && this.#leftBefore !== undefined) {
      this.#shrinks = remainingBytes <= this.#leftBefore * SHRINK
    }
    if (iterationEnded || this.#leftBefore === undefined) this.#leftBefore = remainingBytes
  }

  #limitReached(situation: Situation, times: number): 'max-iterations' | 'timeout' | undefined {
    const { elapsedMs, iteration, iterationEnded } = situation
    if (elapsedMs >= this.#timeoutMs * times) return 'timeout'
    const done = (iterationEnded ? iteration : iteration - 1) - this.#waits
    return done >= this.#maxIterations * times ? 'max-iterations' : undefined
  }

  #throttle({ iteration, iterationEnded }: Situation): Decision {
    const isDue = iterationEnded && !this.#shrinks && iteration > this.#throttledIteration
    if (!this.#autoConverge || !isDue || this.#throttlePercent === MOST_THROTTLE) return CONTINUE
    const next = this.#throttlePercent === 0 ? FIRST_THROTTLE : this.#throttlePercent + THROTTLE_STEP
    this.#throttlePercent = Math.min(next, MOST_THROTTLE)
    this.#throttledIteration = iteration
    return { action: 'throttle', percent: this.#throttlePercent }
  }
}

/** Time to send what is left. */
function sendMs({ remainingBytes, bytesPerSecond }: Situation): number {
  if (remainingBytes === 0) return 0
  if (bytesPerSecond === undefined || !(bytesPerSecond > 0)) {
    return remainingBytes <= ONE_MESSAGE_BYTES ? 0 : Infinity
  }
  return (remainingBytes * 1000) / bytesPerSecond
}

function checkPositive(name: string, value: number): void {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return
  throw invalid(name, value, 'pass a number of milliseconds above 0')
}

function invalid(name: string, value: unknown, remedy: string): VfioError {
  return new VfioError('EINVAL', `Cannot migrate: ${name} is ${String(value)}, ${remedy}`)
}
