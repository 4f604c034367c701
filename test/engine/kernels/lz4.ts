import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { noise } from './fixture.ts'

const MOST = 300_000
/** Around each range, to see whether anything is written there. */
const FRAME = 64

/** Bytes as devices have them: zeroes, repetitions of many periods, numbers that count, noise. */
function deviceLike(byteLength: number, seed: number): Uint8Array {
  const bytes = noise(byteLength, seed)
  let at = 0
  for (let n = seed; at < byteLength; n++) {
    const length = 1 + ((n * 7919) % 700)
    if (n % 4 === 0) bytes.fill(0, at, at + length)
    if (n % 4 === 1) {
      for (let i = Math.max(at, 1 + (n % 37)); i < Math.min(at + length, byteLength); i++) {
        bytes[i] = bytes[i - 1 - (n % 37)] as number
      }
    }
    if (n % 4 === 2) for (let i = at; i < Math.min(at + length, byteLength); i += 4) bytes[i] = i >> 2
    at += length
  }
  return bytes
}

/** Bytes that a block of so many takes at most. */
function bound(byteLength: number): number {
  return byteLength + Math.ceil(byteLength / 255) + 16
}

/** What a block stands for, straight from the format's description; undefined where it is malformed. */
function decode(block: Uint8Array, most: number): number[] | undefined {
  const out: number[] = []
  let at = 0
  const next = (): number => block[at++] ?? Number.NaN
  const lengthFrom = (half: number): number => {
    let length = half
    if (half === 15) {
      for (let more = 255; more === 255;) {
        more = next()
        length += more
      }
    }
    return length
  }
  while (at < block.length) {
    const token = next()
    const literals = lengthFrom(token >> 4)
    if (!(at + literals <= block.length && out.length + literals <= most)) return undefined
    for (let i = 0; i < literals; i++) out.push(next())
    if (at === block.length) return out
    const distance = next() + 256 * next()
    if (!(distance > 0 && distance <= out.length)) return undefined
    const matched = lengthFrom(token & 15) + 4
    if (!(out.length + matched <= most)) return undefined
    for (let i = 0; i < matched; i++) out.push(out[out.length - distance] as number)
  }
  return undefined
}

