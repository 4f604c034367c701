import { xxhash3 } from 'hash-wasm'
import { beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

/** The hashes of all pages as another implementation has them. */
async function expectedTable(bytes: Uint8Array, pageBytes: number): Promise<Uint8Array> {
  const table = Buffer.alloc(8 * Math.ceil(bytes.length / pageBytes))
  for (let page = 0; page * pageBytes < bytes.length; page++) {
    const hash = await xxhash3(bytes.subarray(page * pageBytes, (page + 1) * pageBytes))
    table.writeBigUInt64LE(BigInt(`0x${hash}`), 8 * page)
  }
  return table
}

export function pageHashCases(engineOf: () => Engine): void {
  let engine: Engine
  let src: number
  let table: number
  let bitmapAt: number

  beforeAll(() => {
    engine = engineOf()
    src = engine.allocate(80_000)
    table = engine.allocate(80_000)
    bitmapAt = engine.allocate(80_000)
  })

  const pageSizes = [8, 16, 100, 240, 241, 1024, 4096, 5000]
  test.each(pageSizes)('the table of pages of %i bytes equals hash-wasm, page by page', async (pageBytes) => {
    for (const [pageCount, tail] of [
      [0, 0],
      [1, 0],
      [1, 1],
      [3, pageBytes - 1],
      [13, pageBytes >> 1],
    ] as const) {
      const bytes = noise(pageCount * pageBytes + tail, pageCount + 1)
      const at = src + (tail & 7)
      engine.bytes.set(bytes, at)
      const expected = await expectedTable(bytes, pageBytes)
      engine.bytes[table + expected.length] = 0xa5
      engine.kernels.hashPages(at, bytes.length, pageBytes, table)
      const got = engine.bytes.subarray(table, table + expected.length)
      expect(Buffer.compare(got, expected), `${bytes.length} bytes`).toBe(0)
      expect(engine.bytes[table + expected.length], 'a byte past the table').toBe(0xa5)
    }
  })

  test.each(pageSizes)('changed pages of %i bytes are found and the table stays', (pageBytes) => {
    for (const [pageCount, tail] of [
      [1, 0],
      [8, 1],
      [13, pageBytes - 1],
    ] as const) {
      const pages = Math.ceil(pageCount + tail / pageBytes)
      const bytes = noise(pageCount * pageBytes + tail, pageCount)
      engine.bytes.set(bytes, src)
      engine.kernels.hashPages(src, bytes.length, pageBytes, table)
      const hashes = engine.bytes.slice(table, table + 8 * pages)
      // Bit 2 of each byte is set before: its page is not looked at.
      const expected = new Uint8Array(Math.ceil(pages / 8) + 1).fill(4)
      engine.bytes.set(expected, bitmapAt)
      let changed = 0
      for (const [page, value] of noise(pages, pageCount + tail).entries()) {
        const at = page * pageBytes + (value % pageBytes)
        if (value < 100 || at >= bytes.length) continue
        engine.bytes[src + at] = (bytes[at] as number) ^ (1 << (value & 7))
        if ((page & 7) === 2) continue
        expected[page >> 3] = (expected[page >> 3] as number) | (1 << (page & 7))
        changed++
      }
      expect(engine.kernels.changedPages(src, bytes.length, pageBytes, table, bitmapAt)).toBe(changed)
      const bitmap = engine.bytes.subarray(bitmapAt, bitmapAt + expected.length)
      expect(Buffer.compare(bitmap, expected), `${bytes.length} bytes`).toBe(0)
      expect(Buffer.compare(engine.bytes.subarray(table, table + 8 * pages), hashes)).toBe(0)
      expect(engine.kernels.changedPages(src, bytes.length, pageBytes, table, bitmapAt)).toBe(0)
    }
  })

  test('a page size of 0 is EINVAL', () => {
    expectUntouched(engine, 'EINVAL', () => engine.kernels.hashPages(src, 10, 0, table))
    expectUntouched(engine, 'EINVAL', () => engine.kernels.changedPages(src, 10, 0, table, bitmapAt))
  })
}
