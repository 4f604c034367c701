import { createXXHash3 } from 'hash-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import { XXH3_STATE_BYTES } from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise, place } from './fixture.ts'

const KIB = 1024
const SEEDS: readonly (readonly [low: number, high: number])[] = [
  [0, 0],
  [0x9e3779b1, 0x80000000],
]
/** Around what the kernels treat differently: forms, blocks, the shortest and the longest streams. */
const EDGES = [
  0,
  16,
  128,
  240,
  KIB,
  12 * KIB,
  13 * KIB,
  192 * KIB,
  193 * KIB,
  204 * KIB,
  205 * KIB,
  384 * KIB,
]
const LENGTHS: readonly number[] = [
  ...EDGES.flatMap((edge) => [edge - 1, edge, edge + 1, edge + 65]),
  ...[14, 15, 16, 20, 64, 97, 127, 256, 300].map((n) => n * KIB + (n % 3)),
].filter((length) => length >= 0)
const LONGEST = Math.max(...LENGTHS)
const MARGIN = 64

export function xxh3Cases(engineOf: () => Engine): void {
  let engine: Engine
  let src: number
  let dst: number
  let out: number

  beforeAll(() => {
    engine = engineOf()
    src = place(engine, noise(LONGEST + MARGIN, 3), 4096)
    dst = engine.allocate(LONGEST + 2 * MARGIN, 4096)
    out = engine.allocate(8)
  })

  const stored = (): string =>
    new DataView(engine.bytes.buffer).getBigUint64(out, true).toString(16).padStart(16, '0')

  describe.each(SEEDS)('with seed halves %i, %i', (low, high) => {
    let expected: (at: number, byteLength: number) => string
    beforeAll(async () => {
      const hasher = await createXXHash3(low, high)
      expected = (at, byteLength) =>
        hasher
          .init()
          .update(engine.bytes.slice(at, at + byteLength))
          .digest()
    })

    test('XXH3-64 in streams equals hash-wasm', () => {
      const wrong: number[] = []
      for (const [i, byteLength] of LENGTHS.entries()) {
        engine.kernels.xxh3(src + (i % 17), byteLength, out, low, high)
        if (stored() !== expected(src + (i % 17), byteLength)) wrong.push(byteLength)
      }
      expect(wrong).toEqual([])
    })

    test('copyXxh3 copies those bytes and no other, and its hash is the same', () => {
      const wrong: string[] = []
      for (const [i, byteLength] of LENGTHS.entries()) {
        const from = src + ((5 * i) % 17)
        const to = dst + MARGIN + ((3 * i) % 16)
        engine.bytes.fill(0xaa, dst, dst + LONGEST + 2 * MARGIN)
        engine.kernels.copyXxh3(to, from, byteLength, out, low, high)
        if (stored() !== expected(from, byteLength)) wrong.push(`hash of ${byteLength}`)
        const [a, b] = [
          engine.bytes.subarray(to, to + byteLength),
          engine.bytes.subarray(from, from + byteLength),
        ]
        if (Buffer.compare(a, b) !== 0) wrong.push(`copy of ${byteLength}`)
        const around = [
          engine.bytes.subarray(dst, to),
          engine.bytes.subarray(to + byteLength, dst + LONGEST + 2 * MARGIN),
        ]
        if (around.some((bytes) => Buffer.compare(bytes, new Uint8Array(bytes.length).fill(0xaa)) !== 0))
          wrong.push(`around ${byteLength}`)
      }
      expect(wrong).toEqual([])
    })

    test('any segmentation gives the hash of the whole, and a digest in between changes nothing', () => {
      const state = engine.allocate(XXH3_STATE_BYTES, 16)
      const wrong: string[] = []
      const pieces = [1, 63, 64, 65, 240, 241, 1023, 1024, 1025, 2048, 5000, 20_000, 300_000]
      for (const piece of pieces) {
        const whole = Math.min(LONGEST, piece < 64 ? 3000 : 40 * piece)
        engine.kernels.xxh3Start(state, low, high)
        for (let at = 0; at < whole; at += piece) {
          const taken = Math.min(piece, whole - at)
          engine.kernels.xxh3Update(state, src + at, taken)
          if (at % 3 === 0) engine.kernels.xxh3Digest(state, out)
          if (at % 3 === 0 && at % 7 === 0 && stored() !== expected(src, at + taken))
            wrong.push(`${piece}, ${at}`)
        }
        engine.kernels.xxh3Digest(state, out)
        if (stored() !== expected(src, whole)) wrong.push(`${whole} in pieces of ${piece}`)
      }
      expect(wrong).toEqual([])
      engine.free(state)
    })

    test('a hash can be split at every place around the forms and blocks', () => {
      const state = engine.allocate(XXH3_STATE_BYTES, 16)
      const wrong: string[] = []
      for (const whole of [0, 1, 17, 129, 240, 241, 1024, 1025, 1088, 1089, 2048, 2049, 2113]) {
        const hash = expected(src, whole)
        for (let split = 0; split <= whole; split += whole > 300 ? 31 : 1) {
          engine.kernels.xxh3Start(state, low, high)
          engine.kernels.xxh3Update(state, src, split)
          engine.kernels.xxh3Update(state, src + split, 0)
          engine.kernels.xxh3Update(state, src + split, whole - split)
          engine.kernels.xxh3Digest(state, out)
          if (stored() !== hash) wrong.push(`${whole} at ${split}`)
        }
      }
      expect(wrong).toEqual([])
      engine.free(state)
    })
  })

  test('copyXxh3 refuses ranges that overlap and takes neighbours', () => {
    const small = (call: () => void): void => expectUntouched(engine, 'EINVAL', call)
    small(() => engine.kernels.copyXxh3(dst, dst, 1, out))
    small(() => engine.kernels.copyXxh3(dst + 299, dst, 300, out))
    small(() => engine.kernels.copyXxh3(dst, dst + 299, 300, out))
    engine.kernels.copyXxh3(dst, dst + 300, 300, out)
    engine.kernels.copyXxh3(dst + 300, dst, 300, out)
    engine.kernels.copyXxh3(dst, dst, 0, out)
    expect(stored()).toBe('2d06800538d394c2')
  })

  test('any 1360 bytes are a state: nothing outside it changes', () => {
    const bytes = engine.allocate(3 * XXH3_STATE_BYTES, 16)
    const state = bytes + XXH3_STATE_BYTES
    for (let seed = 1; seed <= 40; seed++) {
      engine.bytes.set(noise(3 * XXH3_STATE_BYTES, seed), bytes)
      if (seed % 4 === 0) engine.bytes.fill(0xff, state, state + 8)
      if (seed % 4 === 1) engine.bytes.fill(0, state + 1, state + 8)
      const before = engine.bytes.slice(bytes, state)
      const after = engine.bytes.slice(state + XXH3_STATE_BYTES, state + 2 * XXH3_STATE_BYTES)
      engine.kernels.xxh3Update(state, src, (seed * 97) % 4000)
      engine.kernels.xxh3Digest(state, out)
      expect(Buffer.compare(engine.bytes.subarray(bytes, state), before)).toBe(0)
      const end = state + XXH3_STATE_BYTES
      expect(Buffer.compare(engine.bytes.subarray(end, end + XXH3_STATE_BYTES), after)).toBe(0)
    }
    engine.free(bytes)
  })
}
