/** Rounds run every case once each, in turn; targets see what ran and nothing else. */

import { describe, expect, it } from 'vitest'
import { type Case, runRounds } from '../../bench/harness/rounds.mjs'
import { atLeast, checkTargets, Figures } from '../../bench/harness/targets.mjs'

const options = { rounds: 2, samples: 1, sampleSeconds: 0.0001, only: [] as string[], step: () => {} }

function recorded(order: string[], name: string, rest: Partial<Case> = {}): Case {
  const note = (what: string) => async () => void order.push(what)
  return { name, before: note(`before ${name}`), once: note(name), after: note(`after ${name}`), ...rest }
}

describe('runRounds', () => {
  it('interleaves the cases and does not count the first round', async () => {
    const order: string[] = []
    const results = await runRounds([recorded(order, 'a'), recorded(order, 'b')], options)
    const round = ['before a', 'a', 'after a', 'before b', 'b', 'after b']
    expect(order).toEqual([...round, ...round, ...round])
    expect(results.map(({ name, seconds }) => [name, seconds?.length])).toEqual([
      ['a', 2],
      ['b', 2],
    ])
  })

  it('runs what was asked for, and the reference it is held against', async () => {
    const order: string[] = []
    const cases = [recorded(order, 'a'), recorded(order, 'b'), recorded(order, 'c', { against: 'a' })]
    const results = await runRounds(cases, { ...options, only: ['c'] })
    expect(results.map(({ name }) => name)).toEqual(['a', 'c'])
    expect(order).not.toContain('b')
  })

  it('keeps the reason of a case that cannot run, and calls measure once', async () => {
    const results = await runRounds(
      [
        { name: 'a', skipped: 'not built yet' },
        { name: 'b', measure: async () => ({ values: [7] }) },
      ],
      options,
    )
    expect(results).toMatchObject([
      { name: 'a', skipped: 'not built yet', seconds: undefined },
      { name: 'b', values: [7] },
    ])
  })
})

describe('checkTargets', () => {
  const figures = new Figures([
    { name: 'fast', bytes: 200, seconds: [1, 1, 1] },
    { name: 'slow', bytes: 100, seconds: [1, 2, 1] },
    { name: 'slower', bytes: 100, seconds: [4, 4, 4] },
    { name: 'skipped' },
  ])

  it('compares rates of the same round', () => {
    const [check] = checkTargets([atLeast(2, 'fast', 'slow')], figures)
    expect(check).toMatchObject({ reached: 2, low: 2, high: 3, met: true })
  })

  it('holds a case against the fastest of its rivals', () => {
    const target = { ...atLeast(3, '', ''), of: () => figures.ratioToBest('fast', ['slower', 'slow']) }
    expect(checkTargets([target], figures)).toMatchObject([{ reached: 2, met: false }])
  })

  it('says nothing about a case that did not run', () => {
    const [check] = checkTargets([atLeast(2, 'fast', 'skipped')], figures)
    expect(check).not.toHaveProperty('met')
  })

  it('takes "under" as under', () => {
    const targets = [4, 4.1].map((asked) => ({
      ...atLeast(asked, '', ''),
      sense: 'under' as const,
      of: () => figures.seconds('slower'),
    }))
    expect(checkTargets(targets, figures).map(({ met }) => met)).toEqual([false, true])
  })
})
