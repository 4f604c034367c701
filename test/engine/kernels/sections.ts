import { beforeAll, describe, expect, test } from 'vitest'
import {
  CHECKSUM_CRC32C,
  CHECKSUM_XXH3,
  RUN_BYTES,
  crc32cOfBytes,
  xxh3OfBytes,
} from '../../../src/engine/index.ts'
import type { Engine } from '../../../src/engine/index.ts'
import { Digest, sameChecksum, storeChecksum } from '../../../src/format/checksum.ts'
import {
  PAYLOAD_CHECKSUM_OFFSET,
  SECTION_CHECKSUM_OFFSET,
  SECTION_HEADER_BYTES,
  SECTION_MANDATORY,
  Tag,
  encodeSection,
} from '../../../src/format/section.ts'
import { expectUntouched, noise, place } from './fixture.ts'

const PAGE = 4096
/** No multiple of a page: the last one is short. */
const MEMORY_BYTES = 200 * PAGE + 1234
const PAGES = 201
const OUT_BYTES = MEMORY_BYTES + PAGES * SECTION_HEADER_BYTES
const FIRST_SEQUENCE = 0xfffffffe
const DIGEST_START = 0x1122334455667788n

const KINDS = [
  ['xxh3', CHECKSUM_XXH3],
  ['crc32c', CHECKSUM_CRC32C],
] as const
type Run = readonly [first: number, count: number]

/** The checksum as the stream holds it. */
function checksum(kind: number, bytes: Uint8Array): bigint {
  return kind === CHECKSUM_XXH3 ? xxh3OfBytes(bytes) : BigInt(crc32cOfBytes(bytes))
}

