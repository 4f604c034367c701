import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32cCombine } from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

const POLYNOMIAL = 0x82f63b78
/** What folding over the far taps leaves, and thrice that: every way through the kernel, several times. */
const REST = 7072
const LONGEST = 3 * REST + 700
const PREVIOUS = [0, 1, 0x80000000, 0x9e3779b9, 0xffffffff]

/** The CRC register after one more byte, bit by bit as the definition has it. */
function step(register: number, byte: number): number {
  let next = register ^ byte
  for (let bit = 0; bit < 8; bit++) next = (next >>> 1) ^ (next & 1 ? POLYNOMIAL : 0)
  return next
}

/** CRC-32C of the first n bytes, at index n. */
function prefixChecksums(bytes: Uint8Array, previous = 0): Uint32Array {
  const checksums = new Uint32Array(bytes.length + 1)
  let register = ~previous
  checksums[0] = previous
  for (const [i, byte] of bytes.entries()) {
    register = step(register, byte)
    checksums[i + 1] = ~register
  }
  return checksums
}

/** Every length up to 2500, then some: all of them would take the TypeScript twin minutes. */
function lengths(stride: number): number[] {
  const some = Array.from({ length: LONGEST + 1 }, (_, n) => n)
  return some.filter((n) => n < 2500 || n % stride === 0 || n > LONGEST - 3)
}

