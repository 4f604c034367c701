/** When a migration switches over. @module */

import { describe, expect, test } from 'vitest'

import { ConvergencePolicy, type Decision, type Situation } from '../../../src/migrate/convergence-policy.ts'
import { outcome } from '../../support/vfio-error.ts'

/** 1 MB left at 1 GB/s: 1 ms, and 2 fixed. */
const INSIDE: Situation = {
  elapsedMs: 100,
  iteration: 2,
  iterationEnded: false,
  idle: false,
  remainingBytes: 1_000_000,
  bytesPerSecond: 1e9,
  fixedMs: 2,
  initialLoaded: true,
}
const OUTSIDE: Situation = { ...INSIDE, remainingBytes: 1e9 }

function actions(policy: ConvergencePolicy, situations: readonly Situation[]): string[] {
  return situations.map((situation) => words(policy.decide(situation)))
}

function words(decision: Decision): string {
  return decision.action === 'switch' || decision.action === 'abort'
    ? `${decision.action} ${decision.reason}`
    : decision.action
}

describe('convergence policy', () => {
  test.each([
    { downtimeLimitMs: 0 },
    { downtimeLimitMs: Number.NaN },
    { downtimeLimitMs: Infinity },
    { maxIterations: 0 },
    { maxIterations: 1.5 },
    { precopyTimeoutMs: -1 },
    { onNonConverging: 'wait' as 'abort' },
    { autoConverge: 1 as unknown as boolean },
  ])('refuses %j', (options) => {
    expect(outcome(() => new ConvergencePolicy(options))).toBe('EINVAL')
  })

  test('expects remaining over bandwidth plus the fixed cost', () => {
    const policy = new ConvergencePolicy({})
    expect(policy.expectedDowntimeMs(INSIDE)).toBe(3)
    expect(policy.expectedDowntimeMs({ ...INSIDE, bytesPerSecond: undefined })).toBe(Infinity)
    expect(policy.expectedDowntimeMs({ ...INSIDE, remainingBytes: 0, bytesPerSecond: undefined })).toBe(2)
    expect(policy.expectedDowntimeMs({ ...INSIDE, remainingBytes: Infinity })).toBe(Infinity)
  })

  test('takes what is left for one message of the fixed cost while no bandwidth is known', () => {
    const tiny = { ...INSIDE, remainingBytes: 96, bytesPerSecond: undefined }
    expect(new ConvergencePolicy({}).expectedDowntimeMs(tiny)).toBe(2)
  })

  test('never switches before the initial chunk is loaded', () => {
    const policy = new ConvergencePolicy({})
    const idle = { ...INSIDE, idle: true, remainingBytes: 0, initialLoaded: false }
    expect(actions(policy, [idle, { ...idle, initialLoaded: true }])).toEqual([
      'continue',
      'switch converged',
    ])
  })

  test('goes on inside the gate while what is left shrinks', () => {
    const policy = new ConvergencePolicy({})
    const left = [200e6, 100e6, 50e6, 20e6, 5e6, 1e6, 4e5]
    const situations = left.map((remainingBytes, i) => ({ ...INSIDE, remainingBytes, elapsedMs: 100 + i }))
    expect(actions(policy, situations)).toEqual([
      ...Array<string>(6).fill('continue'),
      'switch converged', // 0.4 ms to send, against 2 fixed
    ])
  })

  test('switches inside the gate when idle', () => {
    expect(words(new ConvergencePolicy({}).decide({ ...INSIDE, remainingBytes: 1e8, idle: true }))).toBe(
      'switch converged',
    )
  })

  test('switches inside the gate when an iteration did not pay', () => {
    const policy = new ConvergencePolicy({})
    const ends = [100e6, 50e6, 45e6].map((remainingBytes) => ({
      ...INSIDE,
      remainingBytes,
      iterationEnded: true,
    }))
    expect(actions(policy, ends)).toEqual(['continue', 'continue', 'switch converged'])
  })

  test('switches inside the gate when what is left rises', () => {
    const policy = new ConvergencePolicy({})
    const left = [100e6, 90e6, 95e6, 125e6]
    const situations = left.map((remainingBytes) => ({ ...INSIDE, remainingBytes }))
    expect(actions(policy, situations)).toEqual(['continue', 'continue', 'continue', 'switch converged'])
  })

  test('switches inside the gate when nothing moves for twice the time of sending it', () => {
    const policy = new ConvergencePolicy({})
    const steady = [0, 100, 210, 211].map((elapsedMs) => ({ ...INSIDE, remainingBytes: 100e6, elapsedMs }))
    expect(actions(policy, steady)).toEqual(['continue', 'continue', 'continue', 'switch converged'])
  })

  test('takes a chance that was lost once as soon as it comes back', () => {
    const policy = new ConvergencePolicy({})
    const left = [100e6, 400e6, 250e6]
    const situations = left.map((remainingBytes) => ({ ...INSIDE, remainingBytes }))
    expect(actions(policy, situations)).toEqual(['continue', 'continue', 'switch converged'])
  })

  describe('that does not converge', () => {
    const last = { ...OUTSIDE, iteration: 5, iterationEnded: true }

    test('switches at the last iteration by default, whatever the downtime', () => {
      const policy = new ConvergencePolicy({ maxIterations: 5 })
      expect(actions(policy, [{ ...last, iterationEnded: false }, last])).toEqual([
        'continue',
        'switch max-iterations',
      ])
    })

    test('aborts there when asked to', () => {
      const policy = new ConvergencePolicy({ maxIterations: 5, onNonConverging: 'abort' })
      expect(words(policy.decide(last))).toBe('abort max-iterations')
    })

    test('gives up at the timeout', () => {
      const options = { precopyTimeoutMs: 1000 } as const
      const late = { ...OUTSIDE, elapsedMs: 1000 }
      expect(actions(new ConvergencePolicy(options), [{ ...late, elapsedMs: 999 }, late])).toEqual([
        'continue',
        'switch timeout',
      ])
      const aborting = new ConvergencePolicy({ ...options, onNonConverging: 'abort' })
      expect(words(aborting.decide(late))).toBe('abort timeout')
    })

    test('has converged when the gate is met at a limit', () => {
      const policy = new ConvergencePolicy({ precopyTimeoutMs: 1000, onNonConverging: 'abort' })
      expect(words(policy.decide({ ...INSIDE, remainingBytes: 1e8, elapsedMs: 2000 }))).toBe(
        'switch converged',
      )
    })

    test('waits for the initial chunk, but no longer than twice the limit', () => {
      const policy = new ConvergencePolicy({ precopyTimeoutMs: 1000 })
      const unloaded = { ...OUTSIDE, initialLoaded: false }
      const at = [1000, 1999, 2000].map((elapsedMs) => ({ ...unloaded, elapsedMs }))
      expect(actions(policy, at)).toEqual(['continue', 'continue', 'abort timeout'])
      expect(
        words(new ConvergencePolicy({ precopyTimeoutMs: 1000 }).decide({ ...at[1]!, initialLoaded: true })),
      ).toBe('switch timeout')
    })
  })

  test('does not count iterations that only wait for the acknowledgement', () => {
    const policy = new ConvergencePolicy({ maxIterations: 2, onNonConverging: 'abort' })
    const waiting = { ...INSIDE, idle: true, remainingBytes: 0, iterationEnded: true, initialLoaded: false }
    const waits = [1, 2, 3, 4].map((iteration) => ({ ...waiting, iteration }))
    expect(actions(policy, waits)).toEqual(Array<string>(4).fill('continue'))
    expect(words(policy.decide({ ...waiting, iteration: 5, initialLoaded: true }))).toBe('switch converged')
  })

  test('throttles once per iteration that does not pay, in steps, up to 99', () => {
    const policy = new ConvergencePolicy({ autoConverge: true })
    const percents: number[] = []
    for (let iteration = 1; iteration < 14; iteration++) {
      for (const iterationEnded of [false, true, true]) {
        const decision = policy.decide({ ...OUTSIDE, iteration, iterationEnded })
        if (decision.action === 'throttle') percents.push(decision.percent)
      }
    }
    expect(percents).toEqual([20, 30, 40, 50, 60, 70, 80, 90, 99])
    expect(policy.throttlePercent).toBe(99)
  })

  test('does not throttle unless asked, nor what shrinks', () => {
    const steady = [1, 2, 3].map((iteration) => ({ ...OUTSIDE, iteration, iterationEnded: true }))
    expect(actions(new ConvergencePolicy({}), steady)).not.toContain('throttle')
    const shrinking = steady.map((situation, i) => ({ ...situation, remainingBytes: 1e10 / 2 ** i }))
    expect(actions(new ConvergencePolicy({ autoConverge: true }), shrinking)).not.toContain('throttle')
  })
})
