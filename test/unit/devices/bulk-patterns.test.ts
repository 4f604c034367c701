import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/devices/bulk/pace.ts'
import {
  type BulkPlacement,
  placementRegisters,
  workloadRegisters,
} from '../../../src/devices/bulk/pattern.ts'
import { recordOffset, workloadBytes } from '../../../src/devices/bulk/placement.ts'
import { createBulk } from '../../../src/devices/index.ts'

const PAGES = 64
const MEMORY_BYTES = PAGES * 4096
const RECORDS = 20_000n

/** Offsets of the first records, or of those from `first` on. */
function offsets(placement: BulkPlacement, count = RECORDS, first = 0n, byteLength = MEMORY_BYTES): number[] {
  const registers = placementRegisters(placement)
  return Array.from({ length: Number(count) }, (_, i) =>
    recordOffset(byteLength, registers, first + BigInt(i)),
  )
}

function perPage(places: number[]): number[] {
  const counts = Array.from<number>({ length: PAGES }).fill(0)
  for (const at of places) counts[Math.floor(at / 4096)]!++
  return counts
}

function hotPages(hotFraction: number, hotShare: number): number[] {
  return perPage(offsets({ pattern: 'hot-set', hotFraction, hotShare }, 5000n))
}

describe('where records go', () => {
  it('is as it was in version 1 of the state, for the uniform pattern', () => {
    // Typed in from the release before patterns came.
    expect(offsets({ seed: 42 }, 4n, 0n, 1_000_003)).toEqual([144_592, 331_744, 81_056, 672_992])
    expect(offsets({ seed: -7 }, 3n, 2n ** 32n - 1n, 65_537)).toEqual([57_072, 13_712, 4320])
  })

  it.each(['uniform', 'burst'] as const)('%s: every page gets its share', (pattern) => {
    for (const count of perPage(offsets({ pattern }))) {
      expect(count).toBeGreaterThan(200)
      expect(count).toBeLessThan(430)
    }
  })

  it('hot-set: the hot pages get their share, the others the rest, both evenly', () => {
    const counts = perPage(offsets({ pattern: 'hot-set', hotFraction: 0.25, hotShare: 0.8 }))
    const hot = counts.slice(0, 16)
    expect(hot.reduce((sum, count) => sum + count) / Number(RECORDS)).toBeCloseTo(0.8, 1)
    for (const count of hot) expect(Math.abs(count - 1000)).toBeLessThan(200)
    for (const count of counts.slice(16)) expect(Math.abs(count - 83)).toBeLessThan(50)
  })

  it('hot-set: at the ends of its parameters it is uniform, all hot, or all cold', () => {
    expect(hotPages(1, 0).every((count) => count > 30)).toBe(true)
    expect(hotPages(1e-9, 1)[0]).toBe(5000)
    expect(
      hotPages(0.5, 0)
        .slice(0, 32)
        .every((count) => count === 0),
    ).toBe(true)
  })

  it('sweep: one record a page in the order of the pages, in other slots each time', () => {
    const places = offsets({ pattern: 'sweep' }, BigInt(3 * PAGES))
    expect(places.map((at) => Math.floor(at / 4096))).toEqual(places.map((_, i) => i % PAGES))
    const inPage = new Set([places[0]! % 4096, places[PAGES]! % 4096, places[2 * PAGES]! % 4096])
    expect(inPage.size).toBeGreaterThan(1)
  })

  it('sweep: goes on in order over 32 and 63 bits of sequence', () => {
    for (const first of [2n ** 32n - 5n, 2n ** 63n - 5n])
      expect(offsets({ pattern: 'sweep' }, 10n, first).map((at) => Math.floor(at / 4096))).toEqual(
        Array.from({ length: 10 }, (_, i) => Number((first + BigInt(i)) % BigInt(PAGES))),
      )
  })

  it('is inside, on a slot, and the same every time, for any memory, pattern and parameters', () => {
    fc.assert(
      fc.property(
        fc.nat(300_000),
        fc.nat(80),
        fc.constantFrom('uniform', 'hot-set', 'sweep', 'burst'),
        fc.record({
          hotFraction: fc.double({ min: 1e-9, max: 1, noNaN: true }),
          hotShare: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.bigInt(0n, 2n ** 64n - 1n),
        fc.bigInt(0n, 2n ** 64n - 1n),
        (memoryBytes, reserved, pattern, hot, seed, sequence) => {
          const registers = placementRegisters({ pattern, ...hot, seed })
          const byteLength = workloadBytes(memoryBytes, reserved)
          const at = recordOffset(byteLength, registers, sequence)
          expect(at).toBe(recordOffset(byteLength, { ...registers }, sequence))
          if (byteLength < 16) expect(at).toBe(-1)
          else {
            expect(at % 16).toBe(0)
            expect(at >= 0 && at + 16 <= byteLength).toBe(true)
          }
          if (reserved > 0 && at >= 0) expect(at).toBeLessThan(memoryBytes - (reserved - 1) * 4096)
        },
      ),
    )
  })
})

describe('when records are due', () => {
  it('without a rhythm, at the rate, whatever the ticks, with nothing lost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { maxLength: 200 }),
        fc.nat(200_000),
        (ticks, rate) => {
          const pace = new Pace()
          let count = 0
          for (const ms of ticks) count += pace.due(ms, rate)
          const exact = (ticks.reduce((sum, ms) => sum + ms, 0) * rate) / 1000
          expect(Math.abs(count - exact)).toBeLessThanOrEqual(1 + exact * 1e-9)
        },
      ),
    )
  })

  it('in bursts, all of a period in its first part, and the rate on average', () => {
    const pace = new Pace()
    const rhythm = { burstMs: 20, burstPeriodMs: 100 }
    const counts = Array.from({ length: 50 }, () => pace.due(10, 1000, rhythm))
    for (let period = 0; period < 50; period += 10) {
      expect(counts[period]! + counts[period + 1]!).toBeCloseTo(100, -1)
      expect(counts.slice(period + 2, period + 10)).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    }
    expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(499)
  })

  it('in bursts goes on where the period was when it stopped', () => {
    const rhythm = { burstMs: 20, burstPeriodMs: 100 }
    const pace = new Pace()
    pace.due(130, 1000, rhythm)
    expect(pace.phaseMs).toBeCloseTo(30, 6)
    const next = new Pace()
    next.start(pace.phaseMs)
    expect(next.due(69, 1000, rhythm)).toBe(0)
    expect(next.due(2, 1000, rhythm)).toBe(5)
  })
})

