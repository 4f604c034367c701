import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { StreamReader } from '../../../src/format/index.ts'
import { openRecorder, readStream, smallStream, type StreamRecorder } from './stream-recorder.ts'

const STREAM = smallStream()
const EXPECTED = readStream(STREAM)

function expectSame(recorder: StreamRecorder): void {
  expect(recorder.completed).toBe(true)
  expect(recorder.sections).toEqual(EXPECTED.sections)
  expect(recorder.options).toEqual(EXPECTED.options)
  expect(recorder.state).toEqual(EXPECTED.state)
  // Deep equality of typed arrays goes byte by byte.
  expect(Buffer.compare(recorder.memory[0] as Uint8Array, EXPECTED.memory[0] as Uint8Array)).toBe(0)
}

/** Feeds pieces of the given lengths, then the rest. */
function feed(
  lengths: readonly number[],
  take: (reader: StreamReader, bytes: Uint8Array) => void,
): StreamRecorder {
  const { reader, recorder } = openRecorder()
  let at = 0
  for (const length of [...lengths, STREAM.length]) {
    take(reader, STREAM.subarray(at, at + length))
    at = Math.min(at + length, STREAM.length)
  }
  reader.finish()
  reader.dispose()
  return recorder
}

function commitAll(reader: StreamReader, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const window = reader.window(bytes.length - at)
    expect(window.length).toBeGreaterThan(0)
    // A window may be given back short.
    const length = Math.max(1, window.length >>> 1)
    window.set(bytes.subarray(at, at + length))
    reader.commit(length)
    at += length
  }
}

it('the reader gives what the stream says', () => {
  expect(EXPECTED.streamHeader).toMatchObject({
    opaque: false,
    checksum: 'xxh3',
    deviceType: 'crafted',
    deviceVersion: 1,
  })
  expect({ ...EXPECTED.options }).toEqual({
    ports: 2,
    fast: true,
    label: 'ünïcode',
    'memory.0.name': 'ram',
    'memory.0.bytes': 4112,
    'state.bytes': 6,
    'state.layout': 0xfedc_ba98_7654_3210n,
  })
  expect(EXPECTED.state).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
  expect(EXPECTED.memory[0]?.subarray(0, 4096).every((byte) => byte === 0)).toBe(true)
  expect(EXPECTED.memory[0]?.subarray(4096)).toEqual(Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i))
})

it('one byte at a time gives the same', () => {
  const ones = Array.from({ length: STREAM.length }, () => 1)
  expectSame(feed(ones, (reader, bytes) => reader.write(bytes)))
  expectSame(feed(ones, commitAll))
})

it('any segmentation gives the same, by write and by window and commit', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 30 }), (lengths) => {
      expectSame(feed(lengths, (reader, bytes) => reader.write(bytes)))
      expectSame(feed(lengths, commitAll))
    }),
    { numRuns: 100 },
  )
})

it('a commit past the window is EINVAL and takes nothing', () => {
  const { reader } = openRecorder()
  const window = reader.window(1000)
  expect(window.length).toBe(128)
  for (const wrong of [129, -1, Number.NaN]) expect(() => reader.commit(wrong)).toThrow(/^Cannot commit/)
  expect(reader.offset).toBe(0)
  expect(reader.failure).toBeUndefined()
  reader.write(STREAM)
  reader.finish()
  reader.dispose()
})

it('`verifyPayloads: false` passes over page content and still checks headers and CONFIG', () => {
  const damaged = STREAM.slice()
  const pages = EXPECTED.sections[2]
  damaged[(pages?.offset as number) + 40] = 0xff
  const passing = openRecorder({ verifyPayloads: false })
  passing.reader.write(damaged)
  passing.reader.finish()
  expect(passing.recorder.sections).toEqual(EXPECTED.sections)
  passing.reader.dispose()
  for (const at of [130, 170, STREAM.length - 3]) {
    const other = STREAM.slice()
    other[at] = (other[at] as number) ^ 1
    const { reader } = openRecorder({ verifyPayloads: false })
    expect(() => reader.write(other), `byte ${at}`).toThrow(/does not match/)
    reader.dispose()
  }
})
