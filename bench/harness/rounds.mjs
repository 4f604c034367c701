/**
 * Interleaved rounds: round 1 runs every case of a group once, then round 2 does, and so on. Cases that are
 * compared share one process, one data set and the weather of the same second.
 *
 * @module
 */
import { timeLoop, timeOnce } from './measure.mjs'

/**
 * A case has either `loop`, a synchronous function timed in a loop, or `once`, an asynchronous one timed by
 * the run (or by itself: then it resolves to seconds), with `before` and `after` that no clock sees; or `measure`, which is called once after the rounds
 * and brings figures of its own, such as bytes.
 *
 * @typedef {object} Case
 * @property {string} name
 * @property {number} [bytes] payload of one run
 * @property {number} [operations] things done in one run, for a time per thing; default 1
 * @property {string} [against] the case whose rate is 1
 * @property {string} [skipped] why it cannot run
 * @property {() => unknown} [loop]
 * @property {() => Promise<void | number>} [once]
 * @property {() => unknown} [before]
 * @property {() => unknown} [after]
 * @property {(step: (share: number) => void) => Promise<{ values: number[], runs?: object[], table?: { header: string[], rows: string[][] } }>} [measure]
 */

/**
 * @typedef {Pick<Case, 'name' | 'bytes' | 'operations' | 'against' | 'skipped'> & { seconds?: number[],
 *   values?: number[], runs?: object[], table?: { header: string[], rows: string[][] } }} Result
 */

/** Whether a name was asked for: no list is all, else one of them is how it begins. */
export function wanted(name, only) {
  return only.length === 0 || only.some((prefix) => name.startsWith(prefix))
}

/**
 * Runs the cases of an open group. The first round warms up (kernels compile, pages are touched, caches of
 * the engine fill) and does not count.
 *
 * @param {readonly Case[]} cases
 * @param {{ rounds: number, samples: number, sampleSeconds: number, only: readonly string[],
 *   step: (name: string, share: number) => void }} options
 * @returns {Promise<Result[]>} name, bytes, operations, against and skipped of each case as they are, `seconds` of
 *   every round or the `values` and `table` of its `measure`
 */
export async function runRounds(cases, { rounds, samples, sampleSeconds, only, step }) {
  const chosen = new Set(
    cases.filter(({ name }) => wanted(name, only)).flatMap((each) => [each.name, each.against]),
  )
  const running = cases
    .filter(({ name, skipped, measure }) => chosen.has(name) && skipped === undefined && !measure)
    .map((each) => ({ each, seconds: [], count: 1 }))
  for (let round = 0; round <= rounds && running.length > 0; round++) {
    for (const [index, timed] of running.entries()) {
      const { each } = timed
      step(each.name, (round * running.length + index) / ((rounds + 1) * running.length))
      await each.before?.()
      let seconds
      if (each.loop === undefined) seconds = await timeOnce(each.name, each.once)
      else {
        const options = { samples, sampleSeconds, count: timed.count }
        const result = timeLoop(each.name, each.loop, options)
        timed.count = result.count
        seconds = result.seconds
      }
      await each.after?.()
      if (round > 0) timed.seconds.push(seconds)
    }
  }
  const results = []
  for (const { name, bytes, operations, against, skipped, measure } of cases) {
    if (!chosen.has(name)) continue
    const seconds = running.find(({ each }) => each.name === name)?.seconds
    const measured = skipped === undefined ? await measure?.((share) => step(name, share)) : undefined
    results.push({ name, bytes, operations, against, skipped, seconds, ...measured })
  }
  return results
}
