/**
 * The CONFIG payload: the names and values in which source and destination must agree, so that a
 * refusal can say which option differs, what was wanted and what was found.
 *
 * ```text
 * u16 count, then per entry, names in ascending order of their UTF-8 bytes:
 *   u16 name bytes, name
 *   u8 kind: 0 integer, 1 boolean, 2 text
 *   integer: u64   boolean: u8 0 or 1   text: u16 bytes, text
 * ```
 *
 * @module
 */

import { xxh3OfBytes } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import { FINGERPRINT_BYTES } from './header.ts'
import { MAX_CONFIG_BYTES } from './section.ts'

/** A configuration value; integers are 0 to 2^64 - 1. */
export type ConfigurationValue = number | bigint | boolean | string
/** Option names and their values. */
export type Configuration = Readonly<Record<string, number | bigint | boolean | string>>

const KIND_INTEGER = 0
const KIND_BOOLEAN = 1
const KIND_TEXT = 2

/**
 * Encodes a configuration: equal configurations give equal bytes.
 *
 * @throws {@link VfioError} EINVAL when a value is no u64, a name is empty, a text has a lone surrogate or
 * all of it is too long
 */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const entries = Object.entries(configuration)
    .map(([name, value]) => ({ name, bytes: encodeText(name, name), value }))
    .sort((a, b) => compareBytes(a.bytes, b.bytes))
  const dst = new Uint8Array(MAX_CONFIG_BYTES)
  const view = new DataView(dst.buffer)
  let at = 2
  const room = (byteLength: number, name: string): void => {
    if (at + byteLength > dst.length)
      throw new VfioError(
        'EINVAL',
        `Cannot encode configuration: "${name}" passes ${MAX_CONFIG_BYTES} bytes in all, use fewer or shorter options`,
      )
  }
  view.setUint16(0, entries.length, true)
  for (const { name, bytes, value } of entries) {
    if (bytes.length === 0)
      throw new VfioError('EINVAL', 'Cannot encode configuration: an option has an empty name, name it')
    const body = typeof value === 'string' ? encodeText(name, value) : undefined
    room(2 + bytes.length + 1 + (body === undefined ? 8 : 2 + body.length), name)
    view.setUint16(at, bytes.length, true)
    dst.set(bytes, at + 2)
    at += 2 + bytes.length
    if (body !== undefined) {
      view.setUint8(at, KIND_TEXT)
      view.setUint16(at + 1, body.length, true)
      dst.set(body, at + 3)
      at += 3 + body.length
    } else if (typeof value === 'boolean') {
      view.setUint8(at, KIND_BOOLEAN)
      view.setUint8(at + 1, value ? 1 : 0)
      at += 2
    } else {
      view.setUint8(at, KIND_INTEGER)
      view.setBigUint64(at + 1, checkedUint64(name, value as number | bigint), true)
      at += 9
    }
  }
  return dst.slice(0, at)
}

/** What makes a CONFIG payload unreadable. */
export class ConfigurationFault extends Error {}

/**
 * Decodes a CONFIG payload; integers come as numbers where they are safe, else as bigints.
 *
 * @throws {@link ConfigurationFault} when the bytes are not what {@link encodeConfiguration} writes
 */
export function decodeConfiguration(src: Uint8Array): Configuration {
  const view = new DataView(src.buffer, src.byteOffset, src.byteLength)
  // A byte order mark is part of the text: dropping it would break the fingerprint.
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let at = 0
  const take = (byteLength: number): number => {
    const from = at
    at += byteLength
    if (at > src.length) throw new ConfigurationFault('an entry passes the end of the section')
    return from
  }
  const string = (byteLength: number): string => {
    const from = take(byteLength)
    try {
      return text.decode(src.slice(from, at))
    } catch {
      throw new ConfigurationFault('a name or a text is not UTF-8')
    }
  }
  // No prototype: a stream may name an option `__proto__`.
  const configuration: Record<string, ConfigurationValue> = Object.create(null)
  let previous: Uint8Array | undefined
  const count = view.getUint16(take(2), true)
  for (let entry = 0; entry < count; entry++) {
    const nameBytes = view.getUint16(take(2), true)
    const name = string(nameBytes)
    const raw = src.subarray(at - nameBytes, at)
    if (nameBytes === 0 || (previous !== undefined && compareBytes(previous, raw) >= 0))
      throw new ConfigurationFault('names are not in ascending order')
    previous = raw
    const kind = view.getUint8(take(1))
    if (kind === KIND_INTEGER) {
      const value = view.getBigUint64(take(8), true)
      configuration[name] = value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
    } else if (kind === KIND_BOOLEAN) {
      const value = view.getUint8(take(1))
      if (value > 1) throw new ConfigurationFault(`"${name}" is a boolean of value ${value}`)
      configuration[name] = value === 1
    } else if (kind === KIND_TEXT) {
      configuration[name] = string(view.getUint16(take(2), true))
    } else throw new ConfigurationFault(`"${name}" has kind ${kind}`)
  }
  if (at !== src.length) throw new ConfigurationFault('bytes follow the last entry')
  return configuration
}

/** The 8 bytes that stand for a configuration: XXH3-64 of its encoding, little endian. */
export function configurationFingerprint(configuration: Configuration): Uint8Array {
  const fingerprint = new Uint8Array(FINGERPRINT_BYTES)
  new DataView(fingerprint.buffer).setBigUint64(0, xxh3OfBytes(encodeConfiguration(configuration)), true)
  return fingerprint
}

/** The first difference in words ("ports is 2 here and 1 in the stream"), or undefined when equal. */
export function configurationDifference(here: Configuration, stream: Configuration): string | undefined {
  for (const name of [...new Set([...Object.keys(here), ...Object.keys(stream)])].sort()) {
    const wanted = Object.hasOwn(here, name) ? here[name] : undefined
    const found = Object.hasOwn(stream, name) ? stream[name] : undefined
    // An integer may be a number on one side and a bigint on the other.
    if (
      typeof wanted === typeof found
        ? wanted === found
        : isInteger(wanted) && isInteger(found) && BigInt(wanted) === BigInt(found)
    )
      continue
    return `${name} is ${shown(wanted)} here and ${shown(found)} in the stream`
  }
  return undefined
}

function encodeText(name: string, text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  // A lone surrogate becomes U+FFFD: two names could end up the same.
  if (new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) === text) return bytes
  throw new VfioError(
    'EINVAL',
    `Cannot encode configuration: "${name}" has a lone surrogate, use well-formed text`,
  )
}

function isInteger(value: ConfigurationValue | undefined): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function shown(value: ConfigurationValue | undefined): string {
  return value === undefined ? 'absent' : typeof value === 'string' ? JSON.stringify(value) : String(value)
}

function checkedUint64(name: string, value: number | bigint): bigint {
  if (
    (typeof value === 'bigint' || Number.isSafeInteger(value)) &&
    value >= 0 &&
    value <= 0xffff_ffff_ffff_ffffn
  )
    return BigInt(value)
  throw new VfioError(
    'EINVAL',
    `Cannot encode configuration: "${name}" is ${value}, use an integer from 0 to 2^64 - 1`,
  )
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number)
  return a.length - b.length
}
