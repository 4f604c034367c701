/**
 * Medians and spread of rounds, and what follows from two runs of the same case.
 *
 * @module
 */

/**
 * @typedef {{ median: number, low: number, high: number, min: number, max: number }} Spread low and high
 *   are the quartiles
 */

/**
 * @param {readonly number[]} values one of each round, at least one
 * @returns {Spread}
 */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share) => {
    const place = share * (sorted.length - 1)
    const below = Math.floor(place)
    const next = sorted[Math.min(below + 1, sorted.length - 1)]
    return sorted[below] + (place - below) * (next - sorted[below])
  }
  return { median: at(0.5), low: at(0.25), high: at(0.75), min: at(0), max: at(1) }
}

/**
 * How many times the rate of `other` a case reached, round by round: what disturbs a round disturbs both.
 *
 * @param {{ seconds: readonly number[], bytes?: number }} mine
 * @param {{ seconds: readonly number[], bytes?: number }} other
 * @returns {number[]}
 */
export function ratios(mine, other) {
  const work = (mine.bytes ?? 1) / (other.bytes ?? 1)
  return mine.seconds.map((seconds, round) => (other.seconds[round] / seconds) * work)
}

/**
 * Whether a case changed between two runs. Whole ranges that do not overlap are a change; when only the
 * ranges between the quartiles do not, it may be one, and the remedy is another run.
 *
 * @param {readonly number[]} before rates or ratios, one of each round
 * @param {readonly number[]} after
 * @returns {'faster' | 'perhaps faster' | 'noise' | 'perhaps slower' | 'slower'}
 */
export function change(before, after) {
  const [old, now] = [spread(before), spread(after)]
  if (now.min > old.max) return 'faster'
  if (now.max < old.min) return 'slower'
  if (now.low > old.high) return 'perhaps faster'
  if (now.high < old.low) return 'perhaps slower'
  return 'noise'
}
