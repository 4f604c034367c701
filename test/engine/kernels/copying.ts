import { beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { noise } from './fixture.ts'

/** Longer than two of the kernel's blocks of 256 KiB, and no multiple of one. */
const LONG = 600_001

export function copyCases(engineOf: () => Engine): void {
  let engine: Engine
  let area: number

  beforeAll(() => {
    engine = engineOf()
    area = engine.allocate(3 * LONG)
  })

  const cases: readonly (readonly [byteLength: number, distance: number])[] = [
    [0, 5],
    [1, 0],
    [1000, 1],
    [1000, -1],
    [1000, 1500],
    [LONG, 1],
    [LONG, -1],
    [LONG, 262_144],
    [LONG, -262_144],
    [LONG, 300_000],
    [LONG, -300_000],
    [LONG, LONG],
    [LONG, -LONG],
  ]
  test.each(cases)(
    'copying %i bytes %i bytes away keeps them, overlapping or not',
    (byteLength, distance) => {
      const bytes = noise(3 * LONG)
      engine.bytes.set(bytes, area)
      const from = LONG
      bytes.copyWithin(from + distance, from, from + byteLength)
      engine.kernels.copy(area + from + distance, area + from, byteLength)
      expect(Buffer.compare(engine.bytes.subarray(area, area + 3 * LONG), bytes)).toBe(0)
    },
  )
}
