import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine, Kernels } from '../../../src/engine/index.ts'
import { RUN_BYTES, XXH3_STATE_BYTES } from '../../../src/engine/index.ts'
import { expectUntouched } from './fixture.ts'

/** A pointer argument of a kernel and how many bytes the call below makes it use there. */
interface Range {
  kernel: keyof Kernels
  pointer: string
  byteLength: number
  call: (kernels: Kernels, pointer: number) => unknown
}

/** Any range inside the memory, for the arguments that are not tried. */
const FINE = 66_000

/** `sectionsGather` of no run of a memory of 300 bytes, with one argument to try. */
function gather(tried: 'template' | 'source' | 'out' | 'digest' | 'totals'): Range['call'] {
  return (k, p) => {
    const fine = { template: FINE, source: FINE + 200, out: FINE + 600, digest: 0, totals: FINE + 1200 }
    fine[tried] = p
    const { template, source, out, digest, totals } = fine
    return k.sectionsGather(0, template, FINE + 100, 0, source, 300, 4096, out, 500, digest, totals)
  }
}

const RANGES: readonly Range[] = [
  { kernel: 'copy', pointer: 'dst', byteLength: 64, call: (k, p) => k.copy(p, FINE, 64) },
  { kernel: 'copy', pointer: 'src', byteLength: 64, call: (k, p) => k.copy(FINE, p, 64) },
  { kernel: 'xxh3', pointer: 'src', byteLength: 300, call: (k, p) => k.xxh3(p, 300, FINE) },
  { kernel: 'xxh3', pointer: 'src (short form)', byteLength: 7, call: (k, p) => k.xxh3(p, 7, FINE) },
  { kernel: 'xxh3', pointer: 'out', byteLength: 8, call: (k, p) => k.xxh3(FINE, 300, p) },
  {
    kernel: 'copyXxh3',
    pointer: 'dst',
    byteLength: 300,
    call: (k, p) => k.copyXxh3(p, FINE, 300, FINE + 400),
  },
  {
    kernel: 'copyXxh3',
    pointer: 'src',
    byteLength: 300,
    call: (k, p) => k.copyXxh3(FINE, p, 300, FINE + 400),
  },
  { kernel: 'copyXxh3', pointer: 'out', byteLength: 8, call: (k, p) => k.copyXxh3(FINE + 400, FINE, 300, p) },
  { kernel: 'xxh3Start', pointer: 'state', byteLength: XXH3_STATE_BYTES, call: (k, p) => k.xxh3Start(p) },
  {
    kernel: 'xxh3Update',
    pointer: 'state',
    byteLength: XXH3_STATE_BYTES,
    call: (k, p) => k.xxh3Update(p, FINE, 300),
  },
  { kernel: 'xxh3Update', pointer: 'src', byteLength: 300, call: (k, p) => k.xxh3Update(FINE + 400, p, 300) },
  {
    kernel: 'xxh3Digest',
    pointer: 'state',
    byteLength: XXH3_STATE_BYTES,
    call: (k, p) => k.xxh3Digest(p, FINE),
  },
  { kernel: 'xxh3Digest', pointer: 'out', byteLength: 8, call: (k, p) => k.xxh3Digest(FINE, p) },
  { kernel: 'crc32c', pointer: 'src', byteLength: 64, call: (k, p) => k.crc32c(p, 64) },
  { kernel: 'crc32c', pointer: 'src (folded)', byteLength: 60_000, call: (k, p) => k.crc32c(p, 60_000) },
  { kernel: 'copyCrc32c', pointer: 'dst', byteLength: 64, call: (k, p) => k.copyCrc32c(p, FINE, 64) },
  { kernel: 'copyCrc32c', pointer: 'src', byteLength: 64, call: (k, p) => k.copyCrc32c(FINE, p, 64) },
  { kernel: 'lz4Compress', pointer: 'src', byteLength: 90, call: (k, p) => k.lz4Compress(p, 90, FINE, 99) },
  { kernel: 'lz4Compress', pointer: 'dst', byteLength: 99, call: (k, p) => k.lz4Compress(FINE, 90, p, 99) },
  { kernel: 'lz4Decompress', pointer: 'src', byteLength: 1, call: (k, p) => k.lz4Decompress(p, 1, FINE, 99) },
  {
    kernel: 'lz4Decompress',
    pointer: 'dst',
    byteLength: 99,
    call: (k, p) => k.lz4Decompress(FINE, 1, p, 99),
  },
  { kernel: 'zeroPages', pointer: 'src', byteLength: 90, call: (k, p) => k.zeroPages(p, 90, 10, FINE) },
  { kernel: 'zeroPages', pointer: 'bitmap', byteLength: 2, call: (k, p) => k.zeroPages(FINE, 90, 10, p) },
  { kernel: 'bitmapRuns', pointer: 'bitmap', byteLength: 9, call: (k, p) => k.bitmapRuns(p, 3, 62, FINE, 4) },
  { kernel: 'hashPages', pointer: 'src', byteLength: 90, call: (k, p) => k.hashPages(p, 90, 20, FINE) },
  { kernel: 'hashPages', pointer: 'table', byteLength: 40, call: (k, p) => k.hashPages(FINE, 90, 20, p) },
  {
    kernel: 'changedPages',
    pointer: 'src',
    byteLength: 90,
    call: (k, p) => k.changedPages(p, 90, 10, FINE, FINE),
  },
  {
    kernel: 'changedPages',
    pointer: 'table',
    byteLength: 72,
    call: (k, p) => k.changedPages(FINE, 90, 10, p, FINE),
  },
  {
    kernel: 'changedPages',
    pointer: 'bitmap',
    byteLength: 2,
    call: (k, p) => k.changedPages(FINE, 90, 10, FINE, p),
  },
  { kernel: 'diffPages', pointer: 'a', byteLength: 90, call: (k, p) => k.diffPages(p, FINE, 90, 10, FINE) },
  { kernel: 'diffPages', pointer: 'b', byteLength: 90, call: (k, p) => k.diffPages(FINE, p, 90, 10, FINE) },
  {
    kernel: 'diffPages',
    pointer: 'bitmap',
    byteLength: 2,
    call: (k, p) => k.diffPages(FINE, FINE, 90, 10, p),
  },
  {
    kernel: 'bitmapRuns',
    pointer: 'bitmap (blocks)',
    byteLength: 70,
    call: (k, p) => k.bitmapRuns(p, 0, 553, FINE, 4),
  },
  { kernel: 'bitmapRuns', pointer: 'runs', byteLength: 32, call: (k, p) => k.bitmapRuns(FINE, 0, 600, p, 4) },
  {
    kernel: 'zeroRuns',
    pointer: 'src',
    byteLength: 90,
    call: (k, p) => k.zeroRuns(p, 90, 20, 1, 4, FINE, 4),
  },
  {
    kernel: 'zeroRuns',
    pointer: 'runs',
    byteLength: 32,
    call: (k, p) => k.zeroRuns(FINE, 90, 20, 1, 4, p, 4),
  },
  {
    kernel: 'sectionSeal',
    pointer: 'header',
    byteLength: 40,
    call: (k, p) => k.sectionSeal(0, p, FINE, 300),
  },
  {
    kernel: 'sectionSeal',
    pointer: 'payload',
    byteLength: 300,
    call: (k, p) => k.sectionSeal(1, FINE, p, 300),
  },
  {
    kernel: 'sectionSeal',
    pointer: 'copyTo',
    byteLength: 300,
    call: (k, p) => k.sectionSeal(0, FINE, FINE + 400, 300, p),
  },
  {
    kernel: 'sectionSeal',
    pointer: 'digest',
    byteLength: 16,
    call: (k, p) => k.sectionSeal(0, FINE, FINE + 400, 300, 0, p),
  },
  {
    kernel: 'sectionVerify',
    pointer: 'payload',
    byteLength: 300,
    call: (k, p) => k.sectionVerify(0, p, 300, FINE),
  },
  {
    kernel: 'sectionVerify',
    pointer: 'expected',
    byteLength: 8,
    call: (k, p) => k.sectionVerify(1, FINE, 300, p),
  },
  { kernel: 'sectionsGather', pointer: 'template', byteLength: 24, call: gather('template') },
  { kernel: 'sectionsGather', pointer: 'source', byteLength: 300, call: gather('source') },
  { kernel: 'sectionsGather', pointer: 'out', byteLength: 500, call: gather('out') },
  { kernel: 'sectionsGather', pointer: 'digest', byteLength: 16, call: gather('digest') },
  { kernel: 'sectionsGather', pointer: 'totals', byteLength: 8, call: gather('totals') },
]

