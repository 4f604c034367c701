/**
 * Payloads of messages: one JSON object each, checked field by field, since the peer may be anyone.
 * Fields that this release does not know are ignored: a later one may add some.
 *
 * @module
 */

import type { DeviceIdentity } from '../../device/driver.ts'
import { Errno, type ErrnoName, VfioError } from '../../errors.ts'
import { type Configuration, decodeConfiguration, encodeConfiguration } from '../../format/index.ts'
import { fromHex, toHex } from './frame.ts'

/** Most streams of one migration: its devices and, with `memory`, one more. */
export const MAX_STREAMS = 65
/** Most connections of one migration. */
export const MAX_CONNECTIONS = 64
/** Longest text of a failure that is believed. */
const MAX_TEXT = 1000
/** Of a fingerprint and a digest, in hexadecimal digits. */
const FINGERPRINT_DIGITS = 16

/** What the source offers. */
export interface Hello {
  /** Lowest and highest version of the hand-over protocol that it speaks. */
  readonly versions: readonly [number, number]
  /** One for each device. */
  readonly streams: readonly StreamOffer[]
  /** Whether the last stream is the guest's memory. */
  readonly memory: boolean
  /** Over how many connections it comes. */
  readonly connections: number
  /** The state the devices were in: a stopped device stays stopped. */
  readonly finalState: 'RUNNING' | 'STOP'
}

/** One device of a {@link Hello}. */
export interface StreamOffer {
  /** Type, versions and fingerprint, which must be the destination's. */
  readonly identity: DeviceIdentity
}

/** What the destination found out while it got ready. */
export interface Welcome {
  readonly version: number
  /** Milliseconds that entering RESUMING took. */
  readonly resumeMs: number
}

/** Totals of the streams, in order. */
export interface End {
  readonly streams: readonly { readonly bytes: number; readonly digest: string }[]
}

/** How long the destination took; READY and RUNNING. */
export interface Took {
  readonly elapsedMs: number
}

export function encodeHello(hello: Hello): Uint8Array {
  return encode({
    ...hello,
    streams: hello.streams.map(({ identity }) => ({
      type: identity.type,
      version: identity.version,
      fingerprint: toHex(identity.fingerprint),
      stream: identity.stream,
      configuration: toHex(encodeConfiguration(identity.configuration ?? {})),
    })),
  })
}

/** @throws {@link VfioError} EPROTO when it is no such object */
export function decodeHello(payload: Uint8Array): Hello {
  const fields = decode('HELLO', payload)
  const [lowest, highest] = array(fields, 'versions', 2)
  const streams = array(fields, 'streams', MAX_STREAMS).map(readOffer)
  const finalState = fields['finalState']
  const hello: Hello = {
    versions: [whole(lowest, 'versions', 0xffff), whole(highest, 'versions', 0xffff)] as const,
    streams,
    memory: fields['memory'] === true,
    connections: whole(fields['connections'], 'connections', MAX_CONNECTIONS),
    finalState: finalState === 'STOP' ? 'STOP' : 'RUNNING',
  }
  if (streams.length === 0 || hello.connections === 0) throw malformed('streams or connections')
  return hello
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  return encode(welcome)
}

/** @throws {@link VfioError} EPROTO */
export function decodeWelcome(payload: Uint8Array): Welcome {
  const fields = decode('WELCOME', payload)
  return { version: whole(fields['version'], 'version', 0xffff), resumeMs: milliseconds(fields, 'resumeMs') }
}

export function encodeEnd(end: End): Uint8Array {
  return encode(end)
}

/** @throws {@link VfioError} EPROTO */
export function decodeEnd(payload: Uint8Array): End {
  const fields = decode('END', payload)
  const streams = array(fields, 'streams', MAX_STREAMS).map((value) => {
    const stream = object(value, 'streams')
    return {
      bytes: whole(stream['bytes'], 'bytes', Number.MAX_SAFE_INTEGER),
      digest: digits(stream['digest'], 'digest'),
    }
  })
  return { streams }
}

export function encodeTook(took: Took): Uint8Array {
  return encode(took)
}

/** @throws {@link VfioError} EPROTO */
export function decodeTook(payload: Uint8Array): Took {
  return { elapsedMs: milliseconds(decode('READY', payload), 'elapsedMs') }
}

/** A failure, for the other side to report: REFUSED, FAILED, DISCARDED and CANCEL. */
export function encodeFailure(error: VfioError): Uint8Array {
  const { code, errno, section, offset } = error
  return encode({ code, errno, message: oneLine(error.message), section, offset })
}

/** The failure of the other side; its text is cut and cleaned, since it ends on a terminal. */
export function decodeFailure(payload: Uint8Array, action: string): VfioError {
  // How a hand-over ended long ago is remembered without its reason.
  if (payload.length === 0)
    return new VfioError('ECANCELED', `Cannot ${action}: it was given up there, migrate again`)
  const fields = decode('FAILED', payload)
  const { code, errno, message, section, offset } = fields
  const text = `Cannot ${action}: ${typeof message === 'string' ? oneLine(message) : 'no reason was given'}`
  const place = {
    ...(typeof section === 'string' ? { section: oneLine(section).slice(0, 64) } : {}),
    ...(typeof offset === 'number' && Number.isSafeInteger(offset) ? { offset } : {}),
  }
  return typeof code === 'string' && Object.hasOwn(Errno, code)
    ? new VfioError(code as ErrnoName, text, place)
    : VfioError.fromErrno(typeof errno === 'number' ? errno : Errno.EIO, text, place)
}

function readOffer(value: unknown): StreamOffer {
  const offer = object(value, 'streams')
  const { type, stream, configuration } = offer
  if (typeof type !== 'string' || type === '' || new TextEncoder().encode(type).length > 48)
    throw malformed('type')
  if (stream !== 'stopcopy' && stream !== 'opaque') throw malformed('stream')
  if (typeof configuration !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(configuration))
    throw malformed('configuration')
  return {
    identity: {
      type,
      version: whole(offer['version'], 'version', 0xffff_ffff),
      fingerprint: fromHex(digits(offer['fingerprint'], 'fingerprint')),
      stream,
      configuration: configurationOf(configuration),
    },
  }
}

function configurationOf(text: string): Configuration {
  try {
    return decodeConfiguration(fromHex(text))
  } catch {
    throw malformed('configuration')
  }
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function decode(name: string, payload: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    throw malformed(`${name}, which is no JSON`)
  }
  return object(value, name)
}

function object(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(name)
  return value as Readonly<Record<string, unknown>>
}

function array(fields: Readonly<Record<string, unknown>>, name: string, most: number): readonly unknown[] {
  const value = fields[name]
  if (!Array.isArray(value) || value.length > most) throw malformed(name)
  return value
}

function whole(value: unknown, name: string, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most)
    throw malformed(name)
  return value
}

function milliseconds(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !(value >= 0 && value < 1e9)) throw malformed(name)
  return value
}

function digits(value: unknown, name: string): string {
  if (typeof value !== 'string' || !/^[0-9a-f]*$/.test(value) || value.length !== FINGERPRINT_DIGITS)
    throw malformed(name)
  return value
}

function malformed(what: string): VfioError {
  return new VfioError(
    'EPROTO',
    `Cannot read the migration link: a message has a malformed ${what}, use the same release at both ends`,
  )
}

/** One line without control characters, of bounded length. */
function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- those are what must go
  return text.slice(0, MAX_TEXT).replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}
