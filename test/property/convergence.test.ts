/** The policy against simulated devices, honest ones and liars. @module */

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ConvergencePolicy } from '../../src/migrate/convergence-policy.ts'
import {
  SimulatedDevice,
  type SimulatedOptions,
  simulate,
  type SimulationResult,
  type TrueCounters,
} from '../support/simulated-migration.ts'
import type { DeviceCounters } from '../../src/migrate/remaining-bytes.ts'

const PAGE = 4096
const LIMIT_MS = 50

/** Bytes per millisecond: 100 MB/s, 25 pages in a millisecond. */
const LINK = 100_000

const device = fc.record({
  pages: fc.integer({ min: 1, max: 3000 }),
  hotShare: fc.double({ min: 0.01, max: 1, noNaN: true }),
  /** Pages in a millisecond. */
  rate: fc.double({ min: 0, max: 15, noNaN: true }),
  stopOnlyBytes: fc.integer({ min: 0, max: 500_000 }),
  seed: fc.nat(),
})

type Claim = (truth: TrueCounters) => DeviceCounters

function make(
  { pages, hotShare, rate, ...rest }: typeof device extends fc.Arbitrary<infer T> ? T : never,
  options: Partial<SimulatedOptions> = {},
): SimulatedDevice {
  const hotPages = Math.ceil(pages * hotShare)
  return new SimulatedDevice({ pages, hotPages, rate: () => rate, ...rest, ...options })
}

/** What must hold however the devices lie. */
function expectSound(result: SimulationResult, limitMs = LIMIT_MS): void {
  const { decision, situation, predictedMs } = result
  expect(situation.elapsedMs).toBeGreaterThan(0)
  if (decision.action !== 'switch') return
  expect(situation.initialLoaded).toBe(true)
  if (decision.reason === 'converged') expect(predictedMs).toBeLessThanOrEqual(limitMs)
}

/** The same part of the truth everywhere. */
function scaled(by: number): Claim {
  return ({ stopCopyBytes, initialBytes, dirtyBytes }) => ({
    stopCopyBytes: stopCopyBytes * by,
    initialBytes: initialBytes * by,
    dirtyBytes: dirtyBytes * by,
  })
}

const NEXT_TO_NOTHING: Claim = () => ({ stopCopyBytes: 0, initialBytes: 1, dirtyBytes: 0 })
const NOTHING: Claim = () => ({})
const HUGE_STOP: Claim = (truth) => ({ ...truth, stopCopyBytes: 2 ** 50 })
const CONSTANT_STOP: Claim = (truth) => ({ ...truth, stopCopyBytes: 3000 * PAGE })

describe('honest devices', () => {
  test('converge below the link, inside the gate, as predicted', () => {
    fc.assert(
      fc.property(fc.array(device, { minLength: 1, maxLength: 3 }), (shapes) => {
        const devices = shapes.map((shape) => make({ ...shape, rate: shape.rate / shapes.length }))
        const result = simulate(devices, { bytesPerMs: LINK, downtimeLimitMs: LIMIT_MS })
        expectSound(result)
        expect(result.decision).toEqual({ action: 'switch', reason: 'converged' })
        expect(result.initialRead).toBe(true)
        const { predictedMs, downtimeMs } = result
        expect(Math.abs(predictedMs - downtimeMs)).toBeLessThanOrEqual(Math.max(predictedMs, 5))
        expect(downtimeMs).toBeLessThanOrEqual(LIMIT_MS * 1.25)
      }),
      { numRuns: 200 },
    )
  })

  test('have a downtime near what their dirtying allows, not just within the limit', () => {
    const quiet = new SimulatedDevice({ pages: 3000, hotPages: 3000, rate: () => 2 })
    const { downtimeMs } = simulate([quiet], { bytesPerMs: LINK, downtimeLimitMs: 300 })
    expect(downtimeMs).toBeLessThan(5)
  })

  test('that stop at a constant length have that length in their downtime, and not twice', () => {
    const shape = { pages: 3000, hotPages: 10, rate: () => 1, claim: CONSTANT_STOP }
    const result = simulate([new SimulatedDevice(shape)], { bytesPerMs: LINK, downtimeLimitMs: 200 })
    expect(result.decision).toEqual({ action: 'switch', reason: 'converged' })
    expect(result.seen.every(({ remainingBytes }) => remainingBytes <= 3000 * PAGE)).toBe(true)
    expect(result.predictedMs).toBeGreaterThan(100)
  })

  test('that burst are switched over inside the gate, between bursts', () => {
    fc.assert(
      fc.property(device, fc.integer({ min: 20, max: 400 }), (shape, periodMs) => {
        const bursts = (ms: number): number => (ms % periodMs < periodMs / 2 ? 60 : 0)
        const result = simulate([make(shape, { rate: bursts })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
          precopyTimeoutMs: 20_000,
        })
        expectSound(result)
      }),
    )
  })

  test('that dirty more than the link carries end at a limit, and only there', () => {
    const shape = { pages: 3000, hotPages: 3000, rate: () => 2000 }
    const limits = { bytesPerMs: LINK, downtimeLimitMs: LIMIT_MS, maxIterations: 5 }
    const switched = simulate([new SimulatedDevice(shape)], limits)
    expect(switched.decision).toEqual({ action: 'switch', reason: 'max-iterations' })
    expect(switched.predictedMs).toBeGreaterThan(LIMIT_MS)
    const aborted = simulate([new SimulatedDevice(shape)], { ...limits, onNonConverging: 'abort' })
    expect(aborted.decision).toEqual({ action: 'abort', reason: 'max-iterations' })
    expect(aborted.situation.iteration).toBe(5)
    const timed = simulate([new SimulatedDevice(shape)], {
      ...limits,
      maxIterations: 1000,
      precopyTimeoutMs: 900,
    })
    expect(timed.decision).toEqual({ action: 'switch', reason: 'timeout' })
  })

  test('that dirty more than the link carries converge when they are throttled', () => {
    const shape = { pages: 3000, hotPages: 3000, rate: () => 100 }
    const options = { bytesPerMs: LINK, downtimeLimitMs: LIMIT_MS, autoConverge: true }
    const result = simulate([new SimulatedDevice(shape)], options)
    expect(result.decision).toEqual({ action: 'switch', reason: 'converged' })
    expect(result.throttles.length).toBeGreaterThan(1)
    expect(result.throttles).toEqual([20, 30, 40, 50, 60, 70, 80, 90, 99].slice(0, result.throttles.length))
  })
})

