import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32cCombine } from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { expectUntouched, noise } from './fixture.ts'

const POLYNOMIAL = 0x82f63b78
/** Bytes from which messages are folded, first over the near taps, then over the far ones. */
const NEAR_MIN = 896
const FAR_MIN = 49_152
/** What the far taps leave, and a message that far exceeds it: every way through the kernel, several times. */
const REST = 7072
const LONGEST = FAR_MIN + 3 * REST + 700
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

/** Lengths up to LONGEST: all that are small or near a border, of the others one in `stride`. */
function lengths(stride: number, border: number): number[] {
  const all = Array.from({ length: LONGEST + 1 }, (_, n) => n)
  return all.filter((n) => n < NEAR_MIN + border || Math.abs(n - FAR_MIN) < border || n % stride === 0)
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
      const wrong = lengths(stride(5, 997), stride(2500, 8)).filter((n) => crc32c(src, n) !== expected[n])
      expect(wrong).toEqual([])
    })

    test('equals it at every alignment, from any previous value', () => {
      const wrong: string[] = []
      for (let alignment = 0; alignment < 64; alignment++) {
        const sample = noise(LONGEST, alignment + 1)
        engine.bytes.set(sample, src + alignment)
        const previous = PREVIOUS[alignment % PREVIOUS.length] as number
        const expected = prefixChecksums(sample, previous)
        for (let n = alignment; n <= LONGEST; n += stride(211, 9973)) {
          if (crc32c(src + alignment, n, previous) !== expected[n]) wrong.push(`${n} bytes at ${alignment}`)
        }
      }
      expect(wrong).toEqual([])
    })

    test.each([0, 0x55, 0xff])('of bytes that are all %i equals it', (byte) => {
      const sample = new Uint8Array(LONGEST).fill(byte)
      engine.bytes.set(sample, src)
      const expected = prefixChecksums(sample)
      const wrong = lengths(stride(89, 4999), stride(300, 2)).filter((n) => crc32c(src, n) !== expected[n])
      expect(wrong).toEqual([])
    })

    test.each([
      ['near', 3000],
      ['far', FAR_MIN + 4321],
    ])('sees a single bit at every byte of what is folded over the %s taps', (_taps, length) => {
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
      const window = REST + 2000
      for (let at = 0; at < length; at += stride(1, 251)) {
        // Of a long message, the window that folds first and the one that is left.
        if (at >= window && at < length - window && length > 2 * window) at = length - window
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
      for (let split = 0; split <= LONGEST; split += stride(97, 4999)) {
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
      for (const n of [100, 3000, FAR_MIN - 1, LONGEST]) crc32c(src + 3, n)
      expect(Buffer.compare(engine.bytes.subarray(scratchEnd), before)).toBe(0)
    })

    test('with a copy equals CRC-32C without, and copies these bytes and no others', () => {
      const sample = noise(LONGEST, 11)
      engine.bytes.set(sample, src)
      const wrong: number[] = []
      for (let n = 0; n < LONGEST; n += n < 300 ? 1 : stride(83, 4999)) {
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

/** Taps of the multiples that folding goes by, as the kernel's source has them. */
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
