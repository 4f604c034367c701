import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { LAYOUT_GROUP_BYTES, LAYOUT_OP_BYTES } from '../../../src/engine/index.ts'
import { expectUntouched, noise, place } from './fixture.ts'
import { encodeProgram, type Group, moveNaively, type Op } from './layout-encoding.ts'

const ROOM = 98_304

export function layoutCases(engineOf: () => Engine): void {
  let engine: Engine
  let live: number
  let packed: number

  beforeAll(() => {
    engine = engineOf()
    live = engine.allocate(ROOM)
    packed = engine.allocate(ROOM)
  })

  /** Runs a program both ways and compares the whole of both sides with the naive model. */
  function expectMoves(groups: readonly Group[], shift = 0, room = 4096): void {
    const bytes = encodeProgram(groups)
    const program = place(engine, bytes)
    const source = noise(room, 3)
    const ways = [
      { from: 'live', src: live, dst: packed },
      { from: 'packed', src: packed, dst: live },
    ] as const
    for (const { from, src, dst } of ways) {
      engine.bytes.set(source, src + shift)
      engine.bytes.fill(0xee, dst + shift, dst + shift + room)
      const expected = new Uint8Array(room).fill(0xee)
      moveNaively(groups, from, source, expected)
      const [a, b] = [live + shift, packed + shift]
      if (from === 'live') engine.kernels.layoutPack(program, bytes.length, b, a)
      else expect(engine.kernels.layoutUnpack(program, bytes.length, a, b)).toBeUndefined()
      const moved = engine.bytes.subarray(dst + shift, dst + shift + room)
      expect(Buffer.compare(moved, expected), `${from}, ${JSON.stringify(groups)}`).toBe(0)
      expect(Buffer.compare(engine.bytes.subarray(src + shift, src + shift + room), source)).toBe(0)
    }
    engine.free(program)
  }

  /** Expects the program to be refused both ways, with nothing moved by the good op before. */
  function expectRefused(code: 'EFAULT' | 'EINVAL', group: Group): void {
    const bytes = encodeProgram([{ ops: [{ live: 0, packed: 0, bytes: 8 }] }, group])
    const program = place(engine, bytes)
    engine.bytes.fill(1, live, live + 8)
    engine.bytes.fill(2, packed, packed + 8)
    expectUntouched(engine, code, () => engine.kernels.layoutPack(program, bytes.length, packed, live))
    expectUntouched(engine, code, () => engine.kernels.layoutUnpack(program, bytes.length, live, packed))
    engine.free(program)
  }

  describe('layout programs', () => {
    test('every length moves whole, and not one byte more', () => {
      for (let bytes = 1; bytes <= 300; bytes++)
        expectMoves([{ ops: [{ live: 5, packed: 9, bytes }] }], bytes % 7, 320)
    })

    test('records of every length are strided on both sides', () => {
      for (const bytes of [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 257]) {
        const ops = [{ live: 3, packed: 1, bytes }]
        expectMoves([{ count: 5, liveStride: bytes + 6, packedStride: bytes + 1, ops }])
        expectMoves([{ count: 5, liveStride: bytes, packedStride: bytes, ops }], 1)
      }
    })

    test('a block of many records is as one of few', () => {
      const ops = [
        { live: 0, packed: 0, bytes: 3 },
        { live: 8, packed: 3, bytes: 8 },
        { live: 16, packed: 11, bytes: 4, count: 3, liveStride: 8, packedStride: 5 },
      ]
      for (const count of [1, 2, 100, 1500])
        expectMoves([{ count, liveStride: 44, packedStride: 26, ops }], 0, 66_100)
    })

    test('the longer loop may be inside the record', () => {
      const op = { live: 2, packed: 1, bytes: 5, count: 40, liveStride: 8, packedStride: 5 }
      expectMoves([{ ops: [op] }])
      expectMoves([{ count: 3, liveStride: 400, packedStride: 201, ops: [op] }])
      expectMoves([{ count: 3, liveStride: 400, packedStride: 201, ops: [{ ...op, liveStride: 5 }] }])
    })

    test.each([2, 4, 8])('units of %i bytes are reversed', (swap) => {
      for (let units = 1; units <= 40; units++) {
        const bytes = units * swap
        const ops = [{ live: 1, packed: 3, bytes, swap }]
        expectMoves([{ ops }])
        expectMoves([{ count: 4, liveStride: bytes + 5, packedStride: bytes, ops }])
        expectMoves([{ count: 4, liveStride: bytes, packedStride: bytes, ops }])
      }
    })

    test('groups follow each other', () => {
      expectMoves([
        { ops: [{ live: 0, packed: 900, bytes: 1 }] },
        { count: 3, liveStride: 16, packedStride: 9, ops: [{ live: 8, packed: 10, bytes: 9 }] },
        {},
        { ops: [{ live: 100, packed: 40, bytes: 700 }] },
      ])
    })

    test('an empty program moves nothing', () => {
      const before = engine.bytes.slice(packed, packed + 100)
      engine.kernels.layoutPack(live, 0, packed, live)
      expect(engine.kernels.layoutUnpack(live, 0, packed, live)).toBeUndefined()
      expect([...engine.bytes.subarray(packed, packed + 100)]).toEqual([...before])
    })

    test('an op that reaches outside the memory anywhere runs none', () => {
      const end = engine.bytes.length
      const far = 0xffff_ffff
      const bad: readonly Op[] = [
        { live: end - live, packed: 0, bytes: 1 },
        { live: 0, packed: end - packed - 3, bytes: 4 },
        { live: 0, packed: 0, bytes: far },
        { live: far, packed: 0, bytes: 8 },
        { live: 0, packed: far, bytes: 8 },
        { live: 0, packed: 0, bytes: 1, count: far, liveStride: far, packedStride: 1 },
        { live: 0, packed: 0, bytes: 1, count: far, liveStride: 1, packedStride: far },
        { live: 0, packed: 0, bytes: 1, count: 0x8000_0001, liveStride: 2, packedStride: 2 },
      ]
      for (const op of bad) {
        expectRefused('EFAULT', { ops: [op] })
        expectRefused('EFAULT', { count: 2, liveStride: 1, packedStride: 1, ops: [op] })
      }
      const ops = [{ live: 0, packed: 0, bytes: 1 }]
      expectRefused('EFAULT', { count: far, liveStride: far, packedStride: 1, ops })
      expectRefused('EFAULT', { count: far, liveStride: 1, packedStride: far, ops })
      expectRefused('EFAULT', { count: 0x8000_0001, liveStride: 2, packedStride: 2, ops })
    })

    test('records that end with the memory are inside, one byte more is not', () => {
      const room = 2 * 10 + 4
      const first = engine.bytes.length - room
      const group = (packedAt: number): Group => ({
        count: 3,
        liveStride: 10,
        packedStride: 10,
        ops: [{ live: 0, packed: packedAt - packed, bytes: 4 }],
      })
      const fits = encodeProgram([group(first)])
      const program = place(engine, fits)
      engine.bytes.set(noise(room), live)
      engine.kernels.layoutPack(program, fits.length, packed, live)
      expect(engine.bytes.at(-1)).toBe(noise(room)[23])
      expectRefused('EFAULT', group(first + 1))
      engine.free(program)
    })

    test.each<[name: string, group: Group]>([
      ['a reserved word of a group', { reserved: 1 }],
      ['a group of no records', { count: 0 }],
      ['records at one place in live state', { count: 2, packedStride: 1 }],
      ['records at one place of the stream', { count: 2, liveStride: 1 }],
      ['a reserved word of an op', { ops: [{ live: 0, packed: 0, bytes: 8, reserved: 1 }] }],
      ['an op of no bytes', { ops: [{ live: 0, packed: 0, bytes: 0 }] }],
      ['an op of no rounds', { ops: [{ live: 0, packed: 0, bytes: 1, count: 0 }] }],
      ['rounds at one place', { ops: [{ live: 0, packed: 0, bytes: 1, count: 2, liveStride: 1 }] }],
      ['units of 1 byte', { ops: [{ live: 0, packed: 0, bytes: 8, swap: 1 }] }],
      ['units of 3 bytes', { ops: [{ live: 0, packed: 0, bytes: 6, swap: 3 }] }],
      ['units of 16 bytes', { ops: [{ live: 0, packed: 0, bytes: 16, swap: 16 }] }],
      ['half a unit', { ops: [{ live: 0, packed: 0, bytes: 6, swap: 4 }] }],
    ])('%s is EINVAL', (_name, group) => {
      expectRefused('EINVAL', group)
    })

    test('rows that are cut off are EINVAL', () => {
      const whole = encodeProgram([{ ops: [{ live: 0, packed: 0, bytes: 8 }], checks: [CHECK] }])
      const program = place(engine, whole)
      for (let byteLength = 1; byteLength < whole.length; byteLength++)
        expectUntouched(engine, 'EINVAL', () => engine.kernels.layoutPack(program, byteLength, packed, live))
      engine.free(program)
    })

    test('a program outside the memory is EFAULT, one that ends with it is not', () => {
      const bytes = encodeProgram([{ ops: [{ live: 0, packed: 0, bytes: 1 }] }])
      const last = engine.bytes.length - bytes.length
      engine.bytes.set(bytes, last)
      engine.kernels.layoutPack(last, bytes.length, packed, live)
      for (const pointer of [last + 1, engine.bytes.length, 2 ** 32 - 1, 2 ** 32 - bytes.length])
        expectUntouched(engine, 'EFAULT', () =>
          engine.kernels.layoutPack(pointer, bytes.length, packed, live),
        )
    })

    test('an op that would overwrite the program is EFAULT', () => {
      const byteLength = LAYOUT_GROUP_BYTES + LAYOUT_OP_BYTES
      const program = place(engine, encodeProgram([{ ops: [{ live: 0, packed: 0, bytes: 1 }] }]))
      const last = program + byteLength - 1
      expectUntouched(engine, 'EFAULT', () => engine.kernels.layoutPack(program, byteLength, last, live))
      expectUntouched(engine, 'EFAULT', () =>
        engine.kernels.layoutUnpack(program, byteLength, program, packed),
      )
      engine.kernels.layoutPack(program, byteLength, packed, program)
      expect(engine.bytes[packed]).toBe(engine.bytes[program])
      engine.free(program)
    })
  })
}

const CHECK = { width: 1, min: 0n, max: 255n }
