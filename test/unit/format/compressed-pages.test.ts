import { afterEach, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { declareRegions, PAGE_BYTES, StreamReader } from '../../../src/format/index.ts'
import {
  buildStream,
  compressed,
  concat,
  CRC32C_STREAM,
  type CraftedSection,
  OPAQUE_STREAM,
  TAG,
  zeroRun,
} from '../../support/stream-builder.ts'
import { openRecorder, readStream, testEngine } from './stream-recorder.ts'

/** Two pages and 16 bytes. */
const REGION_BYTES = 2 * PAGE_BYTES + 16
const CONFIGURATION = {
  ...declareRegions([{ name: 'ram', byteLength: REGION_BYTES }]),
  'state.bytes': 0,
}

/** A block of one literal, a match that repeats it, and the last five bytes: `byteLength` times `value`. */
function repeated(value: number, byteLength: number): Uint8Array {
  const matched = byteLength - 6
  const more = matched - 4 - 15
  const lengths = new Uint8Array(Math.floor(more / 255) + 1).fill(255)
  lengths[lengths.length - 1] = more % 255
  return Uint8Array.of(0x1f, value, 1, 0, ...lengths, 0x50, value, value, value, value, value)
}

function literals(...bytes: number[]): Uint8Array {
  return Uint8Array.of(bytes.length << 4, ...bytes)
}

const section = (first: number, pageBytes: number, block: Uint8Array): CraftedSection => ({
  tag: TAG.PAGES_LZ4,
  first,
  payload: compressed(pageBytes, block),
})
const SIXTEEN = Uint8Array.of(0xf0, 1, ...Array.from({ length: 16 }, (_, i) => i))
const FRONT = section(0, 2 * PAGE_BYTES, repeated(7, 2 * PAGE_BYTES))
const END = section(2, 16, SIXTEEN)

function stream(sections: readonly CraftedSection[], flags = 0): Uint8Array {
  return buildStream({ header: { flags }, configuration: CONFIGURATION, sections })
}

const before = testEngine.allocatedBytes
afterEach(() => expect(testEngine.allocatedBytes).toBe(before))

it('compressed pages are told as pages; what comes last counts', () => {
  const again = { tag: TAG.PAGES, first: 1, payload: new Uint8Array(PAGE_BYTES).fill(9) }
  const recorder = readStream(stream([{ tag: TAG.ZERO, payload: zeroRun(3) }, FRONT, again, END]))
  expect(recorder.completed).toBe(true)
  const [memory] = recorder.memory
  expect(memory?.subarray(0, PAGE_BYTES)).toEqual(new Uint8Array(PAGE_BYTES).fill(7))
  expect(memory?.subarray(PAGE_BYTES, 2 * PAGE_BYTES)).toEqual(again.payload)
  expect(memory?.subarray(2 * PAGE_BYTES)).toEqual(SIXTEEN.subarray(2))
})

it.each<[name: string, sections: CraftedSection[], refusal: string]>([
  ['no block', [section(0, PAGE_BYTES, new Uint8Array(0))], 'are empty or outside'],
  ['no payload', [{ tag: TAG.PAGES_LZ4, payload: new Uint8Array(0) }], 'are empty or outside'],
  ['a page past the region', [section(3, 16, SIXTEEN)], 'at page 3 are empty or outside the region'],
  ['page 2^64 - 1', [{ ...END, first: 2n ** 64n - 1n }], 'at page NaN are empty or outside'],
  ['an undeclared region', [{ ...END, region: 1 }], 'region 1 was not declared'],
  ['no mandatory flag', [{ ...END, flags: 0 }], 'PAGES_LZ4 is not marked mandatory'],
  ['0 bytes declared', [section(2, 0, literals())], '0 bytes from page 2 are no whole pages'],
  ['no whole pages declared', [section(0, 4095, repeated(7, 4095))], '4095 bytes from page 0'],
  ['17 bytes for 16', [section(2, 17, SIXTEEN)], '17 bytes from page 2 are no whole pages'],
  ['15 bytes for 16', [section(2, 15, SIXTEEN)], '15 bytes from page 2 are no whole pages'],
  ['a page too many', [section(1, 2 * PAGE_BYTES, SIXTEEN)], '8192 bytes from page 1 are no whole pages'],
  ['4 GiB - 1 declared', [section(0, 0xffff_ffff, SIXTEEN)], '4294967295 bytes of pages pass the limit'],
  [
    '256 KiB and 1 declared',
    [section(0, 262_145, SIXTEEN)],
    '262145 bytes of pages pass the limit of 262144',
  ],
  ['a block too short', [section(0, PAGE_BYTES, SIXTEEN)], 'holds 16 of the 4096 bytes declared'],
  ['a block too long', [section(0, PAGE_BYTES, repeated(7, PAGE_BYTES + 1))], 'holds more than the 4096'],
  [
    'literals past the pages',
    [section(2, 16, Uint8Array.of(0xf0, 2, ...new Uint8Array(17)))],
    'malformed or',
  ],
  ['literals past the block', [section(2, 16, SIXTEEN.subarray(0, 17))], 'malformed or'],
  ['a length that never ends', [section(2, 16, new Uint8Array(9).fill(255))], 'malformed or'],
  ['a match before the pages', [section(2, 16, Uint8Array.of(0x17, 1, 2, 0, 0x40, 1, 2, 3, 4))], 'malformed'],
  ['a match at distance 0', [section(2, 16, Uint8Array.of(0x17, 1, 0, 0, 0x40, 1, 2, 3, 4))], 'malformed'],
  ['a block that ends in a match', [section(2, 16, Uint8Array.of(0x1b, 1, 1, 0))], 'malformed'],
])('%s is EPROTO', (_, sections, refusal) => {
  const { reader, recorder } = openRecorder()
  expect(() => reader.write(stream(sections))).toThrow(refusal)
  expect(reader.failure).toMatchObject({ code: 'EPROTO', section: 'section 1 (PAGES_LZ4)' })
  expect(recorder.memory[0]).toEqual(new Uint8Array(REGION_BYTES).fill(0xee))
  reader.dispose()
})

it('in an opaque stream they are refused', () => {
  const bytes = buildStream({ header: { flags: OPAQUE_STREAM }, sections: [{ ...END, first: 0 }] })
  expect(() => readStream(bytes)).toThrow('PAGES_LZ4 in a stream of opaque sections')
})

it('a payload over 256 KiB is EMSGSIZE before anything is allocated', () => {
  const { reader } = openRecorder()
  const held = testEngine.allocatedBytes
  const long = { tag: TAG.PAGES_LZ4, payload: new Uint8Array(0), payloadBytes: 262_145 }
  expect(() => reader.write(stream([long]))).toThrow('262145 bytes passes the limit of 262144')
  expect(reader.failure?.code).toBe('EMSGSIZE')
  expect(testEngine.allocatedBytes - held).toBeLessThan(300)
  reader.dispose()
})

it('compressed pages cover what they declare, and no more', () => {
  expect(() => readStream(stream([FRONT]))).toThrow('1 pages of region "ram" never came, page 2 first')
})

it.each([
  ['XXH3-64', 0],
  ['CRC-32C', CRC32C_STREAM],
])('every flipped bit of a stream under %s is refused', (_, flags) => {
  const good = stream([FRONT, END], flags)
  const accepted: number[] = []
  for (let bit = 0; bit < good.length * 8; bit++) {
    const damaged = good.slice()
    damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
    try {
      readStream(damaged)
      accepted.push(bit)
    } catch (error) {
      if (!VfioError.is(error)) throw error
    }
  }
  expect(accepted).toEqual([])
})

/** Where the first `prefix` bytes of pages stand in a guarded memory, and what a stream leaves of it. */
function readPlaced(bytes: Uint8Array): { memory: Uint8Array; failure: VfioError | undefined } {
  const guard = 64
  const base = testEngine.allocate(REGION_BYTES + 2 * guard)
  const all = testEngine.bytes.subarray(base, base + REGION_BYTES + 2 * guard).fill(0xee)
  const reader = new StreamReader(testEngine, {
    place: ({ first, tag, payloadBytes }) => {
      expect(tag).toBe(TAG.PAGES)
      expect(first * PAGE_BYTES + payloadBytes).toBeLessThanOrEqual(REGION_BYTES)
      return base + guard + first * PAGE_BYTES
    },
  })
  try {
    reader.write(bytes)
  } catch (error) {
    expect(error).toBe(reader.failure)
  }
  const outside = concat([all.subarray(0, guard), all.subarray(guard + REGION_BYTES)])
  expect(outside).toEqual(new Uint8Array(2 * guard).fill(0xee))
  const memory = all.slice(guard, guard + REGION_BYTES)
  const { failure } = reader
  reader.dispose()
  testEngine.free(base)
  return { memory, failure }
}

it('placed pages land where they belong, once they were verified', () => {
  const { memory, failure } = readPlaced(stream([FRONT, END]))
  expect(failure).toBeUndefined()
  expect(memory).toEqual(concat([new Uint8Array(2 * PAGE_BYTES).fill(7), SIXTEEN.subarray(2)]))
  const untouched = new Uint8Array(REGION_BYTES).fill(0xee)
  const wrong = readPlaced(stream([{ ...FRONT, payloadChecksum: new Uint8Array(8) }]))
  expect([wrong.failure?.code, wrong.memory]).toEqual(['EBADMSG', untouched])
  expect(readPlaced(stream([FRONT]).subarray(0, -70)).memory).toEqual(untouched)
})

it('a block that is malformed at its end leaves everything outside the declared pages alone', () => {
  const long = repeated(7, PAGE_BYTES + 100)
  const { memory, failure } = readPlaced(stream([section(0, PAGE_BYTES, long)]))
  expect(failure?.code).toBe('EPROTO')
  expect(memory.subarray(PAGE_BYTES)).toEqual(new Uint8Array(PAGE_BYTES + 16).fill(0xee))
})

it('without verification the declared bytes are checked and nothing is decompressed', () => {
  const broken = section(0, 2 * PAGE_BYTES, new Uint8Array(9).fill(255))
  const { reader, recorder } = openRecorder({ verifyPayloads: false })
  reader.write(stream([broken, END]))
  reader.finish()
  expect(recorder.completed).toBe(true)
  reader.dispose()
  const other = openRecorder({ verifyPayloads: false }).reader
  expect(() => other.write(stream([section(0, 4095, SIXTEEN)]))).toThrow('no whole pages')
  other.dispose()
})
