import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine, LayoutFault } from '../../../src/engine/index.ts'
import { LAYOUT_GROUP_BYTES } from '../../../src/engine/index.ts'
import { expectUntouched, place } from './fixture.ts'
import { type Check, encodeProgram, type Group } from './layout-encoding.ts'

const ROOM = 65_536

export function layoutCheckCases(engineOf: () => Engine): void {
  let engine: Engine
  let live: number
  let packed: number

  beforeAll(() => {
    engine = engineOf()
    live = engine.allocate(ROOM)
    packed = engine.allocate(ROOM)
  })

  function fault(groups: readonly Group[]): LayoutFault | undefined {
    const bytes = encodeProgram(groups)
    const program = place(engine, bytes)
    const found = engine.kernels.layoutValidate(program, bytes.length, packed)
    expect(engine.kernels.layoutUnpack(program, bytes.length, live, packed)).toEqual(found)
    engine.free(program)
    return found
  }

  const passes = (...checks: Check[]): boolean => fault([{ checks }]) === undefined

  function put(value: bigint, width: number, at = 0, bigEndian = false): void {
    const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + packed + at)
    for (let n = 0; n < width; n++)
      view.setUint8(bigEndian ? width - 1 - n : n, Number(BigInt.asUintN(8, value >> BigInt(8 * n))))
  }

  function expectRefused(code: 'EFAULT' | 'EINVAL', group: Group): void {
    const bytes = encodeProgram([{ checks: [{ width: 1, min: 1n, max: 1n }] }, group])
    const program = place(engine, bytes)
    put(0n, 8)
    expectUntouched(engine, code, () => engine.kernels.layoutValidate(program, bytes.length, packed))
    expectUntouched(engine, code, () => engine.kernels.layoutUnpack(program, bytes.length, live, packed))
    engine.free(program)
  }

  describe.each([1, 2, 4, 8])('checks of %i bytes', (width) => {
    const bits = BigInt(8 * width)
    const top = (1n << bits) - 1n
    const least = -(1n << (bits - 1n))
    const ranges = [
      { min: 3n, max: top - 2n, tried: [2n, 3n, top / 2n, top / 2n + 1n, top - 2n, top - 1n] },
      { min: 0n, max: top, tried: [0n, top] },
      { min: top, max: top, tried: [0n, top - 1n, top] },
      { min: 0n, max: 1n, tried: [0n, 1n, 2n, top] },
      { min: least + 1n, max: 5n, tried: [least, least + 1n, -1n, 0n, 5n, 6n, -least - 1n] },
      { min: -1n, max: -1n, tried: [-2n, -1n, 0n] },
    ]

    test.each([false, true])('pass at both bounds and fail beyond them; big endian: %s', (bigEndian) => {
      for (const { min, max, tried } of ranges)
        for (const value of tried)
          for (const refusesInside of [false, true]) {
            const wanted = (value >= min && value <= max) !== refusesInside
            // Alone, among few, and in vectors with a tail that overlaps.
            for (const elements of [1, 3, 32 / width + 1]) {
              const filler = refusesInside === wanted ? value : refusesInside ? max + 1n : min
              const isRoom = !refusesInside || max - min < top
              for (let n = 0; n < elements; n++) put(isRoom ? filler : value, width, n * width, bigEndian)
              put(value, width, (elements - 1) * width, bigEndian)
              const check = { width, elements, min, max, bigEndian, refusesInside }
              expect(passes(check), `${value} in ${min}..${max}, ${elements} elements`).toBe(wanted)
            }
          }
    })

    test('the place of every value is told, whichever it is', () => {
      for (const elements of [1, 5, 16 / width, 50]) {
        const record = elements * width + 3
        const group = {
          count: 4,
          liveStride: 1,
          packedStride: record,
          checks: [{ offset: 1, width, elements, min: 7n, max: 9n }],
        }
        for (let at = 0; at < 4 * record; at += 1) engine.bytes[packed + at] = 0xff
        for (let r = 0; r < 4; r++)
          for (let n = 0; n < elements; n++) put(8n, width, 1 + r * record + n * width)
        expect(fault([group])).toBeUndefined()
        for (let r = 0; r < 4; r++)
          for (let n = 0; n < elements; n++) {
            const offset = 1 + r * record + n * width
            put(10n, width, offset)
            expect(fault([group])).toEqual({ check: 0, offset })
            put(7n, width, offset)
          }
      }
    })
  })

  describe('layout checks', () => {
    test('rounds inside a record are checked, the last one too', () => {
      const check = { offset: 3, width: 2, count: 5, stride: 7, min: 10n, max: 20n }
      const group = { count: 3, liveStride: 1, packedStride: 64, checks: [check] }
      engine.bytes.fill(0xff, packed, packed + 256)
      const places = [0, 1, 2].flatMap((r) => [0, 1, 2, 3, 4].map((i) => 3 + 64 * r + 7 * i))
      for (const at of places) put(15n, 2, at)
      expect(fault([group])).toBeUndefined()
      for (const offset of places) {
        put(21n, 2, offset)
        expect(fault([group])).toEqual({ check: 0, offset })
        put(15n, 2, offset)
      }
      expect(fault([{ ...group, checks: [{ ...check, count: 6 }] }])?.offset).toBe(38)
    })

    test('the first check that fails is named by its number in the program', () => {
      put(1n, 4)
      const pass = { width: 4, min: 0n, max: 9n }
      const fail = { width: 4, min: 2n, max: 9n }
      expect(fault([])).toBeUndefined()
      expect(fault([{ checks: [pass, pass] }, { checks: [pass] }])).toBeUndefined()
      expect(fault([{ checks: [pass, fail, fail] }])).toEqual({ check: 1, offset: 0 })
      expect(fault([{ checks: [pass] }, { checks: [pass, fail] }])).toEqual({ check: 2, offset: 0 })
    })

    test('a bad record among thousands is found', () => {
      const count = 5000
      const group = {
        count,
        liveStride: 1,
        packedStride: 13,
        checks: [{ offset: 2, width: 1, min: 0n, max: 3n }],
      }
      engine.bytes.fill(1, packed, packed + 13 * count)
      expect(fault([group])).toBeUndefined()
      for (const record of [0, 1, 1259, 1260, 4999]) {
        put(4n, 1, 2 + 13 * record)
        expect(fault([group])).toEqual({ check: 0, offset: 2 + 13 * record })
        put(3n, 1, 2 + 13 * record)
      }
    })

    test('unpacking moves no record of a block that fails', () => {
      const bytes = encodeProgram([
        {
          count: 4,
          liveStride: 2,
          packedStride: 1,
          ops: [{ live: 0, packed: 0, bytes: 1 }],
          checks: [{ width: 1, min: 0n, max: 3n }],
        },
      ])
      const program = place(engine, bytes)
      engine.bytes.set([0, 1, 2, 4], packed)
      engine.bytes.fill(9, live, live + 8)
      expect(engine.kernels.layoutUnpack(program, bytes.length, live, packed)).toEqual({
        check: 0,
        offset: 3,
      })
      expect([...engine.bytes.subarray(live, live + 8)]).toEqual(Array(8).fill(9))
      engine.bytes[packed + 3] = 3
      expect(engine.kernels.layoutUnpack(program, bytes.length, live, packed)).toBeUndefined()
      expect([...engine.bytes.subarray(live, live + 8)]).toEqual([0, 9, 1, 9, 2, 9, 3, 9])
      engine.free(program)
    })

    test('values that end with the memory are inside, one byte more is not', () => {
      const check = {
        offset: engine.bytes.length - packed - 22,
        width: 2,
        count: 5,
        stride: 5,
        min: 0n,
        max: 0xffffn,
      }
      expect(passes(check)).toBe(true)
      expectRefused('EFAULT', { checks: [{ ...check, offset: check.offset + 1 }] })
    })

    test('a check outside the memory is EFAULT, also behind one that fails', () => {
      const end = engine.bytes.length - packed
      const far = 0xffff_ffff
      const bad: readonly Check[] = [
        { offset: end, width: 1, min: 0n, max: 0n },
        { offset: end - 7, width: 8, min: 0n, max: 0n },
        { width: 4, count: far, stride: far, min: 0n, max: 0n },
        { width: 4, count: 0x4000_0001, stride: 4, min: 0n, max: 0n },
        { width: 8, elements: 2 ** 29 - 1, min: 0n, max: 0n },
        { offset: far, width: 4, min: 0n, max: 0n },
      ]
      for (const check of bad) expectRefused('EFAULT', { checks: [check] })
      const checks = [{ width: 1, min: 0n, max: 0n }]
      expectRefused('EFAULT', { count: far, liveStride: 1, packedStride: far, checks })
    })

    test.each<[name: string, check: Check]>([
      ['a width of 0', { width: 0, min: 0n, max: 0n }],
      ['a width of 3', { width: 3, min: 0n, max: 0n }],
      ['a width of 16', { width: 16, min: 0n, max: 0n }],
      ['a width of 2^31', { width: 0x8000_0000, min: 0n, max: 0n }],
      ['no elements', { width: 1, elements: 0, min: 0n, max: 0n }],
      ['2^29 elements', { width: 1, elements: 2 ** 29, min: 0n, max: 0n }],
      ['no rounds', { width: 1, count: 0, min: 0n, max: 0n }],
      ['two rounds at one place', { width: 1, count: 2, min: 0n, max: 0n }],
    ])('%s is EINVAL', (_name, check) => {
      expectRefused('EINVAL', { checks: [check] })
    })

    test('a kind that does not exist is EINVAL', () => {
      const bytes = encodeProgram([{ checks: [{ width: 4, min: 0n, max: 0n }] }])
      for (const kind of [4, 8, 0x8000_0000]) {
        new DataView(bytes.buffer).setUint32(LAYOUT_GROUP_BYTES + 12, kind, true)
        const program = place(engine, bytes)
        expectUntouched(engine, 'EINVAL', () => engine.kernels.layoutValidate(program, bytes.length, packed))
        engine.free(program)
      }
    })
  })
}
