import { beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

/** The bitmap as the doc comment of `zeroPages` words it, a bit at a time. */
function naiveBitmap(bytes: Uint8Array, pageBytes: number): { bitmap: Uint8Array; zeroCount: number } {
  const pageCount = Math.ceil(bytes.length / pageBytes)
  const bitmap = new Uint8Array(Math.ceil(pageCount / 8))
  let zeroCount = 0
  for (let page = 0; page < pageCount; page++) {
    if (bytes.subarray(page * pageBytes, (page + 1) * pageBytes).some((byte) => byte !== 0)) continue
    bitmap[page >> 3] = (bitmap[page >> 3] as number) | (1 << (page & 7))
    zeroCount++
  }
  return { bitmap, zeroCount }
}

export function zeroPageCases(engineOf: () => Engine): void {
  let engine: Engine
  let src: number
  let bitmapAt: number

  beforeAll(() => {
    engine = engineOf()
    src = engine.allocate(300_000)
    bitmapAt = engine.allocate(300_000)
  })

  function compare(bytes: Uint8Array, pageBytes: number, misalignment = 0): void {
    const at = src + misalignment
    engine.bytes.set(bytes, at)
    engine.bytes.fill(0xa5, bitmapAt, bitmapAt + 300_000)
    const { bitmap, zeroCount } = naiveBitmap(bytes, pageBytes)
    expect(engine.kernels.zeroPages(at, bytes.length, pageBytes, bitmapAt)).toBe(zeroCount)
    const got = engine.bytes.subarray(bitmapAt, bitmapAt + bitmap.length)
    expect(Buffer.compare(got, bitmap), `page size ${pageBytes}, ${bytes.length} bytes`).toBe(0)
    expect(engine.bytes[bitmapAt + bitmap.length], 'a byte past the bitmap').toBe(0xa5)
  }

  test.each([1, 3, 7, 8, 63, 64, 65, 100, 4095, 4096, 5000])(
    'zero pages of %i bytes are found, a short last one too',
    (pageBytes) => {
      for (const pageCount of [0, 1, 7, 8, 9, 17, 33]) {
        for (const tail of [0, 1, pageBytes - 1]) {
          const bytes = new Uint8Array(pageCount * pageBytes + tail)
          noise(pageCount + 1, tail + 1).forEach((value, page) => {
            // About half of the pages get one byte, anywhere in them.
            const at = page * pageBytes + (value % pageBytes)
            if (value & 0x80 && at < bytes.length) bytes[at] = value
          })
          compare(bytes, pageBytes, tail % 5)
        }
      }
    },
  )

  test('one set bit anywhere in a page is seen', () => {
    const bytes = new Uint8Array(2 * 131)
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = 1 << (at & 7)
      compare(bytes, 131, at & 3)
      bytes[at] = 0
    }
  })

  test('a page longer than the bytes is one short page, and no bytes are no page', () => {
    engine.bytes.fill(0, src, src + 10)
    expect(engine.kernels.zeroPages(src, 10, 4096, bitmapAt)).toBe(1)
    expect(engine.bytes[bitmapAt]).toBe(1)
    engine.bytes[bitmapAt] = 0xa5
    expect(engine.kernels.zeroPages(src, 0, 4096, bitmapAt)).toBe(0)
    expect(engine.bytes[bitmapAt]).toBe(0xa5)
  })

  test('a page size of 0 is EINVAL', () => {
    expectUntouched(engine, 'EINVAL', () => engine.kernels.zeroPages(src, 10, 0, bitmapAt))
  })
}
