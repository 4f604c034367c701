import { expect, it } from 'vitest'
import { createEngine } from '../../../src/engine/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { StreamReader, StreamWriter, Tag } from '../../../src/format/index.ts'
import { buildStream, TAG } from '../../support/stream-builder.ts'
import { openRecorder, smallStream, testEngine } from './stream-recorder.ts'

const HEADER = {
  opaque: false,
  checksum: 'xxh3',
  deviceType: 'x',
  deviceVersion: 1,
  fingerprint: new Uint8Array(8),
} as const

it('a reader gives back all its memory, after a whole stream, a part and a failure', () => {
  const before = testEngine.allocatedBytes
  const stream = smallStream()
  const broken = stream.slice()
  broken[200] = 0xff
  for (const bytes of [stream, stream.subarray(0, 300), stream.subarray(0, 10), broken]) {
    const { reader } = openRecorder()
    expect(testEngine.allocatedBytes).toBeGreaterThan(before)
    try {
      reader.write(bytes)
    } catch (error) {
      expect(VfioError.is(error, 'EBADMSG')).toBe(true)
    }
    reader.dispose()
    expect(testEngine.allocatedBytes).toBe(before)
  }
})

it('a reader holds 256 bytes and at most one payload of its own', () => {
  const before = testEngine.allocatedBytes
  const { reader } = openRecorder()
  expect(testEngine.allocatedBytes - before).toBe(256)
  const sections = [1, 1000, 10, 1024 * 1024, 5].map((byteLength) => ({
    tag: 100,
    flags: 0,
    payload: new Uint8Array(byteLength),
  }))
  reader.write(smallStream({ sections, end: null }))
  expect(testEngine.allocatedBytes - before).toBe(256 + 1024 * 1024)
  reader.dispose()
  expect(testEngine.allocatedBytes).toBe(before)
})

it('a writer gives back its 256 bytes', () => {
  const before = testEngine.allocatedBytes
  const writer = new StreamWriter(testEngine, HEADER)
  writer.header()
  writer.end()
  expect(testEngine.allocatedBytes - before).toBe(256)
  writer.dispose()
  expect(testEngine.allocatedBytes).toBe(before)
})

it('reader and writer are ENOMEM in a full engine, which stays as it was', async () => {
  const engine = await createEngine({ memoryBytes: 128, variant: 'reference' })
  expect(() => new StreamReader(engine, {})).toThrow(/^Cannot allocate/)
  expect(() => new StreamWriter(engine, HEADER)).toThrow(/^Cannot allocate/)
  expect(engine.allocatedBytes).toBe(0)
})

it('a payload for which the engine has no room is ENOMEM, with the place named', async () => {
  const engine = await createEngine({ memoryBytes: 65_536, variant: 'reference' })
  const reader = new StreamReader(engine, {})
  const sections = [{ tag: TAG.STATE, payload: new Uint8Array(1024 * 1024) }]
  const stream = buildStream({ configuration: { 'state.bytes': 1024 * 1024 }, sections })
  expect(() => reader.write(stream)).toThrow(
    /section 1 \(STATE\) at offset \d+: Cannot allocate 1048576 bytes/,
  )
  expect(reader.failure?.code).toBe('ENOMEM')
  reader.dispose()
  expect(engine.allocatedBytes).toBe(0)
})

it('a handler that places payloads gets them in place, and the reader buffers none', () => {
  const payload = Uint8Array.from({ length: 5000 }, (_, i) => i)
  const stream = buildStream({
    configuration: { 'state.bytes': 5000 },
    sections: [{ tag: TAG.STATE, payload }],
  })
  const staging = testEngine.allocate(5000)
  const before = testEngine.allocatedBytes
  let verified = 0
  const reader = new StreamReader(testEngine, {
    place: (section) => (section.tag === Tag.STATE ? staging + section.first : undefined),
    payload: (_, pointer) => (verified = pointer),
  })
  reader.write(stream)
  reader.finish()
  expect(verified).toBe(staging)
  // CONFIG came in a buffer, the state did not.
  expect(testEngine.allocatedBytes - before).toBeLessThan(256 + 100)
  expect(Buffer.compare(testEngine.bytes.subarray(staging, staging + 5000), payload)).toBe(0)
  reader.dispose()
  testEngine.free(staging)
})
