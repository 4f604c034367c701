/** What is left of a device, from counters that are believed only as far as they fit. @module */

import { describe, expect, test } from 'vitest'

import { RemainingBytes } from '../../../src/migrate/remaining-bytes.ts'

const MIB = 1_048_576

/** A device that claimed 10 bytes and gave 9 MiB. */
function lied(): RemainingBytes {
  const remaining = new RemainingBytes()
  for (let query = 0; query < 4; query++) {
    remaining.counters({ stopCopyBytes: 10, initialBytes: 10, dirtyBytes: 0 })
    if (query < 3) remaining.read(3 * MIB)
  }
  return remaining
}

describe('remaining bytes', () => {
  test('is the larger of stop-copy length and initial + dirty, never their sum', () => {
    const remaining = new RemainingBytes()
    remaining.counters({ stopCopyBytes: 100, initialBytes: 70, dirtyBytes: 20 })
    expect(remaining.bytes).toBe(100)
    remaining.counters({ stopCopyBytes: 80, initialBytes: 70, dirtyBytes: 20 })
    expect(remaining.bytes).toBe(90)
  })

  test('goes down by what is read, and what only the stop gives stays', () => {
    const remaining = new RemainingBytes()
    remaining.counters({ stopCopyBytes: 100, initialBytes: 60, dirtyBytes: 0 })
    remaining.read(30)
    expect(remaining.bytes).toBe(70)
    remaining.read(1000)
    expect(remaining.bytes).toBe(40)
  })

  test('is not known before anything is claimed or ENOMSG was said', () => {
    const remaining = new RemainingBytes()
    expect(remaining.bytes).toBe(Infinity)
    remaining.counters({})
    remaining.read(1000)
    expect(remaining.bytes).toBe(Infinity)
    remaining.idle()
    expect(remaining.bytes).toBe(0)
  })

  test('without counters expects as much as between the last two ENOMSGs', () => {
    const remaining = new RemainingBytes()
    remaining.read(1000)
    remaining.idle()
    remaining.read(300)
    expect(remaining.bytes).toBe(700)
    remaining.idle()
    remaining.read(100)
    expect(remaining.bytes).toBe(200)
    remaining.read(300)
    expect(remaining.bytes).toBe(Infinity)
  })

  test('believes a stop-copy length when nothing else is claimed', () => {
    const remaining = new RemainingBytes()
    remaining.counters({ stopCopyBytes: 5000 })
    remaining.read(2000)
    expect(remaining.bytes).toBe(3000)
  })

  test.each([Number.NaN, Infinity, -1, 2 ** 53 + 2])('takes a counter of %s for absent', (value) => {
    const remaining = new RemainingBytes()
    remaining.counters({ stopCopyBytes: value, initialBytes: value, dirtyBytes: 10 })
    expect(remaining.bytes).toBe(10)
    expect(remaining.initialBytes).toBe(0)
  })

  test('takes ENOMSG for proof against every claim but a stop-copy length', () => {
    const remaining = new RemainingBytes()
    remaining.counters({ stopCopyBytes: 500, initialBytes: 1000, dirtyBytes: 1000 })
    remaining.read(10)
    remaining.idle()
    expect(remaining.bytes).toBe(490)
    expect(remaining.initialBytes).toBe(0)
  })

  describe('the initial chunk', () => {
    test('is read when everything claimed is read, or the device says so', () => {
      const remaining = new RemainingBytes()
      remaining.counters({ initialBytes: 100, dirtyBytes: 50 })
      expect(remaining.initialBytes).toBe(100)
      remaining.read(100)
      expect(remaining.initialBytes).toBe(50)
      remaining.counters({ initialBytes: 0, dirtyBytes: 50 })
      expect(remaining.initialBytes).toBe(0)
    })

    test('is over for good after ENOMSG, also with a counter that never gets there', () => {
      const remaining = new RemainingBytes()
      for (let query = 0; query < 5; query++) {
        remaining.counters({ initialBytes: 100, dirtyBytes: 0 })
        remaining.read(10)
      }
      expect(remaining.initialBytes).toBe(90)
      remaining.idle()
      remaining.counters({ initialBytes: 100, dirtyBytes: 0 })
      expect(remaining.initialBytes).toBe(0)
    })

    test('begins again with REINIT', () => {
      const remaining = new RemainingBytes()
      remaining.counters({ initialBytes: 100, dirtyBytes: 0 })
      remaining.read(100)
      remaining.idle()
      expect(remaining.initialEpoch).toBe(0)
      remaining.counters({ initialBytes: 40, dirtyBytes: 0, reinit: true })
      expect([remaining.initialEpoch, remaining.initialBytes, remaining.bytes]).toEqual([1, 40, 40])
      remaining.read(40)
      expect(remaining.initialBytes).toBe(0)
    })
  })

  describe('the first pass', () => {
    test('is done when as much is read as there was, or at ENOMSG', () => {
      const counted = new RemainingBytes()
      counted.counters({ initialBytes: 100, dirtyBytes: 100 })
      counted.read(199)
      expect(counted.firstPassDone).toBe(false)
      counted.read(1)
      expect(counted.firstPassDone).toBe(true)
      const silent = new RemainingBytes()
      silent.read(1000)
      expect(silent.firstPassDone).toBe(false)
      silent.idle()
      expect(silent.firstPassDone).toBe(true)
    })

    test('is done when the initial chunk was everything and the device says it is read', () => {
      const remaining = new RemainingBytes()
      remaining.counters({ initialBytes: 100, dirtyBytes: 0 })
      remaining.read(50)
      remaining.counters({ initialBytes: 0, dirtyBytes: 0 })
      expect(remaining.firstPassDone).toBe(true)
    })
  })

  describe('a counter that is too high', () => {
    test('is replaced after two ENOMSGs with nothing between', () => {
      const remaining = new RemainingBytes()
      const claim = (): void => remaining.counters({ initialBytes: 0, dirtyBytes: 1000 })
      claim()
      remaining.read(300)
      remaining.idle()
      claim()
      expect(remaining.bytes).toBe(1000)
      expect(remaining.distrust).toBeUndefined()
      remaining.idle()
      claim()
      expect(remaining.distrust).toBe('too high')
      expect(remaining.bytes).toBe(0)
      remaining.read(100)
      expect(remaining.bytes).toBe(200)
    })

    test('is replaced after three ENOMSGs that came far too early', () => {
      const remaining = new RemainingBytes()
      for (let pass = 0; pass < 3; pass++) {
        remaining.counters({ initialBytes: 0, dirtyBytes: 1000 * MIB })
        remaining.read(MIB)
        remaining.idle()
      }
      expect(remaining.distrust).toBe('too high')
    })

    test('is no lie when the device was faster than the question', () => {
      const remaining = new RemainingBytes()
      for (let pass = 0; pass < 10; pass++) {
        remaining.counters({ initialBytes: 0, dirtyBytes: 5000 })
        remaining.read(5000)
        remaining.idle()
      }
      expect(remaining.distrust).toBeUndefined()
    })
  })

  describe('a counter that is too low', () => {
    test('leaves what remains unknown until the next ENOMSG', () => {
      const remaining = lied()
      expect(remaining.distrust).toBe('too low')
      expect(remaining.bytes).toBe(Infinity)
      expect(remaining.initialBytes).toBe(10)
      expect(remaining.firstPassDone).toBe(true)
      remaining.read(MIB)
      remaining.idle()
      expect([remaining.bytes, remaining.initialBytes]).toEqual([0, 0])
    })

    test('is replaced by the bytes between ENOMSGs from then on', () => {
      const remaining = lied()
      remaining.idle()
      remaining.read(5 * MIB)
      remaining.idle()
      remaining.counters({ stopCopyBytes: 10, initialBytes: 0, dirtyBytes: 10 })
      remaining.read(MIB)
      expect(remaining.bytes).toBe(4 * MIB)
    })

    test('is forgiven when ENOMSG comes between, or the excess is small', () => {
      const remaining = new RemainingBytes()
      for (let query = 0; query < 10; query++) {
        remaining.counters({ initialBytes: 10, dirtyBytes: 0 })
        remaining.read(3 * MIB)
        if (query % 2 === 1) remaining.idle()
      }
      for (let query = 0; query < 10; query++) {
        remaining.counters({ initialBytes: 0, dirtyBytes: 10 })
        remaining.read(MIB)
      }
      expect(remaining.distrust).toBeUndefined()
    })
  })

  test('keeps a huge stop-copy length that never comes down', () => {
    const remaining = new RemainingBytes()
    for (let pass = 0; pass < 10; pass++) {
      remaining.counters({ stopCopyBytes: 1000 * MIB, initialBytes: 0, dirtyBytes: 0 })
      remaining.idle()
    }
    expect(remaining.bytes).toBe(1000 * MIB)
    expect(remaining.distrust).toBeUndefined()
  })
})
