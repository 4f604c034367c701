/**
 * Benchmark.js, told exactly what to time.
 *
 * Left alone it decides how often a function runs and for how long; interleaved rounds need a case that
 * runs once, now, and 1 GiB cases need work before and after a run that no clock sees. So one Benchmark is
 * made per case and round, with its sample size fixed.
 *
 * @module
 */
import Benchmark from 'benchmark'

/** Benchmark.js takes 0 for "decide yourself", and stops when its elapsed time is *above* maxTime. */
const ANY_TIME = 1e-9
const NO_MORE = -1

/**
 * Times a synchronous function in a loop: `samples` samples of at least `sampleSeconds` each.
 *
 * @param {string} name
 * @param {() => unknown} run
 * @param {{ samples: number, sampleSeconds: number, count: number }} options count: runs per sample to
 *   begin with, 1 at first, later what the round before found
 * @returns {{ seconds: number, count: number }} seconds of one run, the median of the samples
 */
export function timeLoop(name, run, { samples, sampleSeconds, count }) {
  const bench = new Benchmark(name, run, {
    initCount: count,
    minTime: sampleSeconds,
    minSamples: samples,
    maxTime: NO_MORE,
  })
  let used = count
  // The options' count comes back unchanged; the one that was long enough stands in the cycle's event.
  bench.on('cycle', ({ target }) => (used = target.initCount)).run()
  if (bench.error) throw bench.error
  const sorted = bench.stats.sample.toSorted((a, b) => a - b)
  return { seconds: sorted[sorted.length >> 1], count: used }
}

/**
 * Times one run of an asynchronous function, from its call until its promise is resolved; a function that
 * had a clock of its own, in another process or for a part of what it did, resolves to seconds instead.
 *
 * @param {string} name
 * @param {() => Promise<void | number>} run
 * @returns {Promise<number>} seconds
 */
export async function timeOnce(name, run) {
  let failure
  let own
  const bench = new Benchmark(name, {
    defer: true,
    initCount: 1,
    minSamples: 1,
    minTime: ANY_TIME,
    maxTime: NO_MORE,
    delay: 0,
    // A deferred function that fails would leave Benchmark.js waiting for ever.
    fn: async (deferred) => {
      try {
        own = await run()
      } catch (error) {
        failure = error
      }
      deferred.resolve()
    },
  })
  await new Promise((resolve) => bench.on('complete', resolve).run())
  if (failure !== undefined || bench.error) throw failure ?? bench.error
  return own ?? bench.stats.sample[0]
}
