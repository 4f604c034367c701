import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { RUN_BYTES, createEngine } from '../../src/engine/index.ts'
import type { Engine, EngineVariant, Kernels } from '../../src/engine/index.ts'
import { encodeProgram, type Group } from './kernels/layout-encoding.ts'

const VARIANTS: readonly EngineVariant[] = ['simd', 'baseline', 'reference']
const AREA = 65_536
const AREA_BYTES = 65_536
/** Above the area the calls use. */
const PROGRAM = AREA + AREA_BYTES
/** Above any range the calls read. */
const OUT = PROGRAM + 40_000

const STATE = OUT + 16

/** A call's outcome, an error's code in place of a result. */
function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return (error as { code: unknown }).code
  }
}

/** Any address of the area, sometimes one beyond; never scratch, which is each variant's own. */
const pointer = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: AREA, max: AREA + AREA_BYTES - 1 }) },
  { weight: 1, arbitrary: fc.integer({ min: AREA, max: 2 ** 32 - 1 }) },
)
const length = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 }))
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })

/** Bytes of live or packed state that a program reaches. */
function reach(program: readonly Group[], side: 'live' | 'packed'): number {
  const stride = side === 'live' ? 'liveStride' : 'packedStride'
  const ends = program.flatMap(({ count = 1, ops = [], ...group }) =>
    ops.map(
      (op) =>
        op[side] + (count - 1) * (group[stride] ?? 0) + ((op.count ?? 1) - 1) * (op[stride] ?? 0) + op.bytes,
    ),
  )
  return Math.max(0, ...ends)
}

