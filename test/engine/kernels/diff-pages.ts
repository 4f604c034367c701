import { beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

export function diffPageCases(engineOf: () => Engine): void {
  let engine: Engine
  let first: number
  let second: number
  let bitmapAt: number

  beforeAll(() => {
    engine = engineOf()
    first = engine.allocate(64_000)
    second = engine.allocate(64_000)
    bitmapAt = engine.allocate(64_000)
  })

  /** Compares with the doc comment of `diffPages`, a page at a time, over a bitmap that has bits set. */
  function compare(a: Uint8Array, b: Uint8Array, pageBytes: number, misalignment: number): void {
    engine.bytes.set(a, first)
    engine.bytes.set(b, second + misalignment)
    const pageCount = Math.ceil(a.length / pageBytes)
    const bitmap = noise(Math.ceil(pageCount / 8) + 1, a.length + 1).map((byte) => byte & 0x24)
    engine.bytes.set(bitmap, bitmapAt)
    let expected = 0
    for (let page = 0; page < pageCount; page++) {
      const from = page * pageBytes
      const cell = bitmap[page >> 3] as number
      const same =
        Buffer.compare(a.subarray(from, from + pageBytes), b.subarray(from, from + pageBytes)) === 0
      if (same || (cell & (1 << (page & 7))) !== 0) continue
      bitmap[page >> 3] = cell | (1 << (page & 7))
      expected++
    }
    const found = engine.kernels.diffPages(first, second + misalignment, a.length, pageBytes, bitmapAt)
    expect(found).toBe(expected)
    const got = engine.bytes.subarray(bitmapAt, bitmapAt + bitmap.length)
    expect(Buffer.compare(got, bitmap), `${a.length} bytes, pages of ${pageBytes}`).toBe(0)
  }

  test.each([1, 3, 7, 8, 31, 32, 63, 64, 65, 100, 4096])(
    'pages of %i bytes that differ are found',
    (pageBytes) => {
      for (const pageCount of [0, 1, 7, 8, 9, 14]) {
        for (const tail of [0, 1, pageBytes - 1]) {
          const a = noise(pageCount * pageBytes + tail, pageCount + tail + 1)
          const b = a.slice()
          noise(pageCount + 1, tail + 5).forEach((value, page) => {
            const at = page * pageBytes + (value % pageBytes)
            if (value & 0x40 && at < b.length) b[at] = (b[at] as number) ^ (1 << (value & 7))
          })
          compare(a, b, pageBytes, tail % 5)
        }
      }
    },
  )

  test('one differing bit anywhere in a page is seen', () => {
    const a = noise(2 * 131)
    for (let at = 0; at < a.length; at++) {
      const b = a.slice()
      b[at] = (b[at] as number) ^ (1 << (at & 7))
      compare(a, b, 131, at & 3)
    }
  })

  test('a page size of 0 is EINVAL', () => {
    expectUntouched(engine, 'EINVAL', () => engine.kernels.diffPages(first, second, 10, 0, bitmapAt))
  })
}