export function lz4Cases(engineOf: () => Engine): void {
  describe('LZ4', () => {
    let engine: Engine
    let plain: number
    let packed: number
    let back: number

    beforeAll(() => {
      engine = engineOf()
      plain = engine.allocate(MOST)
      packed = engine.allocate(MOST + 2000 + 2 * FRAME) + FRAME
      back = engine.allocate(MOST + 2 * FRAME) + FRAME
    })

    const compress = (bytes: Uint8Array, room: number): number => {
      engine.bytes.set(bytes, plain)
      return engine.kernels.lz4Compress(plain, bytes.length, packed, room)
    }

    /** The error's code, or how many bytes came out; fails when a byte around `room` changed. */
    const decompress = (block: Uint8Array, room: number): number | string => {
      engine.bytes.set(block, packed)
      engine.bytes.fill(0xa5, back - FRAME, back)
      engine.bytes.fill(0xa5, back + room, back + room + FRAME)
      let result: number | string
      try {
        result = engine.kernels.lz4Decompress(packed, block.length, back, room)
      } catch (error) {
        result = VfioError.is(error) ? error.code : String(error)
      }
      const frame = [
        ...engine.bytes.subarray(back - FRAME, back),
        ...engine.bytes.subarray(back + room, back + room + FRAME),
      ]
      if (frame.some((byte) => byte !== 0xa5)) throw new Error('a byte outside the room was written')
      return result
    }

    /** '' when the bytes survive the round trip, also with no byte of room too many, and not with one too few. */
    const fault = (bytes: Uint8Array): string => {
      const length = compress(bytes, bound(bytes.length))
      if (length === 0) return 'did not fit into its bound'
      const block = engine.bytes.slice(packed, packed + length)
      if (decompress(block, bytes.length) !== bytes.length) return 'was refused'
      if (Buffer.compare(engine.bytes.subarray(back, back + bytes.length), bytes) !== 0)
        return 'came back changed'
      if (bytes.length > 0 && decompress(block, bytes.length - 1) !== 'EINVAL') return 'overflowed'
      engine.bytes.fill(0xa5, packed, packed + length + 1)
      if (compress(bytes, length) !== length) return 'did not fit exactly'
      if (engine.bytes[packed + length] !== 0xa5) return 'wrote past its room'
      if (Buffer.compare(engine.bytes.subarray(packed, packed + length), block) !== 0)
        return 'differs by room'
      return compress(bytes, length - 1) === 0 ? '' : 'fitted into one byte less'
    }

    test('brings bytes back, at every length', () => {
      const wrong: string[] = []
      for (let n = 0; n <= 700; n++) {
        const samples = [new Uint8Array(n), noise(n, n + 1), deviceLike(n, n), noise(n).fill(7, n >> 1)]
        for (const [kind, bytes] of samples.entries()) {
          const message = fault(bytes)
          if (message !== '') wrong.push(`${n} bytes of kind ${kind}: ${message}`)
        }
      }
      expect(wrong).toEqual([])
    })

    test('brings long runs of every period back', () => {
      const wrong: string[] = []
      for (let period = 1; period <= 70; period++) {
        const bytes = noise(2000, period)
        for (let i = period; i < 1900; i++) bytes[i] = bytes[i - period] as number
        const message = fault(bytes)
        if (message !== '') wrong.push(`period ${period}: ${message}`)
      }
      expect(wrong).toEqual([])
    })

    test.each([65_535, 65_536, 65_551, 262_144, MOST])('brings %i bytes back', (byteLength) => {
      expect(fault(deviceLike(byteLength, 3))).toBe('')
      expect(fault(noise(byteLength))).toBe('')
      expect(fault(new Uint8Array(byteLength))).toBe('')
    })

    test('matches no further back than a distance can say', () => {
      for (const distance of [65_534, 65_535, 65_536, 65_537]) {
        const bytes = noise(distance + 2000)
        bytes.copyWithin(distance, 0, 1000)
        expect(fault(bytes)).toBe('')
      }
    })

    test('makes blocks by the rules of the format: the last five bytes are literals, no match begins in the last twelve', () => {
      const wrong: number[] = []
      for (let n = 0; n < 600; n++) {
        const bytes = deviceLike(n, n + 5)
        const block = engine.bytes.slice(packed, packed + compress(bytes, bound(n)))
        const decoded = decode(block, n)
        if (decoded === undefined || Buffer.compare(Uint8Array.from(decoded), bytes) !== 0) wrong.push(n)
        if (!endsAsTheFormatSays(block, n)) wrong.push(n)
      }
      expect(wrong).toEqual([])
    })

    test('makes these bytes of them', () => {
      const text = new TextEncoder().encode('stopcopy stopcopy stopcopy, and on')
      const length = compress(text, 100)
      expect(Buffer.from(engine.bytes.subarray(packed, packed + length)).toString('latin1')).toBe(
        '\x9dstopcopy \x09\x00\x80, and on',
      )
    })

    test('shrinks zeroes to a 250th', () => {
      expect(compress(new Uint8Array(MOST), MOST)).toBeLessThan(MOST / 250)
    })

    test('says 0 for noise that has to shrink', () => {
      expect(compress(noise(4096, 9), 4095)).toBe(0)
      expect(compress(noise(4096, 9), 0)).toBe(0)
    })

    test.each([
      ['nothing', []],
      ['a literal that is missing', [0x10]],
      ['a length that is missing', [0xf0]],
      ['a length that goes on', [0xf0, 255, 255]],
      ['a distance cut in half', [0x10, 1, 1]],
      ['a distance of 0', [0x10, 1, 0, 0, 0]],
      ['a distance before the first byte', [0x10, 1, 2, 0, 0]],
      ['no literals at the end', [0x10, 1, 1, 0]],
      ['a match length that goes on', [0x1f, 1, 1, 0, 255, 255]],
    ])('refuses a block with %s', (_what, block) => {
      expect(decompress(Uint8Array.from(block), 1000)).toBe('EINVAL')
    })

    test('takes the block of nothing', () => {
      expect(decompress(Uint8Array.of(0), 0)).toBe(0)
      expect(compress(new Uint8Array(0), 1)).toBe(1)
    })

    test('refuses lengths that add up to more than 32 bits', () => {
      const block = new Uint8Array(MOST).fill(255)
      expect(decompress(block, MOST)).toBe('EINVAL')
      block[1] = 1
      expect(decompress(block, 20)).toBe('EINVAL')
    })

    test('of thousands of damaged blocks gives what the format says, and stays inside its room', () => {
      const blocks = [700, 3000].map((n) => {
        const length = compress(deviceLike(n, n), bound(n))
        return engine.bytes.slice(packed, packed + length)
      })
      const damage = fc.record({
        block: fc.constantFrom(...blocks),
        changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        cut: fc.option(fc.nat(), { freq: 3 }),
        room: fc.integer({ min: 0, max: 3200 }),
      })
      fc.assert(
        fc.property(damage, ({ block, changes, cut, room }) => {
          const damaged = block.slice(0, cut === null ? undefined : cut % block.length)
          for (const [at, byte] of changes) if (damaged.length > 0) damaged[at % damaged.length] = byte
          compareWithDecode(damaged, room)
        }),
        { numRuns: 3000, seed: 17 },
      )
    })

    test('of noise taken for a block gives what the format says', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(400), (block, room) =>
          compareWithDecode(block, room),
        ),
        { numRuns: 3000, seed: 18 },
      )
    })

    function compareWithDecode(block: Uint8Array, room: number): void {
      const expected = decode(block, room)
      const result = decompress(block, room)
      expect(result).toBe(expected === undefined ? 'EINVAL' : expected.length)
      if (expected !== undefined) {
        const got = engine.bytes.subarray(back, back + expected.length)
        expect(Buffer.compare(got, Uint8Array.from(expected))).toBe(0)
      }
    }
  })
}

/** Walks the sequences of a well-formed block of `byteLength` bytes. */
function endsAsTheFormatSays(block: Uint8Array, byteLength: number): boolean {
  let at = 0
  let out = 0
  let lastMatch = { begin: 0, end: 0 }
  const lengthFrom = (half: number): number => {
    let length = half
    for (let more = half === 15 ? 255 : 0; more === 255;) {
      more = block[at++] as number
      length += more
    }
    return length
  }
  for (;;) {
    const token = block[at++] as number
    const literals = lengthFrom(token >> 4)
    at += literals
    out += literals
    if (at >= block.length) break
    at += 2
    const begin = out
    out += 4 + lengthFrom(token & 15)
    lastMatch = { begin, end: out }
  }
  const matches = lastMatch.end > 0
  return !matches || (lastMatch.begin <= byteLength - 12 && lastMatch.end <= byteLength - 5)
}
