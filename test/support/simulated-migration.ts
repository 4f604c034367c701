/**
 * A live migration without devices: discrete events over one link, so that a policy can be tried against
 * thousands of devices, liars among them, in no time at all.
 *
 * @module
 */

import { BandwidthMeter } from '../../src/migrate/bandwidth-meter.ts'
import {
  type ConvergenceOptions,
  ConvergencePolicy,
  type Decision,
  type Situation,
} from '../../src/migrate/convergence-policy.ts'
import { type DeviceCounters, RemainingBytes } from '../../src/migrate/remaining-bytes.ts'

const PAGE = 4096
const CHUNK = 65 * PAGE

/** What a device really has unread. */
export interface TrueCounters {
  readonly stopCopyBytes: number
  readonly initialBytes: number
  readonly dirtyBytes: number
}

export interface SimulatedOptions {
  readonly pages: number
  /** Pages it writes to. */
  readonly hotPages: number
  /** Pages dirtied in a millisecond, at a time. */
  readonly rate: (ms: number) => number
  /** Bytes that only STOP_COPY gives. */
  readonly stopOnlyBytes?: number
  /** What it says; by default the truth. */
  readonly claim?: (truth: TrueCounters) => DeviceCounters
  readonly seed?: number
}

/** Memory that is dirtied while it is read; the initial chunk is all of it. */
export class SimulatedDevice {
  readonly remaining = new RemainingBytes()
  readonly #options: SimulatedOptions
  readonly #dirty = new Set<number>()
  #sent = 0
  #due = 0
  #random: number
  /** 1: full speed. */
  speed = 1

  constructor(options: SimulatedOptions) {
    this.#options = options
    this.#random = (options.seed ?? 1) * 2654435761 + 1
  }

  get truth(): TrueCounters {
    const initialBytes = (this.#options.pages - this.#sent) * PAGE
    const dirtyBytes = this.#dirty.size * PAGE
    const stopOnly = this.#options.stopOnlyBytes ?? 0
    return { initialBytes, dirtyBytes, stopCopyBytes: stopOnly + initialBytes + dirtyBytes }
  }

  query(): void {
    this.remaining.counters((this.#options.claim ?? ((truth) => truth))(this.truth))
  }

  /** Works until `toMs`. */
  run(fromMs: number, toMs: number): void {
    this.#due += this.#options.rate(fromMs) * this.speed * (toMs - fromMs)
    for (; this.#due >= 1; this.#due--) {
      this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0
      const page = Math.floor((this.#random / 2 ** 32) * this.#options.hotPages)
      if (page < this.#sent) this.#dirty.add(page)
    }
  }

  /** 0 is ENOMSG. */
  read(maxBytes: number): number {
    const most = Math.floor(maxBytes / PAGE)
    const first = Math.min(most, this.#options.pages - this.#sent)
    this.#sent += first
    let count = first
    for (const page of this.#dirty) {
      if (count === most) break
      this.#dirty.delete(page)
      count++
    }
    this.remaining.read(count * PAGE)
    if (count === 0) this.remaining.idle()
    return count * PAGE
  }
}

export interface SimulationOptions extends ConvergenceOptions {
  readonly bytesPerMs: number
  readonly fixedMs?: number
  /** From the last initial byte to the destination's word. */
  readonly ackMs?: number
  /** Steps without a decision before the run counts as endless. */
  readonly maxSteps?: number
}

export interface SimulationResult {
  readonly decision: Decision
  readonly situation: Situation
  readonly predictedMs: number
  readonly downtimeMs: number
  readonly throttles: readonly number[]
  /** Whether every initial byte was really read. */
  readonly initialRead: boolean
  /** All situations, in order. */
  readonly seen: readonly Situation[]
}

/** Runs a migration of `devices` to its decision. */
export function simulate(devices: readonly SimulatedDevice[], options: SimulationOptions): SimulationResult {
  const { bytesPerMs, fixedMs = 2, ackMs = 1, maxSteps = 200_000 } = options
  const policy = new ConvergencePolicy(options)
  const meter = new BandwidthMeter()
  const throttles: number[] = []
  const seen: Situation[] = []
  let now = 0
  let iteration = 1
  let loadedAt = Infinity
  const total = (): number => devices.reduce((sum, { remaining }) => sum + remaining.bytes, 0)
  const advance = (ms: number): void => {
    for (const device of devices) device.run(now, now + ms)
    now += ms
  }
  for (const device of devices) device.query()
  let passLeft = total()
  for (let step = 0; step < maxSteps; step++) {
    let moved = 0
    for (const device of devices) {
      const byteLength = device.read(CHUNK)
      moved += byteLength
      if (byteLength === 0) continue
      advance(byteLength / bytesPerMs)
      meter.record(byteLength, byteLength / bytesPerMs)
    }
    const idle = moved === 0
    if (idle) advance(0.1)
    else for (const device of devices) device.query()
    passLeft -= moved
    const firstDone = iteration > 1 || devices.every(({ remaining }) => remaining.firstPassDone)
    const iterationEnded = idle || (firstDone && passLeft <= 0)
    if (devices.some(({ remaining }) => remaining.initialBytes > 0)) loadedAt = Infinity
    else if (loadedAt === Infinity) loadedAt = now + ackMs
    const situation: Situation = {
      elapsedMs: now,
      iteration,
      iterationEnded,
      idle,
      remainingBytes: total(),
      bytesPerSecond: meter.bytesPerSecond,
      fixedMs,
      initialLoaded: now >= loadedAt,
    }
    seen.push(situation)
    const decision = policy.decide(situation)
    if (decision.action === 'throttle') {
      throttles.push(decision.percent)
      for (const device of devices) device.speed = 1 - decision.percent / 100
    } else if (decision.action !== 'continue') {
      const left = devices.reduce((sum, { truth }) => {
        return sum + Math.max(truth.stopCopyBytes, truth.initialBytes + truth.dirtyBytes)
      }, 0)
      return {
        decision,
        situation,
        predictedMs: policy.expectedDowntimeMs(situation),
        downtimeMs: left / bytesPerMs + fixedMs,
        throttles,
        initialRead: devices.every(({ truth }) => truth.initialBytes === 0),
        seen,
      }
    }
    if (iterationEnded) {
      iteration++
      if (idle) for (const device of devices) device.query()
      passLeft = total()
    }
  }
  throw new Error(`no decision after ${maxSteps} steps and ${now} ms`)
}