export function crc32cCases(engineOf: () => Engine): void {
  describe('CRC-32C', () => {
    let engine: Engine
    let src: number
    let dst: number

    beforeAll(() => {
      engine = engineOf()
      src = engine.allocate(LONGEST + 128, 64)
      dst = engine.allocate(LONGEST + 128, 64)
    })

    const crc32c = (at: number, byteLength: number, previous?: number): number =>
      engine.kernels.crc32c(at, byteLength, previous)

    /** How often each variant can be asked in a second or two. */
    const stride = (fine: number, coarse: number): number => (engine.variant === 'reference' ? coarse : fine)

    test('equals the bitwise definition at every length', () => {
      const sample = noise(LONGEST, 7)
      engine.bytes.set(sample, src)
      const expected = prefixChecksums(sample)
      const wrong = lengths(stride(1, 211)).filter((n) => crc32c(src, n) !== expected[n])
      expect(wrong).toEqual([])
    })

    test('equals it at every alignment, from any previous value', () => {
      const wrong: string[] = []
      for (let alignment = 0; alignment < 64; alignment++) {
        const sample = noise(LONGEST, alignment + 1)
        engine.bytes.set(sample, src + alignment)
        const previous = PREVIOUS[alignment % PREVIOUS.length] as number
        const expected = prefixChecksums(sample, previous)
        for (let n = alignment; n <= LONGEST; n += stride(61, 3001)) {
          if (crc32c(src + alignment, n, previous) !== expected[n]) wrong.push(`${n} bytes at ${alignment}`)
        }
      }
      expect(wrong).toEqual([])
    })

    test.each([0, 0x55, 0xff])('of bytes that are all %i equals it', (byte) => {
      const sample = new Uint8Array(LONGEST).fill(byte)
      engine.bytes.set(sample, src)
      const expected = prefixChecksums(sample)
      const wrong = lengths(stride(7, 997)).filter((n) => crc32c(src, n) !== expected[n])
      expect(wrong).toEqual([])
    })

    test('sees a single bit at every byte of a window longer than the longest tap', () => {
      const length = 2 * REST + 4321
      engine.bytes.fill(0, src, src + length)
      const zeroes = crc32c(src, length)
      // What bit n of a byte does to the register k bytes later; checksums are linear but for the start.
      const effects = Array.from({ length: 8 }, (_, bit) => {
        const after = new Uint32Array(length)
        after[0] = step(0, 1 << bit)
        for (let k = 1; k < length; k++) after[k] = step(after[k - 1] as number, 0)
        return after
      })
      const wrong: number[] = []
      for (let at = 0; at < length; at += stride(1, 53)) {
        const bit = at % 8
        engine.bytes[src + at] = 1 << bit
        const effect = effects[bit]?.[length - 1 - at] as number
        if (crc32c(src, length) !== (zeroes ^ effect) >>> 0) wrong.push(at)
        engine.bytes[src + at] = 0
      }
      expect(wrong).toEqual([])
    })

    test('in two pieces, split anywhere, equals CRC-32C at once, continued or combined', () => {
      engine.bytes.set(noise(LONGEST, 99), src)
      const whole = crc32c(src, LONGEST)
      const wrong: number[] = []
      for (let split = 0; split <= LONGEST; split += stride(13, 997)) {
        const first = crc32c(src, split)
        const rest = LONGEST - split
        if (crc32c(src + split, rest, first) !== whole) wrong.push(split)
        if (crc32cCombine(first, crc32c(src + split, rest), rest) !== whole) wrong.push(split)
      }
      expect(wrong).toEqual([])
    })

    test('reads its input and writes nowhere outside scratch', () => {
      engine.bytes.set(noise(LONGEST, 5), src)
      const scratchEnd = 65_536
      const before = engine.bytes.slice(scratchEnd)
      for (const n of [100, 3000, LONGEST]) crc32c(src + 3, n)
      expect(Buffer.compare(engine.bytes.subarray(scratchEnd), before)).toBe(0)
    })

    test('with a copy equals CRC-32C without, and copies these bytes and no others', () => {
      const sample = noise(LONGEST, 11)
      engine.bytes.set(sample, src)
      const wrong: number[] = []
      for (let n = 0; n < LONGEST; n += n < 300 ? 1 : stride(83, 1511)) {
        const to = dst + 32 + (n % 17)
        engine.bytes.fill(0xee, dst, dst + LONGEST + 128)
        const checksum = engine.kernels.copyCrc32c(to, src, n, n)
        const copied = Buffer.compare(engine.bytes.subarray(to, to + n), sample.subarray(0, n)) === 0
        const framed = engine.bytes[to - 1] === 0xee && engine.bytes[to + n] === 0xee
        if (checksum !== crc32c(src, n, n) || !copied || !framed) wrong.push(n)
      }
      expect(wrong).toEqual([])
      expect(Buffer.compare(engine.bytes.subarray(src, src + LONGEST), sample)).toBe(0)
    })

    test('with a copy refuses ranges that overlap, and takes neighbours', () => {
      for (const distance of [0, 1, -1, 99, -99]) {
        expectUntouched(engine, 'EINVAL', () =>
          engine.kernels.copyCrc32c(src + 200 + distance, src + 200, 100),
        )
      }
      expect(engine.kernels.copyCrc32c(src + 300, src + 200, 100)).toBe(crc32c(src + 300, 100))
      expect(engine.kernels.copyCrc32c(src + 100, src + 200, 100)).toBe(crc32c(src + 200, 100))
      expect(engine.kernels.copyCrc32c(src, src, 0, 77)).toBe(77)
    })
  })
}

/** Exponents from 0 of the multiples that folding goes by, as the kernel's source has them. */
export function foldingTaps(): number[][] {
  const source = readFileSync('assembly/crc32c-fold-steps.ts', 'utf8')
  return ['FAR', 'NEAR'].map((name) =>
    [...source.matchAll(new RegExp(String.raw`^const ${name}_\w: usize = ${name}_REST - (\d+)$`, 'gm'))].map(
      (match) => Number(match[1]),
    ),
  )
}

/** Remainder of 1 + x^taps modulo the generator; taps count bytes in the kernel and bits here. */
export function remainder(taps: number[]): number {
  const longest = Math.max(...taps)
  let message = 0
  // Horner, highest power first, in plain (not reflected) order of bits.
  for (let power = longest; power >= 0; power--) {
    const carry = message < 0
    // A tap of t moves a term t places on: x^D becomes x^(D-t), and D itself the constant term.
    const term = power === longest || taps.includes(longest - power) ? 1 : 0
    message = (message << 1) ^ term ^ (carry ? 0x1edc6f41 : 0)
  }
  return message
}