/** A PAGES section as the format writes it. */
function section(
  kind: number,
  sequence: number,
  region: number,
  first: number,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(SECTION_HEADER_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  const payloadBytes = payload.length
  encodeSection(view, { tag: Tag.PAGES, flags: SECTION_MANDATORY, sequence, payloadBytes, region, first })
  view.setBigUint64(PAYLOAD_CHECKSUM_OFFSET, checksum(kind, payload), true)
  const sealed = checksum(kind, bytes.subarray(0, SECTION_CHECKSUM_OFFSET))
  view.setBigUint64(SECTION_CHECKSUM_OFFSET, sealed, true)
  bytes.set(payload, SECTION_HEADER_BYTES)
  return bytes
}

/** The digest after each of the sections. */
function chain(kind: number, sections: readonly Uint8Array[]): bigint {
  const link = new DataView(new ArrayBuffer(16))
  link.setBigUint64(0, DIGEST_START, true)
  for (const bytes of sections) {
    new Uint8Array(link.buffer).set(bytes.subarray(SECTION_CHECKSUM_OFFSET, SECTION_HEADER_BYTES), 8)
    link.setBigUint64(0, checksum(kind, new Uint8Array(link.buffer)), true)
  }
  return link.getBigUint64(0, true)
}

export function sectionCases(engineOf: () => Engine): void {
  let engine: Engine
  let view: DataView
  let memory: number
  let out: number
  let template: number
  let runsAt: number
  let digest: number
  let totals: number

  beforeAll(() => {
    engine = engineOf()
    view = new DataView(engine.bytes.buffer)
    memory = place(engine, noise(MEMORY_BYTES, 9), 16)
    out = engine.allocate(OUT_BYTES + 64)
    template = engine.allocate(SECTION_HEADER_BYTES)
    runsAt = engine.allocate(RUN_BYTES * 400)
    digest = engine.allocate(16)
    totals = engine.allocate(8)
  })

  const payloadOf = ([first, count]: Run): Uint8Array =>
    engine.bytes.subarray(
      memory + first * PAGE,
      Math.min(memory + (first + count) * PAGE, memory + MEMORY_BYTES),
    )

  const expected = (kind: number, runs: readonly Run[]): Uint8Array[] =>
    runs.map((run, n) => section(kind, (FIRST_SEQUENCE + n) >>> 0, 3, run[0], payloadOf(run)))

  const storeRuns = (runs: readonly Run[]): void => {
    for (const [n, [first, count]] of runs.entries()) {
      view.setUint32(runsAt + n * RUN_BYTES, first, true)
      view.setUint32(runsAt + n * RUN_BYTES + 4, count, true)
    }
  }

  const flip = (at: number, bits: number): void => view.setUint8(at, view.getUint8(at) ^ bits)

  const storeTemplate = (): void => {
    const header = { tag: Tag.PAGES, flags: SECTION_MANDATORY, region: 3 }
    const filled = { sequence: FIRST_SEQUENCE, payloadBytes: 77, first: 2 ** 40 }
    encodeSection(new DataView(engine.bytes.buffer, template), { ...header, ...filled })
    view.setBigUint64(digest, DIGEST_START, true)
  }

  const gather = (kind: number, runs: readonly Run[], outBytes = OUT_BYTES, chained = digest): number => {
    storeTemplate()
    storeRuns(runs)
    const k = engine.kernels
    const n = runs.length
    return k.sectionsGather(
      kind,
      template,
      runsAt,
      n,
      memory,
      MEMORY_BYTES,
      PAGE,
      out,
      outBytes,
      chained,
      totals,
    )
  }

  describe.each(KINDS)('with %s', (name, kind) => {
    test('a sealed section is the one the format writes', () => {
      const header = engine.allocate(SECTION_HEADER_BYTES)
      const copyTo = engine.allocate(70_000)
      for (const payloadBytes of [0, 1, 16, 200, 1024, 4096, 65_536, 69_999]) {
        const payload = memory + (payloadBytes % 13)
        const want = section(kind, 5, 1, 7, engine.bytes.slice(payload, payload + payloadBytes))
        for (const copies of [false, true]) {
          engine.bytes.fill(0xee, copyTo, copyTo + 70_000)
          engine.bytes.set(want.subarray(0, PAYLOAD_CHECKSUM_OFFSET), header)
          engine.bytes.fill(0, header + PAYLOAD_CHECKSUM_OFFSET, header + SECTION_HEADER_BYTES)
          view.setBigUint64(digest, DIGEST_START, true)
          engine.kernels.sectionSeal(kind, header, payload, payloadBytes, copies ? copyTo : 0, digest)
          const sealed = engine.bytes.slice(header, header + SECTION_HEADER_BYTES)
          expect(sealed).toEqual(want.slice(0, SECTION_HEADER_BYTES))
          expect(view.getBigUint64(digest, true)).toBe(chain(kind, [want]))
          const copied = engine.bytes.subarray(copyTo, copyTo + payloadBytes)
          const same = Buffer.compare(copied, want.subarray(SECTION_HEADER_BYTES)) === 0
          expect(same).toBe(copies || payloadBytes === 0)
          expect(engine.bytes[copyTo + payloadBytes]).toBe(0xee)
        }
      }
      engine.free(header)
      engine.free(copyTo)
    })

    test('the chained digest is the one that the format keeps', () => {
      const header = place(engine, noise(SECTION_HEADER_BYTES, 4))
      const start = place(engine, noise(8, 5))
      const kept = new Digest(engine, name, engine.allocate(16), start)
      engine.bytes.copyWithin(digest, start, start + 8)
      for (let n = 0; n < 3; n++) {
        engine.kernels.sectionSeal(kind, header, memory + n, 100, 0, digest)
        kept.add(header + SECTION_CHECKSUM_OFFSET)
        expect(sameChecksum(engine, digest, kept.pointer)).toBe(true)
      }
    })

    test('sectionVerify knows a payload from one with a bit flipped', () => {
      const sum = engine.allocate(8)
      for (const payloadBytes of [0, 1, 40, 300, 5000, 100_000]) {
        storeChecksum(engine, name, memory, payloadBytes, sum)
        const verify = (): boolean => engine.kernels.sectionVerify(kind, memory, payloadBytes, sum)
        expect(verify()).toBe(true)
        for (const bit of [0, 31, 63]) {
          flip(sum + (bit >>> 3), 1 << (bit & 7))
          expect(verify(), `bit ${bit} of the checksum`).toBe(false)
          flip(sum + (bit >>> 3), 1 << (bit & 7))
        }
        if (payloadBytes === 0) continue
        flip(memory + payloadBytes - 1, 0x10)
        expect(verify(), 'the last byte').toBe(false)
        flip(memory + payloadBytes - 1, 0x10)
      }
    })

    const lists: readonly (readonly [string, readonly Run[]])[] = [
      ['single pages', [0, 2, 5, 6, 100, 199, 200].map((first) => [first, 1])],
      [
        'runs that end with a short page',
        [
          [3, 2],
          [10, 64],
          [198, 3],
        ],
      ],
      ['all pages at once', [[0, PAGES]]],
      [
        'runs in any order, some twice',
        [
          [50, 9],
          [4, 1],
          [50, 9],
          [0, 17],
        ],
      ],
      ['no run', []],
    ]
    test.each(lists)('%s become sections back to back', (_name, runs) => {
      const want = expected(kind, runs)
      const stream = Buffer.concat(want)
      engine.bytes.fill(0x77, out, out + OUT_BYTES)
      expect(gather(kind, runs)).toBe(runs.length)
      expect(Buffer.compare(engine.bytes.subarray(out, out + stream.length), stream)).toBe(0)
      expect(engine.bytes[out + stream.length], 'behind them').toBe(0x77)
      expect(view.getUint32(totals, true)).toBe(stream.length)
      expect(view.getUint32(totals + 4, true)).toBe(stream.length - runs.length * SECTION_HEADER_BYTES)
      expect(view.getBigUint64(digest, true)).toBe(chain(kind, want))
    })

    test('a run that does not fit is left, with those behind it', () => {
      const runs: Run[] = [
        [0, 1],
        [7, 3],
        [9, 1],
      ]
      const want = expected(kind, runs)
      const lengths = want.map((bytes) => bytes.length)
      const two = (lengths[0] as number) + (lengths[1] as number)
      for (const [outBytes, fit] of [
        [0, 0],
        [PAGE + 39, 0],
        [PAGE + 40, 1],
        [two - 1, 1],
        [two, 2],
        [two + PAGE, 2],
      ] as const) {
        engine.bytes.fill(0x77, out, out + OUT_BYTES)
        expect(gather(kind, runs, outBytes)).toBe(fit)
        const stream = Buffer.concat(want.slice(0, fit))
        expect(view.getUint32(totals, true)).toBe(stream.length)
        expect(Buffer.compare(engine.bytes.subarray(out, out + stream.length), stream)).toBe(0)
        expect(
          engine.bytes.subarray(out + stream.length, out + two + PAGE).every((byte) => byte === 0x77),
        ).toBe(true)
        expect(view.getBigUint64(digest, true)).toBe(chain(kind, want.slice(0, fit)))
      }
    })
  })

  test('a digest of 0 is none', () => {
    const scratch = engine.bytes.slice(0, 16)
    expect(gather(CHECKSUM_XXH3, [[1, 2]], OUT_BYTES, 0)).toBe(1)
    expect(engine.bytes.slice(0, 16)).toEqual(scratch)
    expect(view.getBigUint64(digest, true)).toBe(DIGEST_START)
  })

  test('a run outside the memory writes nothing, wherever it stands', () => {
    const outside: readonly Run[] = [
      [PAGES, 1],
      [PAGES - 1, 2],
      [0, PAGES + 1],
      [0xffffffff, 1],
      [1, 0xffffffff],
      [0, 0x80000001],
    ]
    for (const run of outside) {
      for (const runs of [[run], [[0, 1], [5, 2], run]] as Run[][]) {
        gather(CHECKSUM_XXH3, [])
        storeRuns(runs)
        expectUntouched(engine, 'EFAULT', () => gather(CHECKSUM_XXH3, runs))
      }
    }
    gather(CHECKSUM_XXH3, [])
    storeRuns([
      [0, 1],
      [4, 0],
    ])
    expectUntouched(engine, 'EINVAL', () =>
      gather(CHECKSUM_XXH3, [
        [0, 1],
        [4, 0],
      ]),
    )
  })

  test('refuses kinds, pages and overlaps that no section has', () => {
    const k = engine.kernels
    gather(CHECKSUM_XXH3, [[1, 2]])
    const refuse = (call: () => unknown): void => expectUntouched(engine, 'EINVAL', call)
    const sections = (kind: number, pageBytes: number, at: number, room: number, chained = 0): number =>
      k.sectionsGather(kind, template, runsAt, 1, memory, MEMORY_BYTES, pageBytes, at, room, chained, totals)
    refuse(() => sections(2, PAGE, out, OUT_BYTES))
    refuse(() => sections(0, 0, out, OUT_BYTES))
    refuse(() => sections(0, PAGE, memory + MEMORY_BYTES - 1, 10_000))
    refuse(() => sections(0, PAGE, runsAt + RUN_BYTES - 1, 10_000))
    refuse(() => sections(0, PAGE, out, OUT_BYTES, runsAt - 15))
    refuse(() => k.sectionSeal(2, out, memory, 100))
    refuse(() => k.sectionSeal(0xffffffff, out, memory, 100))
    refuse(() => k.sectionSeal(0, out, memory, 100, memory + 99))
    refuse(() => k.sectionSeal(0, out, memory + 99, 100, memory))
    refuse(() => k.sectionVerify(2, memory, 100, out))
  })
}