describe('lying devices', () => {
  const factor = fc.double({ min: 0, max: 0.9, noNaN: true })
  test('that claim too little end, and never with more than one honest look at the counters allows', () => {
    fc.assert(
      fc.property(device, factor, (shape, by) => {
        const result = simulate([make(shape, { claim: scaled(by) })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
        })
        expectSound(result)
      }),
    )
  })

  test('that claim next to nothing are found out before they are stopped with everything unread', () => {
    // Read by 4 MiB: more than growth can explain.
    const liar = new SimulatedDevice({ pages: 30_000, hotPages: 100, rate: () => 1, claim: NEXT_TO_NOTHING })
    for (let query = 0; query < 4; query++) {
      liar.query()
      liar.read(4 * 1024 * PAGE)
    }
    expect(liar.remaining.distrust).toBe('too low')
    expect(liar.remaining.bytes).toBe(Infinity)
    const result = simulate([liar], { bytesPerMs: LINK, downtimeLimitMs: LIMIT_MS })
    expect(result.decision).toEqual({ action: 'switch', reason: 'converged' })
    expect(result.initialRead).toBe(true)
    expect(result.downtimeMs).toBeLessThan(LIMIT_MS)
  })

  test('that claim too much in PRE_COPY converge all the same', () => {
    fc.assert(
      fc.property(device, fc.integer({ min: 1, max: 2 ** 40 }), (shape, extra) => {
        const claim: Claim = ({ initialBytes, dirtyBytes }) => ({
          initialBytes: initialBytes + extra,
          dirtyBytes: dirtyBytes + extra,
        })
        const result = simulate([make({ ...shape, stopOnlyBytes: 0 }, { claim })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
        })
        expectSound(result)
        expect(result.decision).toEqual({ action: 'switch', reason: 'converged' })
        expect(result.initialRead).toBe(true)
      }),
    )
  })

  test('that claim a huge stop-copy length end at a limit', () => {
    fc.assert(
      fc.property(device, (shape) => {
        const result = simulate([make(shape, { claim: HUGE_STOP })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
          maxIterations: 5,
        })
        expectSound(result)
        expect(result.decision).toEqual({ action: 'switch', reason: 'max-iterations' })
      }),
    )
  })

  test('that claim anything at all end, with a decision that holds', () => {
    const wild = fc.oneof(fc.nat(), fc.constantFrom(0, -1, Number.NaN, Infinity, 2 ** 53, 1e300))
    const claims = fc.array(
      fc.record({ stopCopyBytes: wild, initialBytes: wild, dirtyBytes: wild, reinit: fc.boolean() }),
      { minLength: 1, maxLength: 20 },
    )
    fc.assert(
      fc.property(device, claims, (shape, said) => {
        let turn = 0
        const claim: Claim = () => said[turn++ % said.length]!
        const result = simulate([make(shape, { claim })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
          maxIterations: 10,
          precopyTimeoutMs: 5000,
        })
        expectSound(result)
      }),
    )
  })

  test('without any counters are measured by what is read', () => {
    fc.assert(
      fc.property(device, (shape) => {
        const result = simulate([make(shape, { claim: NOTHING })], {
          bytesPerMs: LINK,
          downtimeLimitMs: LIMIT_MS,
        })
        expectSound(result)
        expect(result.initialRead).toBe(true)
      }),
    )
  })
})

test('a rising remaining inside the limit is always taken before it leaves, when it rises by steps', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e5, max: 1e7, noNaN: true }),
      fc.double({ min: 1.001, max: 1.2, noNaN: true }),
      (start, by) => {
        const policy = new ConvergencePolicy({ downtimeLimitMs: 100 })
        let remainingBytes = start
        for (let elapsedMs = 0; ; elapsedMs++) {
          const situation = {
            elapsedMs,
            iteration: 1,
            iterationEnded: false,
            idle: false,
            remainingBytes,
            bytesPerSecond: 1e9,
            fixedMs: 0,
            initialLoaded: true,
          }
          expect(policy.expectedDowntimeMs(situation)).toBeLessThanOrEqual(100)
          if (policy.decide(situation).action === 'switch') return
          remainingBytes *= by
        }
      },
    ),
  )
})
