import { assert, jsonValue, oneof, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../../src/errors.ts'
import { configurationFingerprint } from '../../../../src/format/index.ts'
import {
  decodeEnd,
  decodeFailure,
  decodeHello,
  decodeTook,
  decodeWelcome,
  encodeEnd,
  encodeFailure,
  encodeHello,
  encodeTook,
  encodeWelcome,
  type Hello,
} from '../../../../src/migrate/handover/payloads.ts'
import { outcome } from '../../../support/vfio-error.ts'

const configuration = { 'memory.0.bytes': 4096, big: 2n ** 60n, on: true, name: 'a' }
const hello: Hello = {
  versions: [1, 3],
  streams: [
    {
      identity: {
        type: 'bulk',
        version: 2,
        fingerprint: configurationFingerprint(configuration),
        stream: 'stopcopy',
        configuration,
      },
    },
  ],
  memory: false,
  connections: 2,
  finalState: 'STOP',
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function helloWith(change: object): Uint8Array {
  return json({ ...JSON.parse(new TextDecoder().decode(encodeHello(hello))), ...change })
}

describe('payloads', () => {
  it('come back as they were', () => {
    const decoded = decodeHello(encodeHello(hello))
    expect({ ...decoded.streams[0]!.identity.configuration }).toEqual(configuration)
    expect(decoded.streams[0]!.identity.fingerprint).toEqual(hello.streams[0]!.identity.fingerprint)
    expect(decoded).toMatchObject({ versions: [1, 3], memory: false, connections: 2, finalState: 'STOP' })
    expect(decodeWelcome(encodeWelcome({ version: 1, resumeMs: 2.5 }))).toEqual({ version: 1, resumeMs: 2.5 })
    const end = { streams: [{ bytes: 2 ** 40, digest: '0123456789abcdef' }] }
    expect(decodeEnd(encodeEnd(end))).toEqual(end)
    expect(decodeTook(encodeTook({ elapsedMs: 0 }))).toEqual({ elapsedMs: 0 })
  })

  it('ignore fields of a later release', () => {
    expect(decodeHello(helloWith({ compression: ['zstd'] })).connections).toBe(2)
  })

  it.each([
    ['no streams', { streams: [] }],
    ['streams that are none', { streams: [1] }],
    ['66 streams', { streams: Array.from({ length: 66 }, () => ({ type: 'bulk' })) }],
    ['no connection', { connections: 0 }],
    ['65 connections', { connections: 65 }],
    ['half a version', { versions: [1.5, 2] }],
    ['one version', { versions: [1] }],
  ])('with %s are EPROTO', (_name, change) => {
    expect(outcome(() => decodeHello(helloWith(change)))).toBe('EPROTO')
  })

  it.each([
    ['a long type', { type: 'x'.repeat(49) }],
    ['no type', { type: '' }],
    ['an unknown kind of stream', { stream: 'raw' }],
    ['a short fingerprint', { fingerprint: '00' }],
    ['a configuration that is no hexadecimal', { configuration: 'zz' }],
    ['a configuration that is none', { configuration: 'ff' }],
    ['a negative version', { version: -1 }],
  ])('of a device with %s are EPROTO', (_name, change) => {
    const [stream] = JSON.parse(new TextDecoder().decode(encodeHello(hello))).streams
    expect(outcome(() => decodeHello(helloWith({ streams: [{ ...stream, ...change }] })))).toBe('EPROTO')
  })

  it('of any bytes or any JSON are decoded or EPROTO, nothing else', () => {
    const decoders = [decodeHello, decodeWelcome, decodeEnd, decodeTook]
    assert(
      property(oneof(uint8Array({ maxLength: 64 }), jsonValue().map(json)), (payload) => {
        for (const decode of decoders) expect(['ok', 'EPROTO']).toContain(outcome(() => decode(payload)))
        expect(['ok', 'EPROTO']).toContain(outcome(() => decodeFailure(payload, 'migrate')))
      }),
    )
  })
})

describe('failures', () => {
  it('keep code, errno and place', () => {
    const error = new VfioError('EBADMSG', 'Cannot load', { section: 'PAGES', offset: 4711 })
    const decoded = decodeFailure(encodeFailure(error), 'migrate')
    expect(decoded).toMatchObject({ code: 'EBADMSG', errno: -74, section: 'PAGES', offset: 4711 })
    expect(decoded.message).toBe('Cannot migrate: Cannot load')
  })

  it('keep an errno that has no name here', () => {
    const error = new VfioError('UNKNOWN', 'Cannot load', { errno: 0xbeef })
    expect(decodeFailure(encodeFailure(error), 'migrate')).toMatchObject({ code: 'UNKNOWN', errno: -0xbeef })
  })

  it('of a peer end on a terminal: one line of bounded length without control characters', () => {
    const payload = json({ code: 'EIO', message: `\u001b[31mred\n${'x'.repeat(5000)}` })
    const { message } = decodeFailure(payload, 'migrate')
    expect(message).toMatch(/^Cannot migrate: {2}\[31mred x{900}/)
    expect(message.length).toBeLessThan(1100)
  })

  it('remembered without a reason are still failures', () => {
    expect(decodeFailure(new Uint8Array(0), 'migrate').code).toBe('ECANCELED')
  })
})
