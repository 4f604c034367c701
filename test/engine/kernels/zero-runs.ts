import { beforeAll, expect, test } from 'vitest'
import { RUN_BYTES, ZERO_RUN_FLAG } from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

interface Run {
  first: number
  count: number
  zero: boolean
}

/** The runs as the doc comment of `zeroRuns` words it, a page at a time. */
function naiveRuns(bytes: Uint8Array, pageBytes: number, firstPage: number, pageCount: number): Run[] {
  const runs: Run[] = []
  for (let page = firstPage; page < firstPage + pageCount; page++) {
    const zero = bytes.subarray(page * pageBytes, (page + 1) * pageBytes).every((byte) => byte === 0)
    const last = runs.at(-1)
    if (last?.zero === zero) last.count++
    else runs.push({ first: page, count: 1, zero })
  }
  return runs
}

export function zeroRunCases(engineOf: () => Engine): void {
  let engine: Engine
  let src: number
  let runsAt: number

  beforeAll(() => {
    engine = engineOf()
    src = engine.allocate(300_000)
    runsAt = engine.allocate(100 * RUN_BYTES + 8)
  })

  function kernelRuns(
    byteLength: number,
    pageBytes: number,
    first: number,
    count: number,
    max: number,
    misalignment: number,
  ): Run[] {
    const at = runsAt + misalignment
    const end = at + max * RUN_BYTES
    engine.bytes[end] = 0xa5
    const found = engine.kernels.zeroRuns(src + misalignment, byteLength, pageBytes, first, count, at, max)
    expect(engine.bytes[end], 'a byte past the runs').toBe(0xa5)
    const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + at)
    return Array.from({ length: found }, (_, n) => {
      const word = view.getUint32(n * RUN_BYTES + 4, true)
      const zero = (word & ZERO_RUN_FLAG) !== 0
      return { first: view.getUint32(n * RUN_BYTES, true), count: word & ~ZERO_RUN_FLAG, zero }
    })
  }

  test.each([1, 7, 64, 100, 4096, 5000])('pages of %i bytes split into zero and other runs', (pageBytes) => {
    for (const pageCount of [1, 2, 9, 33]) {
      for (const tail of [0, 1, pageBytes - 1]) {
        const bytes = new Uint8Array(pageCount * pageBytes + tail)
        const pages = Math.ceil(bytes.length / pageBytes)
        noise(pages, pageCount * 3 + tail + 1).forEach((value, page) => {
          // A byte anywhere in about two pages of five.
          const at = page * pageBytes + (value % pageBytes)
          if (value > 150 && at < bytes.length) bytes[at] = value
        })
        const misalignment = tail % 5
        engine.bytes.set(bytes, src + misalignment)
        for (const first of new Set([0, pages >> 1, pages - 1])) {
          for (const count of new Set([0, 1, pages - first])) {
            const expected = naiveRuns(bytes, pageBytes, first, count)
            for (const max of [0, 1, 3, 100]) {
              const found = kernelRuns(bytes.length, pageBytes, first, count, max, misalignment)
              expect(found).toEqual(expected.slice(0, max))
            }
          }
        }
      }
    }
  })

  test('a page size of 0 or a count no run can hold is EINVAL', () => {
    expectUntouched(engine, 'EINVAL', () => engine.kernels.zeroRuns(src, 10, 0, 0, 1, runsAt, 1))
    expectUntouched(engine, 'EINVAL', () => engine.kernels.zeroRuns(src, 10, 1, 0, 2 ** 31, runsAt, 1))
  })

  test('pages past the bytes are EFAULT', () => {
    expectUntouched(engine, 'EFAULT', () => engine.kernels.zeroRuns(src, 4097, 4096, 0, 3, runsAt, 1))
    expectUntouched(engine, 'EFAULT', () => engine.kernels.zeroRuns(src, 4096, 4096, 1, 1, runsAt, 1))
    expectUntouched(engine, 'EFAULT', () => engine.kernels.zeroRuns(src, 0, 4096, 0, 1, runsAt, 1))
  })
}