describe('workload options', () => {
  it.each([
    { pagesPerSecond: -1 },
    { pagesPerSecond: 0.5 },
    { pagesPerSecond: 2 ** 32 },
    { pagesPerSecond: 1, hotFraction: 0 },
    { pagesPerSecond: 1, hotFraction: 1.01 },
    { pagesPerSecond: 1, hotFraction: Number.NaN },
    { pagesPerSecond: 1, hotShare: -0.1 },
    { pagesPerSecond: 1, hotShare: 2 },
    { pagesPerSecond: 1, burstMs: 0 },
    { pagesPerSecond: 1, burstMs: 1.5 },
    { pagesPerSecond: 1, burstMs: 60_001, burstPeriodMs: 60_001 },
    { pagesPerSecond: 1, burstMs: 100, burstPeriodMs: 99 },
    { pagesPerSecond: 1, p2pPagesPerSecond: -1 },
    { pagesPerSecond: 1, seed: 0.5 },
    { pagesPerSecond: 1, pattern: 'wave' as 'sweep' },
  ])('%o is EINVAL', (workload) => {
    expect(() => workloadRegisters(workload)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(() => createBulk({ memoryBytes: 4096, workload })).toThrow(/^Cannot set up bulk: .* out of range/)
  })

  it.each([-1, 4097, Number.NaN])('%d reserved bytes of 4096 are EINVAL', (reservedBytes) => {
    expect(() => createBulk({ memoryBytes: 4096, reservedBytes })).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    )
  })
})
