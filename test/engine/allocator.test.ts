import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAllocator } from '../../src/engine/allocator.ts'
import { VfioError } from '../../src/errors.ts'

const START = 64
const END = 4096

function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return VfioError.is(error) ? error.code : String(error)
  }
}

/** Live ranges, and from them every gap. */
class Model {
  readonly live = new Map<number, number>()

  fits(byteLength: number, alignment: number): boolean {
    let gap = START
    const sorted = [...this.live].sort(([a], [b]) => a - b)
    for (const [pointer, length] of [...sorted, [END, 0] as const]) {
      if (Math.ceil(gap / alignment) * alignment + byteLength <= pointer) return true
      gap = pointer + length
    }
    return false
  }

  overlaps(pointer: number, byteLength: number): boolean {
    return [...this.live].some(([at, length]) => pointer < at + length && at < pointer + byteLength)
  }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('allocate' as const),
    byteLength: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 2000 })),
    alignment: fc.constantFrom(1, 2, 8, 16, 64, 512),
  }),
  fc.record({ kind: fc.constant('free' as const), which: fc.nat() }),
)

describe('the allocator', () => {
  test('keeps ranges apart, aligned and zeroed, fails only when nothing fits, and coalesces', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const bytes = new Uint8Array(END)
        const allocator = createAllocator(bytes, START)
        const model = new Model()
        const total = (): number => [...model.live.values()].reduce((sum, length) => sum + length, 0)
        for (const action of steps) {
          if (action.kind === 'free') {
            const pointers = [...model.live.keys()]
            const pointer = pointers[action.which % Math.max(pointers.length, 1)]
            if (pointer === undefined) continue
            allocator.free(pointer)
            model.live.delete(pointer)
          } else if (model.fits(action.byteLength, action.alignment)) {
            const pointer = allocator.allocate(action.byteLength, action.alignment)
            expect(pointer % action.alignment).toBe(0)
            if (action.byteLength === 0) continue
            const range = bytes.subarray(pointer, pointer + action.byteLength)
            expect(pointer >= START && pointer + action.byteLength <= END).toBe(true)
            expect(model.overlaps(pointer, action.byteLength)).toBe(false)
            expect(range.every((byte) => byte === 0)).toBe(true)
            range.fill(0xff)
            model.live.set(pointer, action.byteLength)
          } else if (action.byteLength > 0) {
            const before = bytes.slice()
            const ranges = allocator.freeRangeCount
            expect(codeOf(() => allocator.allocate(action.byteLength, action.alignment))).toBe('ENOMEM')
            expect(allocator.freeRangeCount).toBe(ranges)
            expect(Buffer.compare(bytes, before)).toBe(0)
          }
          expect(allocator.allocatedBytes).toBe(total())
        }
        for (const pointer of model.live.keys()) allocator.free(pointer)
        expect(allocator.allocatedBytes).toBe(0)
        expect(allocator.freeRangeCount).toBe(1)
        expect(allocator.allocate(END - START, 1)).toBe(START)
      }),
    )
  })

  test('does not write memory that was never handed out', () => {
    const bytes = new Uint8Array(END)
    const allocator = createAllocator(bytes, START)
    bytes.fill(7, 1000)
    const pointer = allocator.allocate(2000)
    expect(bytes[pointer + 1500], 'left as it was').toBe(7)
    allocator.free(pointer)
    const again = allocator.allocate(3000)
    expect(again).toBe(pointer)
    expect(
      bytes.subarray(again, again + 2000).every((byte) => byte === 0),
      'used before: cleared',
    ).toBe(true)
    expect(bytes[again + 2500], 'never used: left').toBe(7)
  })

  test('100,000 cycles of allocating and freeing leave it as it was', () => {
    const allocator = createAllocator(new Uint8Array(END), START)
    const kept = allocator.allocate(100)
    for (let i = 0; i < 100_000; i++) {
      const first = allocator.allocate(1 + (i % 700), 64)
      const second = allocator.allocate(300)
      allocator.free(first)
      allocator.free(second)
    }
    expect(allocator.allocatedBytes).toBe(100)
    expect(allocator.freeRangeCount).toBe(1)
    allocator.free(kept)
    expect(allocator.allocate(END - START)).toBe(START)
  })

  test('0 bytes are pointer 0, which never fails and may be freed', () => {
    const allocator = createAllocator(new Uint8Array(START), START)
    expect(allocator.allocate(0)).toBe(0)
    allocator.free(0)
    allocator.free(0)
    expect(allocator.allocatedBytes).toBe(0)
    expect(codeOf(() => allocator.allocate(1))).toBe('ENOMEM')
  })

  test('freeing a pointer that is not allocated is EINVAL', () => {
    const allocator = createAllocator(new Uint8Array(END), START)
    const pointer = allocator.allocate(32)
    for (const wrong of [pointer + 1, pointer + 16, START + 32, -1, 0.5, Number.NaN]) {
      expect(codeOf(() => allocator.free(wrong))).toBe('EINVAL')
    }
    allocator.free(pointer)
    expect(codeOf(() => allocator.free(pointer))).toBe('EINVAL')
  })

  test('a length or alignment that is none is EINVAL', () => {
    const allocator = createAllocator(new Uint8Array(END), START)
    for (const byteLength of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(codeOf(() => allocator.allocate(byteLength))).toBe('EINVAL')
    }
    for (const alignment of [0, -16, 3, 24, 0.5, Number.NaN, 2 ** 32]) {
      expect(codeOf(() => allocator.allocate(16, alignment))).toBe('EINVAL')
    }
    expect(codeOf(() => allocator.allocate(2 ** 40))).toBe('ENOMEM')
    expect(codeOf(() => allocator.allocate(16, 2 ** 31))).toBe('ENOMEM')
    expect(allocator.freeRangeCount).toBe(1)
  })
})
