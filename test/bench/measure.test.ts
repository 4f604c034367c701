/** Benchmark.js runs what it times exactly as often as it is told, and no failure is lost. */

import { describe, expect, it } from 'vitest'
import { timeLoop, timeOnce } from '../../bench/harness/measure.mjs'

describe('timeOnce', () => {
  it('runs the function once, from its call to its promise', async () => {
    let runs = 0
    const seconds = await timeOnce('wait', async () => {
      runs++
      const end = performance.now() + 20
      while (performance.now() < end) await new Promise(setImmediate)
    })
    expect(runs).toBe(1)
    expect(seconds).toBeGreaterThanOrEqual(0.0199)
  })

  it('believes a function that had a clock of its own', async () => {
    expect(await timeOnce('other clock', async () => 0.25)).toBe(0.25)
  })

  it('rejects as the function does', async () => {
    const failing = timeOnce('fail', () => Promise.reject(new Error('no session')))
    await expect(failing).rejects.toThrow('no session')
  })
})

describe('timeLoop', () => {
  it('tells how many runs made a sample long enough', () => {
    let runs = 0
    const { seconds, count } = timeLoop('count', () => runs++, { samples: 3, sampleSeconds: 0.001, count: 1 })
    expect(count).toBeGreaterThan(1)
    expect(runs).toBeGreaterThan(count)
    expect(seconds).toBeGreaterThan(0)
  })

  it('throws as the function does', () => {
    const options = { samples: 1, sampleSeconds: 0.001, count: 1 }
    expect(() => timeLoop('fail', () => JSON.parse('no'), options)).toThrow('is not valid JSON')
  })
})
