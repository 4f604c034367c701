/**
 * Two runs side by side: which cases changed, and which only moved with the machine.
 *
 * @module
 */
import { digits, referenceOf } from './report.mjs'
import { change, ratios, spread } from './statistics.mjs'

/**
 * Compares the cases that both runs have. A case with a reference is compared by its ratio to it, which the
 * machine's weather cancels out of; one without by its rate.
 *
 * @returns {{ name: string, verdict: ReturnType<typeof change> | 'not comparable', before?: number,
 *   after?: number }[]} medians of the ratio, or of runs per second
 */
export function compareRuns(before, after) {
  const old = new Map(before.groups.flatMap(casesOf))
  return after.groups
    .flatMap(casesOf)
    .filter(([key]) => old.has(key))
    .map(([name, now]) => {
      const was = old.get(name)
      if (was.each.bytes !== now.each.bytes) return { name, verdict: 'not comparable' }
      const [from, to] = [rates(was), rates(now)]
      return { name, verdict: change(from, to), before: spread(from).median, after: spread(to).median }
    })
}

/** The comparison in words: what changed, one line each, then how much did not. */
export function formatComparison(compared) {
  const still = compared.filter(({ verdict }) => verdict === 'noise').length
  const lines = compared
    .filter(({ verdict }) => verdict !== 'noise')
    .map(({ name, verdict, before, after }) =>
      before === undefined
        ? `${name}: ${verdict}, the two runs moved different sizes`
        : `${name}: ${verdict}, ${digits(before)} -> ${digits(after)} (${after > before ? '+' : ''}${((after / before - 1) * 100).toFixed(1)} %)`,
    )
  return [...lines, `${still} of ${compared.length} cases differ by less than the spread of both runs.`].join(
    '\n',
  )
}

function casesOf(group) {
  return group.cases
    .filter(({ seconds }) => seconds !== undefined)
    .map((each) => [`${group.name}: ${each.name}`, { each, reference: referenceOf(each, group.cases) }])
}

function rates({ each, reference }) {
  return reference === undefined ? each.seconds.map((seconds) => 1 / seconds) : ratios(each, reference)
}
