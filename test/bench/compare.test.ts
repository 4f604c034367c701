/** What two runs of the same benchmarks say about the code, and what only about the machine. */

import { describe, expect, it } from 'vitest'
import { compareRuns, formatComparison } from '../../bench/harness/compare.mjs'
import { change, spread } from '../../bench/harness/statistics.mjs'

function run(seconds: number[], copySeconds: number[], bytes = 1000) {
  const cases = [
    { name: 'copy', bytes, seconds: copySeconds },
    { name: 'save', bytes, seconds, against: 'copy' },
  ]
  return { groups: [{ name: 'g', cases }] }
}

describe('spread', () => {
  it('interpolates quartiles', () => {
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25, min: 1, max: 4 })
    expect(spread([5])).toEqual({ median: 5, low: 5, high: 5, min: 5, max: 5 })
  })
})

describe('change', () => {
  it.each([
    [[1, 2, 3], [4, 5, 6], 'faster'],
    [[4, 5, 6], [1, 2, 3], 'slower'],
    [[1, 2, 2, 2, 9], [3, 4, 4, 4, 8], 'perhaps faster'],
    [[3, 4, 4, 4, 8], [1, 2, 2, 2, 9], 'perhaps slower'],
    [[1, 2, 3], [2, 3, 4], 'noise'],
  ])('of %j to %j is %s', (before, after, verdict) => {
    expect(change(before, after)).toBe(verdict)
  })
})

describe('compareRuns', () => {
  it('sees no change where the reference moved by as much', () => {
    const compared = compareRuns(run([2, 2, 2], [1, 1, 1]), run([4, 4, 4], [2, 2, 2]))
    expect(compared).toMatchObject([
      { name: 'g: copy', verdict: 'slower' },
      { name: 'g: save', verdict: 'noise', before: 0.5, after: 0.5 },
    ])
  })

  it('does not compare cases of different sizes', () => {
    const compared = compareRuns(run([2], [1], 1000), run([2], [1], 500))
    expect(compared.map(({ verdict }) => verdict)).toEqual(['not comparable', 'not comparable'])
    expect(formatComparison(compared)).toContain(
      'g: save: not comparable, the two runs moved different sizes',
    )
  })

  it('says how much a change is, and counts the rest', () => {
    const words = formatComparison(compareRuns(run([2, 2], [1, 1]), run([1, 1], [1, 1])))
    expect(words).toBe(
      'g: save: faster, 0.500 -> 1 (+100.0 %)\n1 of 2 cases differ by less than the spread of both runs.',
    )
  })
})
