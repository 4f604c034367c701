import { describe, expect, it } from 'vitest'
import { xxh3OfBytes } from '../../../src/engine/index.ts'
import { defaultEngine } from '../../../src/engine/index.ts'
import {
  configurationFingerprint,
  OpaqueWriter,
  openReader,
  StreamWriter,
  Tag,
} from '../../../src/format/index.ts'
import { buildStream, concat, OPAQUE_STREAM, TAG } from '../../support/stream-builder.ts'
import {
  readStream,
  SMALL_CONFIGURATION,
  SMALL_SECTIONS,
  smallStream,
  testEngine,
} from './stream-recorder.ts'

const HEADER = {
  opaque: false,
  checksum: 'xxh3',
  deviceType: 'crafted',
  deviceVersion: 1,
  fingerprint: configurationFingerprint(SMALL_CONFIGURATION),
} as const

describe('StreamWriter', () => {
  it.each(['xxh3', 'crc32c'] as const)('writes what the format says, under %s', (checksum) => {
    const expected = smallStream({ header: { flags: checksum === 'crc32c' ? 2 : 0 } })
    const { section } = readStream(expected).sections[0] as never as { section: { payloadBytes: number } }
    const config = expected.subarray(168, 168 + section.payloadBytes)
    const payload = testEngine.allocate(1024)
    const writer = new StreamWriter(testEngine, { ...HEADER, checksum })
    const parts = [writer.header()]
    for (const { tag, payload: bytes, first } of [
      { tag: Tag.CONFIG, payload: config, first: 0 },
      ...SMALL_SECTIONS,
    ]) {
      testEngine.bytes.set(bytes, payload)
      const place = { first: Number(first ?? 0) }
      parts.push(writer.section({ tag, payload, payloadBytes: bytes.length, ...place }), bytes)
    }
    parts.push(writer.end())
    expect(Buffer.compare(concat(parts), expected)).toBe(0)
    writer.dispose()
    testEngine.free(payload)
  })

  it.each([
    ['an empty type', { deviceType: '' }],
    ['a type of 49 bytes', { deviceType: 'é'.repeat(24) + 'x' }],
    ['a type with NUL', { deviceType: 'a\0' }],
    ['a fingerprint of 7 bytes', { fingerprint: new Uint8Array(7) }],
    ['device version -1', { deviceVersion: -1 }],
    ['device version 2^32', { deviceVersion: 2 ** 32 }],
    ['device version 1.5', { deviceVersion: 1.5 }],
  ])('refuses %s with EINVAL', (_, wrong) => {
    const writer = new StreamWriter(testEngine, { ...HEADER, ...wrong })
    expect(() => writer.header()).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    writer.dispose()
  })

  it('takes a type of 48 bytes of UTF-8, a byte order mark included', () => {
    const deviceType = `\ufeff${'é'.repeat(22)}x`
    const stream = buildStream({ header: { type: deviceType }, configuration: { 'state.bytes': 0 } })
    expect(readStream(stream).streamHeader?.deviceType).toBe(deviceType)
  })
})

describe('OpaqueWriter', () => {
  it('wraps pieces with their positions, on the default engine, and gives the memory back', async () => {
    const engine = await defaultEngine()
    const before = engine.allocatedBytes
    const configuration = { ports: 1 }
    const writer = await OpaqueWriter.open({ type: 'mtty', version: 3, configuration })
    const chunks = writer.begin()
    expect(writer.frame.length).toBe(256 * 1024)
    const pieces = [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]
    for (const piece of pieces) {
      writer.frame.set(piece)
      chunks.push(...writer.section(piece.length).map((bytes) => bytes.slice()))
    }
    chunks.push(writer.end())
    writer.dispose()
    expect(engine.allocatedBytes).toBe(before)
    const sections = pieces.map((payload, i) => ({ tag: TAG.OPAQUE, payload, first: i * 3 }))
    const header = { flags: OPAQUE_STREAM, type: 'mtty', deviceVersion: 3 }
    expect(Buffer.compare(concat(chunks), buildStream({ header, configuration, sections }))).toBe(0)
  })

  it('is read by openReader, whose bytes are the default engine memory', async () => {
    const header = { flags: OPAQUE_STREAM }
    const payload = Uint8Array.of(9, 8, 7)
    const stream = buildStream({ header, sections: [{ tag: TAG.OPAQUE, payload }] })
    let seen: Uint8Array | undefined
    const { reader, bytes } = await openReader({
      payload: (section, pointer) => {
        seen = bytes.slice(pointer, pointer + section.payloadBytes)
      },
    })
    reader.write(stream)
    reader.finish()
    reader.dispose()
    expect(seen).toEqual(payload)
  })
})

it('the fingerprint is XXH3-64 of the CONFIG payload, little endian', () => {
  const fingerprint = configurationFingerprint({ a: 1 })
  const payload = Uint8Array.of(1, 0, 1, 0, 0x61, 0, 1, 0, 0, 0, 0, 0, 0, 0)
  expect(new DataView(fingerprint.buffer).getBigUint64(0, true)).toBe(xxh3OfBytes(payload))
})
