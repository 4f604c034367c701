/** Bandwidth of a link from the writes it took. @module */

import { describe, expect, test } from 'vitest'

import { BandwidthMeter } from '../../../src/migrate/bandwidth-meter.ts'

const MIB = 1_048_576

describe('bandwidth meter', () => {
  test('knows nothing before anything was recorded, and nothing from empty writes', () => {
    const meter = new BandwidthMeter()
    expect(meter.bytesPerSecond).toBeUndefined()
    meter.record(0, 10)
    meter.record(Number.NaN, 10)
    expect(meter.bytesPerSecond).toBeUndefined()
  })

  test('divides bytes by busy time', () => {
    const meter = new BandwidthMeter()
    meter.record(MIB, 2)
    meter.record(MIB, 6)
    expect(meter.bytesPerSecond).toBeCloseTo((2 * MIB * 1000) / 8)
  })

  test('forgets writes from before its window', () => {
    const meter = new BandwidthMeter(100)
    for (let write = 0; write < 50; write++) meter.record(MIB, 10)
    for (let write = 0; write < 300; write++) meter.record(MIB, 1)
    expect(meter.bytesPerSecond).toBeCloseTo(MIB * 1000)
  })

  test('keeps the figure of large writes while small ones are slow', () => {
    const meter = new BandwidthMeter()
    meter.record(MIB, 1)
    for (let write = 0; write < 100; write++) meter.record(100, 1)
    expect(meter.bytesPerSecond).toBeCloseTo(MIB * 1000)
  })

  test('takes small writes when the window holds nothing else', () => {
    const meter = new BandwidthMeter(100)
    meter.record(MIB, 1)
    for (let write = 0; write < 1000; write++) meter.record(1000, 1)
    expect(meter.bytesPerSecond).toBeCloseTo(1_000_000)
  })

  test('stays finite when a write took no time at all', () => {
    const meter = new BandwidthMeter()
    meter.record(MIB, 0)
    expect(meter.bytesPerSecond).toBeGreaterThan(0)
    expect(Number.isFinite(meter.bytesPerSecond)).toBe(true)
  })

  test('survives one write longer than its window', () => {
    const meter = new BandwidthMeter(10)
    meter.record(MIB, 5)
    meter.record(MIB, 1000)
    expect(meter.bytesPerSecond).toBeCloseTo(MIB, -1)
  })
})
