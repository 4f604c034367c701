/**
 * Targets: what the project asks of itself, by figure, and whether a run reached it.
 *
 * @module
 */
import { ratios, spread } from './statistics.mjs'

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {number} asked
 * @property {'at least' | 'under'} sense
 * @property {string} unit
 * @property {(figures: Figures) => number[] | undefined} of one value of each round; a figure of no round is
 *   one value, that of a case that did not run undefined
 */

/**
 * A target on how many times the rate of `other` a case reaches.
 *
 * @param {number} asked
 * @param {string} mine case
 * @param {string} other case
 * @param {string} [name] what the report calls it
 * @returns {Target}
 */
export function atLeast(asked, mine, other, name = `${mine} / ${other}`) {
  return { name, asked, sense: 'at least', unit: '×', of: (figures) => figures.ratio(mine, other) }
}

/** What a target may ask of the cases that ran. */
export class Figures {
  #cases

  /** @param {readonly import('./rounds.mjs').Result[]} cases */
  constructor(cases) {
    this.#cases = cases
  }

  /** Rate of a case by the rate of another, one value of each round; undefined when one did not run. */
  ratio(mine, other) {
    const [one, two] = [this.#find(mine), this.#find(other)]
    return one === undefined || two === undefined ? undefined : ratios(one, two)
  }

  /** The same against the fastest of several rivals. */
  ratioToBest(mine, others) {
    const all = others.map((other) => this.ratio(mine, other))
    return leastOf(all)
  }

  /** Seconds of one operation, one value of each round; undefined when the case did not run. */
  seconds(name) {
    const found = this.#find(name)
    return found?.seconds.map((seconds) => seconds / (found.operations ?? 1))
  }

  /** What a case without rounds measured; undefined when it did not run. */
  values(name) {
    return this.#cases.find((each) => each.name === name)?.values
  }

  /** What a case kept of each of its runs; undefined when it did not run. */
  runs(name) {
    return this.#cases.find((each) => each.name === name)?.runs
  }

  #find(name) {
    const found = this.#cases.find((each) => each.name === name)
    return found?.seconds === undefined ? undefined : found
  }
}

/** Of several figures that of the lowest median; undefined when one is. */
export function leastOf(all) {
  if (all.includes(undefined)) return undefined
  return all.reduce((least, each) => (spread(each).median < spread(least).median ? each : least))
}

/**
 * What was asked and what was reached.
 *
 * @param {readonly Target[]} targets
 * @param {Figures} figures
 */
export function checkTargets(targets, figures) {
  return targets.map(({ name, asked, sense, unit, of }) => {
    const values = of(figures)
    if (values === undefined) return { name, asked, sense, unit }
    const { median, low, high } = spread(values)
    return {
      name,
      asked,
      sense,
      unit,
      reached: median,
      low,
      high,
      met: sense === 'under' ? median < asked : median >= asked,
    }
  })
}