/** Lengths and counts, each far too large in one way or another. */
const LENGTHS: readonly (readonly [string, (kernels: Kernels, length: number) => unknown])[] = [
  ['copy byteLength', (k, n) => k.copy(FINE, FINE, n)],
  ['xxh3 byteLength', (k, n) => k.xxh3(FINE, n, FINE)],
  ['copyXxh3 byteLength', (k, n) => k.copyXxh3(FINE, FINE, n, FINE)],
  ['xxh3Update byteLength', (k, n) => k.xxh3Update(FINE, FINE, n)],
  ['sectionSeal payloadBytes', (k, n) => k.sectionSeal(0, FINE, FINE, n)],
  ['sectionSeal copied payloadBytes', (k, n) => k.sectionSeal(0, FINE, FINE, n, FINE)],
  ['sectionVerify payloadBytes', (k, n) => k.sectionVerify(0, FINE, n, FINE)],
  [
    'sectionsGather memoryBytes',
    (k, n) => k.sectionsGather(0, FINE, FINE, 0, FINE, n, 4096, FINE, 0, 0, FINE),
  ],
  ['sectionsGather outBytes', (k, n) => k.sectionsGather(0, FINE, FINE, 0, FINE, 0, 4096, FINE, n, 0, FINE)],
  ['crc32c byteLength', (k, n) => k.crc32c(FINE, n)],
  ['copyCrc32c byteLength', (k, n) => k.copyCrc32c(FINE, FINE, n)],
  ['lz4Compress srcBytes', (k, n) => k.lz4Compress(FINE, n, FINE, 9)],
  ['lz4Compress dstBytes', (k, n) => k.lz4Compress(FINE, 9, FINE, n)],
  ['lz4Decompress srcBytes', (k, n) => k.lz4Decompress(FINE, n, FINE, 9)],
  ['lz4Decompress dstBytes', (k, n) => k.lz4Decompress(FINE, 1, FINE, n)],
  ['zeroPages byteLength', (k, n) => k.zeroPages(FINE, n, 4096, FINE)],
  ['bitmapRuns firstBit', (k, n) => k.bitmapRuns(FINE, 8 * n, 1, FINE, 1)],
  ['bitmapRuns bitCount', (k, n) => k.bitmapRuns(FINE, 0, 8 * n, FINE, 1)],
  ['bitmapRuns maxRuns', (k, n) => k.bitmapRuns(FINE, 0, 8, FINE, n)],
  ['hashPages byteLength', (k, n) => k.hashPages(FINE, n, 4096, FINE)],
  ['changedPages byteLength', (k, n) => k.changedPages(FINE, n, 4096, FINE, FINE)],
  ['diffPages byteLength', (k, n) => k.diffPages(FINE, FINE, n, 4096, FINE)],
  ['zeroRuns byteLength', (k, n) => k.zeroRuns(FINE, n, 4096, 0, 1, FINE, 1)],
  ['zeroRuns firstPage', (k, n) => k.zeroRuns(FINE, 4096, 1, n, 1, FINE, 1)],
  ['zeroRuns maxRuns', (k, n) => k.zeroRuns(FINE, 4096, 1, 0, 1, FINE, n)],
  ['layoutPack programBytes', (k, n) => k.layoutPack(FINE, n, FINE, FINE)],
  ['layoutUnpack programBytes', (k, n) => k.layoutUnpack(FINE, n, FINE, FINE)],
  ['layoutValidate programBytes', (k, n) => k.layoutValidate(FINE, n, FINE)],
]

