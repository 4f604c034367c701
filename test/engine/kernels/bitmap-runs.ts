import { beforeAll, expect, test } from 'vitest'
import { RUN_BYTES } from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

type Run = readonly [first: number, count: number]

/** Bit n of a bitmap. */
function hasBit(bitmap: Uint8Array, bit: number): boolean {
  return ((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0
}

/** The runs as the doc comment of `bitmapRuns` words it, a bit at a time. */
function naiveRuns(bitmap: Uint8Array, firstBit: number, bitCount: number): Run[] {
  const runs: Run[] = []
  let first = -1
  for (let bit = firstBit; bit <= firstBit + bitCount; bit++) {
    const set = bit < firstBit + bitCount && hasBit(bitmap, bit)
    if (set && first < 0) first = bit
    if (set || first < 0) continue
    runs.push([first, bit - first])
    first = -1
  }
  return runs
}

/** A bitmap whose bits change with a chance of `change` in 256 from one to the next. */
function randomBitmap(bitCount: number, change: number, seed: number): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(bitCount / 8))
  let bit = seed & 1
  for (const [n, value] of noise(bitCount, seed).entries()) {
    if (value < change) bit ^= 1
    bitmap[n >> 3] = (bitmap[n >> 3] as number) | (bit << (n & 7))
  }
  return bitmap
}

export function bitmapRunCases(engineOf: () => Engine): void {
  let engine: Engine
  let bitmapAt: number
  let runsAt: number
  const ROOM = 6000

  beforeAll(() => {
    engine = engineOf()
    bitmapAt = engine.allocate(4096)
    runsAt = engine.allocate(ROOM * RUN_BYTES + 8)
  })

  function runsOf(at: number, count: number): Run[] {
    const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + at, count * RUN_BYTES)
    return Array.from({ length: count }, (_, n) => [
      view.getUint32(n * RUN_BYTES, true),
      view.getUint32(n * RUN_BYTES + 4, true),
    ])
  }

  /** Asks for the runs `maxRuns` at a time and compares them all; `misalignment` moves bitmap and runs. */
  function compare(
    bitmap: Uint8Array,
    firstBit: number,
    bitCount: number,
    maxRuns: number,
    misalignment = 0,
  ): void {
    const at = bitmapAt + 8 + misalignment
    const runs = runsAt + misalignment
    // Ones on both sides: what lies beyond the range must not count.
    engine.bytes.fill(0xff, bitmapAt, bitmapAt + 4096)
    engine.bytes.set(bitmap, at)
    const found: Run[] = []
    const endBit = firstBit + bitCount
    let from = firstBit
    let count: number
    do {
      engine.bytes.fill(0xa5, runs, runs + maxRuns * RUN_BYTES + 1)
      count = engine.kernels.bitmapRuns(at, from, endBit - from, runs, maxRuns)
      expect(count).toBeLessThanOrEqual(maxRuns)
      expect(engine.bytes[runs + maxRuns * RUN_BYTES], 'a byte past the runs').toBe(0xa5)
      found.push(...runsOf(runs, count))
      const last = found.at(-1)
      if (last !== undefined) from = last[0] + last[1]
    } while (count === maxRuns)
    expect(found, `${bitCount} bits from ${firstBit}, ${maxRuns} at a time`).toEqual(
      naiveRuns(bitmap, firstBit, bitCount),
    )
  }

  const sizes = [0, 1, 7, 8, 9, 31, 33, 63, 64, 65, 127, 511, 512, 513, 575, 576, 1024, 1100, 1663]
  test.each(sizes)('runs of %i bits are found from any bit and at any alignment', (bitCount) => {
    for (const [n, change] of [0, 3, 20, 128, 256].entries()) {
      const bitmap = randomBitmap(bitCount + 80, change, bitCount * 5 + n + 1)
      for (const firstBit of [0, 1, 7, 8, 63, 64, 71]) {
        for (const maxRuns of [bitCount < 128 ? 1 : 4, 258, ROOM]) {
          compare(bitmap, firstBit, bitCount, maxRuns, (firstBit + maxRuns) & 7)
        }
      }
    }
  })

  test('bitmaps of many blocks, all alike, sparse and dense', () => {
    for (const change of [0, 1, 2, 8, 64, 128, 200, 256]) {
      for (const seed of [1, 2]) {
        const bitmap = randomBitmap(12_345, change, seed)
        compare(bitmap, 0, 12_345, ROOM)
        compare(bitmap, 5, 12_301, ROOM, 3)
        compare(bitmap, 513, 10_000, 300, 1)
      }
    }
  })

  test('one bit, and one bit missing, anywhere in two blocks', () => {
    for (let bit = 0; bit < 1090; bit++) {
      const one = new Uint8Array(137)
      one[bit >> 3] = 1 << (bit & 7)
      compare(one, 0, 1090, 300)
      compare(
        one.map((byte) => byte ^ 0xff),
        0,
        1090,
        300,
        bit & 7,
      )
    }
  })

  test('no room takes no run, and no bits hold none', () => {
    engine.bytes.fill(0xff, bitmapAt, bitmapAt + 100)
    expect(engine.kernels.bitmapRuns(bitmapAt, 0, 800, runsAt, 0)).toBe(0)
    expect(engine.kernels.bitmapRuns(bitmapAt, 17, 0, runsAt, 10)).toBe(0)
  })

  test('a bit count past the memory leaves the runs alone', () => {
    const bits = (engine.bytes.length - bitmapAt) * 8
    expectUntouched(engine, 'EFAULT', () => engine.kernels.bitmapRuns(bitmapAt, 0, bits + 1, runsAt, 10))
  })
}
