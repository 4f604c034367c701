import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../../src/engine/index.ts'
import { LAYOUT_CHECK_BYTES, LAYOUT_OP_BYTES } from '../../../src/engine/index.ts'
import { expectUntouched, noise, place } from './fixture.ts'

interface Op {
  live: number
  packed: number
  bytes: number
  reserved?: number
}

export interface Check {
  offset?: number
  width: number
  count?: number
  stride?: number
  signed?: boolean
  min: bigint
  max: bigint
}

export function encodeOps(ops: readonly Op[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(ops.length * LAYOUT_OP_BYTES))
  for (const [n, { live, packed, bytes, reserved = 0 }] of ops.entries()) {
    for (const [i, value] of [live, packed, bytes, reserved].entries()) {
      view.setUint32(n * LAYOUT_OP_BYTES + 4 * i, value, true)
    }
  }
  return new Uint8Array(view.buffer)
}

export function encodeChecks(checks: readonly Check[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(checks.length * LAYOUT_CHECK_BYTES))
  for (const [n, check] of checks.entries()) {
    const at = n * LAYOUT_CHECK_BYTES
    const { offset = 0, width, count = 1, stride = width, signed = false } = check
    for (const [i, value] of [offset, width, count, stride, Number(signed)].entries()) {
      view.setUint32(at + 4 * i, value, true)
    }
    view.setBigUint64(at + 24, BigInt.asUintN(64, check.min), true)
    view.setBigUint64(at + 32, BigInt.asUintN(64, check.max), true)
  }
  return new Uint8Array(view.buffer)
}