export function rangeCases(createSmall: () => Promise<Engine>): void {
  describe('ranges outside the memory', () => {
    let engine: Engine
    let end: number

    beforeAll(async () => {
      engine = await createSmall()
      end = engine.bytes.length
    })

    test.each(RANGES)(
      '$kernel takes $pointer up to the last byte and not one further',
      ({ byteLength, call }) => {
        expect(() => call(engine.kernels, end - byteLength)).not.toThrow()
        engine.bytes.fill(0, FINE, end)
        expectUntouched(engine, 'EFAULT', () => call(engine.kernels, end - byteLength + 1))
        expectUntouched(engine, 'EFAULT', () => call(engine.kernels, end))
      },
    )

    test.each(RANGES)('$kernel does not wrap $pointer around at 2^32', ({ byteLength, call }) => {
      const wrapping = [
        2 ** 32 - 1,
        2 ** 32 - byteLength,
        2 ** 32 - byteLength + 1,
        2 ** 31,
        2 ** 32,
        2 ** 32 + FINE,
      ]
      for (const pointer of wrapping) expectUntouched(engine, 'EFAULT', () => call(engine.kernels, pointer))
    })

    test.each(RANGES)('$kernel refuses a $pointer that is no address', ({ call }) => {
      for (const pointer of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, FINE - 2 ** 32]) {
        expectUntouched(engine, 'EFAULT', () => call(engine.kernels, pointer))
      }
    })

    test.each(LENGTHS)('%s past the end, wrapping or no number is EFAULT', (_name, call) => {
      const tooLong = [
        end - FINE + 1,
        2 ** 32 - FINE,
        2 ** 32 - FINE + 1,
        2 ** 32 - 1,
        2 ** 32,
        2 ** 32 + 8,
        -1,
        Number.NaN,
      ]
      for (const length of tooLong) expectUntouched(engine, 'EFAULT', () => call(engine.kernels, length))
    })

    test('counts whose byte length wraps at 2^32 are EFAULT', () => {
      const sections = (runs: number, runCount: number): number =>
        engine.kernels.sectionsGather(0, FINE, runs, runCount, FINE, 300, 4096, FINE, 0, 0, FINE)
      expectUntouched(engine, 'EFAULT', () => sections(FINE, 2 ** 32 / RUN_BYTES + 1))
      expectUntouched(engine, 'EFAULT', () => sections(end - RUN_BYTES + 1, 1))
    })

    test('tables of more entries than memory can hold are EFAULT', () => {
      expectUntouched(engine, 'EFAULT', () => engine.kernels.hashPages(0, end, 1, FINE))
      expectUntouched(engine, 'EFAULT', () => engine.kernels.changedPages(0, end, 1, FINE, FINE))
    })

    test('bits and pages whose end wraps at 2^32 are EFAULT', () => {
      const k = engine.kernels
      expectUntouched(engine, 'EFAULT', () => k.bitmapRuns(FINE, 2 ** 32 - 8, 8, FINE, 1))
      expectUntouched(engine, 'EFAULT', () => k.bitmapRuns(FINE, 8, 2 ** 32 - 1, FINE, 1))
      expectUntouched(engine, 'EFAULT', () => k.bitmapRuns(FINE, 0, 8, FINE, 2 ** 29 + 1))
      expectUntouched(engine, 'EFAULT', () => k.zeroRuns(FINE, 100, 10, 2 ** 32 - 1, 2, FINE, 1))
      expectUntouched(engine, 'EFAULT', () => k.zeroRuns(FINE, 100, 10, 9, 2, FINE, 1))
      expectUntouched(engine, 'EFAULT', () => k.zeroRuns(FINE, 100, 10, 0, 10, FINE, 2 ** 29 + 1))
    })

    test('nothing at the very end is inside, nothing beyond it is not', () => {
      engine.kernels.copy(end, end, 0)
      expect(engine.kernels.crc32c(end, 0)).toBe(0)
      expectUntouched(engine, 'EFAULT', () => engine.kernels.copy(end + 1, FINE, 0))
      expectUntouched(engine, 'EFAULT', () => engine.kernels.crc32c(end + 1, 0))
    })
  })
}