describe('the variants agree byte for byte on', () => {
  let engines: Engine[]

  beforeAll(async () => {
    engines = await Promise.all(
      VARIANTS.map((variant) => createEngine({ variant, memoryBytes: 3 * AREA_BYTES })),
    )
  })

  /** Runs one call over the same memory in each variant and compares results and memory above scratch. */
  function agree(
    content: Uint8Array,
    call: (kernels: Kernels, memory: Uint8Array) => unknown,
    program: Uint8Array = new Uint8Array(0),
  ): void {
    const outcomes = engines.map((engine) => {
      engine.bytes.fill(0, AREA)
      for (let at = AREA; at < AREA + AREA_BYTES; at += 3 * content.length + 1) {
        engine.bytes.set(content.subarray(0, AREA + AREA_BYTES - at), at)
      }
      engine.bytes.set(program, PROGRAM)
      return outcome(() => call(engine.kernels, engine.bytes))
    })
    const [first, ...others] = engines as [Engine, ...Engine[]]
    for (const [n, engine] of others.entries()) {
      expect(outcomes[n + 1], VARIANTS[n + 1]).toEqual(outcomes[0])
      expect(Buffer.compare(engine.bytes.subarray(AREA), first.bytes.subarray(AREA)), VARIANTS[n + 1]).toBe(0)
    }
  }

  const content = fc.uint8Array({ minLength: 1, maxLength: 400 })

  test('copies', () => {
    fc.assert(
      fc.property(content, pointer, pointer, length, (bytes, dst, src, n) => {
        agree(bytes, (k) => k.copy(dst, src, n))
      }),
    )
  })

  test('checksums', () => {
    fc.assert(
      fc.property(content, pointer, length, u32, u32, (bytes, src, n, low, high) => {
        agree(bytes, (k) => k.xxh3(src, n, OUT, low, high))
        agree(bytes, (k) => k.crc32c(src, n, low))
      }),
    )
  })

  test('copies with CRC-32C', () => {
    fc.assert(
      fc.property(content, pointer, pointer, length, u32, (bytes, dst, src, n, previous) => {
        agree(bytes, (k) => k.copyCrc32c(dst, src, n, previous))
      }),
    )
  })

  test('LZ4 blocks', () => {
    fc.assert(
      fc.property(content, pointer, length, fc.integer({ min: 0, max: 8000 }), (bytes, src, n, room) => {
        agree(bytes, (k, memory) => {
          const written = k.lz4Compress(src, n, OUT, room)
          // Past the block's end is anything.
          memory.fill(0, OUT + written)
          return written
        })
      }),
    )
  })

  test('copies that hash, and hashes in pieces, with their state', () => {
    fc.assert(
      fc.property(content, pointer, pointer, length, u32, (bytes, dst, src, n, seed) => {
        agree(bytes, (k) => k.copyXxh3(dst, src, n, OUT, seed))
        agree(bytes, (k) => {
          k.xxh3Start(STATE, seed)
          k.xxh3Update(STATE, src, n)
          k.xxh3Update(STATE, AREA, n)
          k.xxh3Digest(STATE, OUT)
        })
      }),
    )
  })

  test('sections', () => {
    const run = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 12 }))
    const runs = fc
      .array(run, { maxLength: 12 })
      .map((pairs) => new Uint8Array(Uint32Array.from(pairs.flat()).buffer))
    const kind = fc.integer({ min: 0, max: 2 })
    fc.assert(
      fc.property(
        content,
        runs,
        kind,
        length,
        length,
        fc.integer({ min: 0, max: 700 }),
        (bytes, list, k, n, room, page) => {
          const count = list.length / 8
          const gathered = (kernels: Kernels): number =>
            kernels.sectionsGather(
              k,
              AREA,
              PROGRAM,
              count,
              AREA,
              n,
              page,
              OUT,
              room,
              PROGRAM + 1000,
              PROGRAM + 2000,
            )
          agree(bytes, gathered, list)
          agree(bytes, (kernels) => kernels.sectionSeal(k, OUT, AREA + 1, n, OUT + 100, 0))
          agree(bytes, (kernels) => kernels.sectionVerify(k, AREA, n, AREA + room))
        },
      ),
    )
  })

  test('zero pages', () => {
    fc.assert(
      fc.property(content, pointer, length, fc.integer({ min: 0, max: 700 }), (bytes, src, n, pageBytes) => {
        agree(bytes, (k) => k.zeroPages(src, n, pageBytes, OUT))
      }),
    )
  })

  test('zero runs', () => {
    const page = fc.integer({ min: 0, max: 40 })
    fc.assert(
      fc.property(
        content,
        pointer,
        length,
        page,
        page,
        page,
        page,
        (bytes, src, n, size, first, count, max) => {
          agree(bytes, (k) => k.zeroRuns(src, n, size, first, count, OUT, max))
        },
      ),
    )
  })

  test('differing pages', () => {
    const pageBytes = fc.integer({ min: 0, max: 700 })
    fc.assert(
      fc.property(content, pointer, pointer, length, pageBytes, (bytes, a, b, n, size) => {
        agree(bytes, (k) => k.diffPages(a, b, n, size, OUT))
      }),
    )
  })

  test('page hashes', () => {
    const pageBytes = fc.integer({ min: 0, max: 700 })
    fc.assert(
      fc.property(content, pointer, pointer, length, pageBytes, (bytes, src, table, n, size) => {
        agree(bytes, (k) => k.hashPages(src, n, size, OUT))
        agree(bytes, (k) => k.changedPages(src, n, size, table, OUT))
      }),
    )
  })

  test('runs of a bitmap', () => {
    const bit = fc.integer({ min: 0, max: 3000 })
    const room = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 200, max: 2000 }))
    fc.assert(
      fc.property(content, pointer, bit, bit, room, (bytes, bitmap, first, count, max) => {
        agree(bytes, (k, memory) => {
          const found = k.bitmapRuns(bitmap, first, count, OUT, max)
          memory.fill(0, OUT + found * RUN_BYTES, OUT + max * RUN_BYTES)
          return found
        })
      }),
    )
  })

  const count = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constant(2 ** 32 - 1))
  const stride = fc.integer({ min: 0, max: 60 })
  const bytes = fc.oneof(fc.constantFrom(1, 2, 4, 8, 16), fc.integer({ min: 0, max: 300 }))
  const op = fc.record({
    live: fc.integer({ min: 0, max: 2000 }),
    packed: fc.integer({ min: 0, max: 2000 }),
    bytes,
    swap: fc.constantFrom(0, 0, 2, 4, 8, 3),
    count: fc.oneof(fc.constant(1), count),
    liveStride: stride,
    packedStride: stride,
  })
  const bound = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })
  const check = fc.record({
    offset: fc.integer({ min: 0, max: 500 }),
    width: fc.constantFrom(1, 2, 4, 8),
    elements: fc.integer({ min: 0, max: 40 }),
    count: fc.integer({ min: 0, max: 3 }),
    stride,
    bigEndian: fc.boolean(),
    refusesInside: fc.boolean(),
    min: fc.oneof(fc.constant(0n), bound),
    max: fc.oneof(fc.constant(2n ** 63n - 1n), bound),
  })
  const programs = fc.array(
    fc.record({
      count,
      liveStride: stride,
      packedStride: stride,
      ops: fc.array(op, { maxLength: 5 }),
      checks: fc.oneof(fc.constant([]), fc.array(check, { maxLength: 3 })),
    }),
    { maxLength: 3 },
  )

  test('packing and unpacking', () => {
    fc.assert(
      fc.property(content, programs, pointer, pointer, (fill, program, packed, live) => {
        const packedEnd = packed + reach(program, 'packed')
        const liveEnd = live + reach(program, 'live')
        fc.pre(
          packedEnd <= live || liveEnd <= packed || packedEnd > 3 * AREA_BYTES || liveEnd > 3 * AREA_BYTES,
        )
        const encoded = encodeProgram(program)
        agree(fill, (k) => k.layoutPack(PROGRAM, encoded.length, packed, live), encoded)
        agree(fill, (k) => k.layoutUnpack(PROGRAM, encoded.length, live, packed), encoded)
      }),
    )
  })

  test('validation', () => {
    fc.assert(
      fc.property(content, programs, pointer, (fill, program, packed) => {
        const encoded = encodeProgram(program)
        agree(fill, (k) => k.layoutValidate(PROGRAM, encoded.length, packed), encoded)
      }),
    )
  })
})
