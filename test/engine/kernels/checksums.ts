import { crc32c as nativeCrc32c } from '@node-rs/crc32'
import { createXXHash3 } from 'hash-wasm'
import { beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { noise, place } from './fixture.ts'

const SEEDS: readonly (readonly [low: number, high: number])[] = [
  [0, 0],
  [1, 0],
  [0x9e3779b1, 0x80000000],
  [0xffffffff, 0xffffffff],
]
const LARGE_LENGTHS = [4095, 4096, 4097, 65_535, 65_536 + 64, 262_144, 1_048_576 + 1, 3_000_017]

export function checksumCases(engineOf: () => Engine): void {
  let engine: Engine
  let src: number
  let out: number

  beforeAll(() => {
    engine = engineOf()
    src = place(engine, noise(4 << 20))
    out = engine.allocate(8)
  })

  const xxh3 = (at: number, byteLength: number, low?: number, high?: number): string => {
    engine.kernels.xxh3(at, byteLength, out, low, high)
    return new DataView(engine.bytes.buffer).getBigUint64(out, true).toString(16).padStart(16, '0')
  }

  test.each(SEEDS)('XXH3-64 with seed halves %i, %i equals hash-wasm at every length', async (low, high) => {
    const hasher = await createXXHash3(low, high)
    const wrong: string[] = []
    const compare = (at: number, byteLength: number): void => {
      const expected = hasher
        .init()
        .update(engine.bytes.subarray(at, at + byteLength))
        .digest()
      const got = xxh3(at, byteLength, low, high)
      if (got !== expected) wrong.push(`${byteLength} bytes at ${at}: ${got}, not ${expected}`)
    }
    for (let byteLength = 0; byteLength <= 1200; byteLength++) {
      for (const misalignment of [0, 1, 6, 15]) compare(src + misalignment, byteLength)
    }
    for (const byteLength of LARGE_LENGTHS) compare(src + (byteLength % 7), byteLength)
    expect(wrong).toEqual([])
  })

  test('XXH3-64 carries out of a low half whose sum is exactly 2^32', async () => {
    // Lane 0 starts as 0xc2b2ae3d; its own data equals the secret, so only its neighbour's data is added.
    const bytes = new Uint8Array(256)
    bytes.set([0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe])
    new DataView(bytes.buffer).setUint32(8, 2 ** 32 - 0xc2b2ae3d, true)
    const hasher = await createXXHash3()
    expect(xxh3(place(engine, bytes), bytes.length)).toBe(hasher.init().update(bytes).digest())
  })

  test('XXH3-64 of nothing is the published constant, and the seed defaults to 0', () => {
    expect(xxh3(src, 0)).toBe('2d06800538d394c2')
    expect(xxh3(src, 100)).toBe(xxh3(src, 100, 0, 0))
  })

  test('XXH3-64 stores 8 bytes and no more', () => {
    const frame = engine.allocate(24)
    engine.bytes.fill(0xaa, frame, frame + 24)
    engine.kernels.xxh3(src, 500, frame + 8)
    expect([...engine.bytes.subarray(frame, frame + 8)]).toEqual(Array(8).fill(0xaa))
    expect([...engine.bytes.subarray(frame + 16, frame + 24)]).toEqual(Array(8).fill(0xaa))
  })

  test('CRC-32C of the check string is the published constant', () => {
    const text = place(engine, new TextEncoder().encode('123456789'))
    expect(engine.kernels.crc32c(text, 9)).toBe(0xe3069283)
    expect(engine.kernels.crc32c(text, 0)).toBe(0)
  })

  test('CRC-32C equals the native one, from any previous value', () => {
    const wrong: string[] = []
    for (let byteLength = 0; byteLength <= 300; byteLength++) {
      for (const previous of [0, 1, 0x80000000, 0xffffffff]) {
        const at = src + (byteLength % 11)
        const expected = nativeCrc32c(engine.bytes.subarray(at, at + byteLength), previous)
        if (engine.kernels.crc32c(at, byteLength, previous) !== expected)
          wrong.push(`${byteLength}, ${previous}`)
      }
    }
    for (const byteLength of LARGE_LENGTHS) {
      const expected = nativeCrc32c(engine.bytes.subarray(src, src + byteLength))
      if (engine.kernels.crc32c(src, byteLength) !== expected) wrong.push(`${byteLength}`)
    }
    expect(wrong).toEqual([])
  })

  test('CRC-32C in pieces equals CRC-32C at once', () => {
    const whole = engine.kernels.crc32c(src, 10_000)
    let inPieces = 0
    for (let at = 0, piece = 1; at < 10_000; at += piece, piece = Math.min(piece * 3, 10_000 - at)) {
      inPieces = engine.kernels.crc32c(src + at, piece, inPieces)
    }
    expect(inPieces).toBe(whole)
  })
}