export function layoutCases(engineOf: () => Engine): void {
  let engine: Engine
  let live: number
  let packed: number

  beforeAll(() => {
    engine = engineOf()
    live = engine.allocate(4096)
    packed = engine.allocate(4096)
  })

  function failing(checks: readonly Check[]): number {
    const program = place(engine, encodeChecks(checks))
    const result = engine.kernels.layoutValidate(program, checks.length, packed)
    engine.free(program)
    return result
  }

  function put(value: bigint, width: number, at = 0): void {
    const bytes = new DataView(new ArrayBuffer(8))
    bytes.setBigUint64(0, BigInt.asUintN(64, value), true)
    engine.bytes.set(new Uint8Array(bytes.buffer, 0, width), packed + at)
  }

  describe('layout programs', () => {
    const ops: readonly Op[] = [
      { live: 0, packed: 900, bytes: 1 },
      { live: 2, packed: 1, bytes: 2 },
      { live: 4, packed: 3, bytes: 4 },
      { live: 8, packed: 7, bytes: 8 },
      { live: 17, packed: 15, bytes: 3 },
      { live: 100, packed: 30, bytes: 700 },
      { live: 20, packed: 18, bytes: 0 },
    ]

    test('pack moves every field to its packed place and nothing else', () => {
      const program = place(engine, encodeOps(ops))
      const source = noise(1000)
      engine.bytes.set(source, live)
      engine.bytes.fill(0xee, packed, packed + 1000)
      const expected = new Uint8Array(1000).fill(0xee)
      for (const op of ops) expected.set(source.subarray(op.live, op.live + op.bytes), op.packed)
      engine.kernels.layoutPack(program, ops.length, packed, live)
      expect([...engine.bytes.subarray(packed, packed + 1000)]).toEqual([...expected])
      expect([...engine.bytes.subarray(live, live + 1000)]).toEqual([...source])
    })

    test('unpack moves every field to its live place and nothing else', () => {
      const program = place(engine, encodeOps(ops))
      const source = noise(1000, 7)
      engine.bytes.set(source, packed)
      engine.bytes.fill(0xee, live, live + 1000)
      const expected = new Uint8Array(1000).fill(0xee)
      for (const op of ops) expected.set(source.subarray(op.packed, op.packed + op.bytes), op.live)
      engine.kernels.layoutUnpack(program, ops.length, live, packed)
      expect([...engine.bytes.subarray(live, live + 1000)]).toEqual([...expected])
    })

    test('an empty program moves nothing', () => {
      const before = engine.bytes.slice(packed, packed + 100)
      engine.kernels.layoutPack(live, 0, packed, live)
      expect([...engine.bytes.subarray(packed, packed + 100)]).toEqual([...before])
    })

    test('a bad op anywhere runs none of them', () => {
      const end = engine.bytes.length
      const good = { live: 0, packed: 0, bytes: 8 }
      engine.bytes.fill(1, live, live + 8)
      engine.bytes.fill(2, packed, packed + 8)
      const bad: readonly (readonly ['EFAULT' | 'EINVAL', Op])[] = [
        ['EFAULT', { live: end - live, packed: 0, bytes: 1 }],
        ['EFAULT', { live: 0, packed: end - packed - 3, bytes: 4 }],
        ['EFAULT', { live: 0, packed: 0, bytes: 0xffffffff }],
        ['EFAULT', { live: 0xffffffff, packed: 0, bytes: 8 }],
        ['EFAULT', { live: 0, packed: 0xffffffff, bytes: 8 }],
        ['EINVAL', { live: 0, packed: 0, bytes: 8, reserved: 1 }],
      ]
      for (const [code, op] of bad) {
        const program = place(engine, encodeOps([good, op]))
        expectUntouched(engine, code, () => engine.kernels.layoutPack(program, 2, packed, live))
        expectUntouched(engine, code, () => engine.kernels.layoutUnpack(program, 2, live, packed))
      }
    })

    test('an op that would overwrite the program is EFAULT', () => {
      const program = place(engine, encodeOps([{ live: 0, packed: 0, bytes: 1 }]))
      expectUntouched(engine, 'EFAULT', () => engine.kernels.layoutPack(program, 1, program + 15, live))
      expectUntouched(engine, 'EFAULT', () => engine.kernels.layoutUnpack(program, 1, program, packed))
      engine.kernels.layoutPack(program, 1, packed, program)
      expect(engine.bytes[packed]).toBe(engine.bytes[program])
    })
  })

  describe('layout checks', () => {
    test.each([1, 2, 4, 8])(
      'unsigned values of %i bytes pass at both bounds and fail beyond them',
      (width) => {
        const top = (1n << BigInt(8 * width)) - 1n
        const check = { width, min: 3n, max: top - 2n }
        const verdicts = [2n, 3n, top / 2n, top / 2n + 1n, top - 2n, top - 1n].map((value) => {
          put(value, width)
          return failing([check])
        })
        expect(verdicts).toEqual([0, -1, -1, -1, -1, 0])
        put(top, width)
        expect(failing([{ width, min: 0n, max: top }])).toBe(-1)
        expect(failing([{ width, min: top, max: top }])).toBe(-1)
      },
    )

    test.each([1, 2, 4, 8])('signed values of %i bytes pass at both bounds and fail beyond them', (width) => {
      const lowest = -(1n << BigInt(8 * width - 1))
      const check = { width, signed: true, min: lowest + 1n, max: 5n }
      const verdicts = [lowest, lowest + 1n, -1n, 0n, 5n, 6n].map((value) => {
        put(value, width)
        return failing([check])
      })
      expect(verdicts).toEqual([0, -1, -1, -1, -1, 0])
      put(-1n, width)
      expect(failing([{ width, signed: true, min: -1n, max: -1n }])).toBe(-1)
    })

    test('every value of a strided array is checked, the last one too', () => {
      const check = { offset: 3, width: 2, count: 5, stride: 7, min: 10n, max: 20n }
      engine.bytes.fill(0xff, packed, packed + 64)
      for (let i = 0; i < 5; i++) put(15n, 2, 3 + 7 * i)
      expect(failing([check])).toBe(-1)
      for (let i = 0; i < 5; i++) {
        put(21n, 2, 3 + 7 * i)
        expect(failing([check])).toBe(0)
        put(15n, 2, 3 + 7 * i)
      }
      expect(failing([{ ...check, count: 6 }])).toBe(0)
    })

    test('the first failing check is named', () => {
      put(1n, 4)
      const pass = { width: 4, min: 0n, max: 9n }
      const fail = { width: 4, min: 2n, max: 9n }
      expect(failing([])).toBe(-1)
      expect(failing([pass, pass])).toBe(-1)
      expect(failing([pass, fail, fail])).toBe(1)
    })

    test('a count of 0 checks nothing, wherever its offset points', () => {
      expect(failing([{ offset: 0xffffffff, width: 8, count: 0, min: 1n, max: 0n }])).toBe(-1)
    })

    test('an array that ends with the memory is inside, one byte more is not', () => {
      const check = {
        offset: engine.bytes.length - packed - 22,
        width: 2,
        count: 5,
        stride: 5,
        min: 0n,
        max: 0xffffn,
      }
      expect(failing([check])).toBe(-1)
      const program = place(engine, encodeChecks([{ ...check, offset: check.offset + 1 }]))
      expectUntouched(engine, 'EFAULT', () => engine.kernels.layoutValidate(program, 1, packed))
    })

    test('a check outside the memory is EFAULT, also behind one that fails', () => {
      const fail = { width: 1, min: 1n, max: 0n }
      const end = engine.bytes.length - packed
      const bad: readonly Check[] = [
        { offset: end, width: 1, min: 0n, max: 0n },
        { offset: end - 7, width: 8, min: 0n, max: 0n },
        { offset: 0, width: 4, count: 0xffffffff, stride: 0xffffffff, min: 0n, max: 0n },
        { offset: 0, width: 4, count: 0x40000001, stride: 4, min: 0n, max: 0n },
        { offset: 0xffffffff, width: 4, min: 0n, max: 0n },
      ]
      for (const check of bad) {
        const program = place(engine, encodeChecks([fail, check]))
        expectUntouched(engine, 'EFAULT', () => engine.kernels.layoutValidate(program, 2, packed))
      }
    })

    test('a width, kind or reserved field that does not exist is EINVAL', () => {
      for (const [field, value] of [
        [4, 0],
        [4, 3],
        [4, 16],
        [4, 0x80000000],
        [16, 2],
        [20, 1],
      ] as const) {
        const program = place(engine, encodeChecks([{ width: 4, min: 0n, max: 0n }]))
        new DataView(engine.bytes.buffer).setUint32(program + field, value, true)
        expectUntouched(engine, 'EINVAL', () => engine.kernels.layoutValidate(program, 1, packed))
      }
    })
  })
}
