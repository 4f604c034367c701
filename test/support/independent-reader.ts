/**
 * A second reader of the stream, written from `src/format/README.md` alone and sharing no code with the
 * first: whole input in memory, DataView, hash-wasm. It shows that the specification suffices.
 *
 * @module
 */

import { createCRC32, createXXHash3 } from 'hash-wasm'

const xxh3 = await createXXHash3(0, 0)
const crc32c = await createCRC32(0x82f63b78)

/** What a stream holds. */
export interface ReadStream {
  deviceType: string
  deviceVersion: number
  opaque: boolean
  config: Map<string, bigint | boolean | string>
  /** Tag, region, first and payload bytes of each section. */
  sections: { tag: number; region: number; first: bigint; payloadBytes: number }[]
  state: Uint8Array
  regions: { name: string; bytes: Uint8Array }[]
  opaqueBytes: Uint8Array
  digest: bigint
}

/** Reads a stream, or throws an Error that says which rule it breaks. */
export function readIndependently(stream: Uint8Array): ReadStream {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.length)
  const part = (at: number, length: number): Uint8Array => {
    check(at + length <= stream.length, 'the input ends early')
    return stream.subarray(at, at + length)
  }
  const magic = [0x89, 0x53, 0x54, 0x4f, 0x50, 0x43, 0x50, 0x0a]
  check(
    magic.every((byte, i) => part(0, 128)[i] === byte),
    'magic',
  )
  const useCrc = (view.getUint8(12) & 2) !== 0
  const sum = (bytes: Uint8Array): bigint => checksum(bytes, useCrc)
  let digest = view.getBigUint64(120, true)
  check(digest === sum(part(0, 120)), 'stream header checksum')
  check(view.getUint16(8, true) === 1, 'format version')
  check(
    view.getUint16(10, true) === 128 && view.getUint32(12, true) < 4 && view.getUint32(16, true) === 4096,
    'stream header',
  )
  check(
    part(80, 40).every((byte) => byte === 0),
    'reserved bytes',
  )
  const opaque = (view.getUint8(12) & 1) !== 0
  const type = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    .decode(part(32, 48))
    .replace(/\0*$/, '')
  check(type !== '' && !type.includes('\0'), 'device type')

  const config: ReadStream['config'] = new Map()
  const sections: ReadStream['sections'] = []
  const regions: ReadStream['regions'] = []
  const described: Set<number>[] = []
  let state = new Uint8Array(0)
  let stateFilled = 0n
  const opaqueBytes: number[] = []
  let payloadTotal = 0n
  for (let at = 128; ;) {
    const header = part(at, 40)
    check(view.getBigUint64(at + 32, true) === sum(header.subarray(0, 32)), 'section header checksum')
    const tag = view.getUint16(at, true)
    const flags = view.getUint16(at + 2, true)
    const payloadBytes = view.getUint32(at + 8, true)
    const region = view.getUint32(at + 12, true)
    const first = view.getBigUint64(at + 16, true)
    const isKnown = tag >= 1 && tag <= 7
    check(view.getUint32(at + 4, true) === sections.length, 'sequence number')
    check(tag !== 0 && flags < 2 && (isKnown ? flags === 1 : flags === 0), 'tag or flags')
    check(payloadBytes <= (tag === 1 ? 65_536 : tag === 7 ? 262_144 : 1_048_576), 'limit')
    check((tag === 1) === (sections.length === 0), 'CONFIG comes first and once')
    check(tag === 3 || tag === 4 || tag === 7 || !isKnown || region === 0, 'region')
    check((tag !== 1 && tag !== 6) || first === 0n, 'position')
    const payload = part(at + 40, payloadBytes)
    check(view.getBigUint64(at + 24, true) === sum(payload), 'payload checksum')
    if (tag === 6) {
      check(payloadBytes === 24 && at + 64 === stream.length, 'END is the end')
      check(view.getBigUint64(at + 40, true) === BigInt(sections.length), 'section total')
      check(view.getBigUint64(at + 48, true) === payloadTotal, 'payload total')
      check(view.getBigUint64(at + 56, true) === digest, 'digest')
      check(stateFilled === BigInt(state.length), 'state is complete')
      check(
        regions.every(({ bytes }, i) => described[i]?.size === Math.ceil(bytes.length / 4096)),
        'every page came',
      )
      break
    }
    digest = sum(Uint8Array.from([...u64(digest), ...header.subarray(32)]))
    payloadTotal += BigInt(payloadBytes)
    sections.push({ tag, region, first, payloadBytes })
    at += 40 + payloadBytes
    if (tag === 1) {
      check(view.getBigUint64(24, true) === checksum(payload, false), 'fingerprint')
      readConfig(payload, config)
      if (opaque) continue
      for (let i = 0; config.has(`memory.${i}.name`); i++) {
        described.push(new Set())
        const bytes = new Uint8Array(Number(config.get(`memory.${i}.bytes`))).fill(0xee)
        regions.push({ name: String(config.get(`memory.${i}.name`)), bytes })
      }
      state = new Uint8Array(Number(config.get('state.bytes')))
    } else if (tag === 2 && !opaque) {
      check(payloadBytes > 0 && first === stateFilled, 'position')
      state.set(payload, Number(first))
      stateFilled += BigInt(payloadBytes)
    } else if ((tag === 3 || tag === 4 || tag === 7) && !opaque) {
      const pageData = tag === 7 ? compressedPages(payload) : payload
      const memory = regions[region]?.bytes
      check(memory !== undefined, 'region')
      const from = Number(first) * 4096
      const pages = tag === 4 ? Number(view.getBigUint64(at - 8, true)) : Math.ceil(pageData.length / 4096)
      const end = tag === 4 ? Math.min(from + pages * 4096, memory.length) : from + pageData.length
      check(tag !== 4 || payloadBytes === 8, 'ZERO length')
      check(
        pages > 0 && Number(first) + pages <= Math.ceil(memory.length / 4096) && end <= memory.length,
        'pages',
      )
      check(end % 4096 === 0 || end === memory.length, 'whole pages')
      if (tag === 4) memory.fill(0, from, end)
      else memory.set(pageData, from)
      for (let page = 0; page < pages; page++) described[region]?.add(Number(first) + page)
    } else if (tag === 5 && opaque) {
      check(payloadBytes > 0 && first === BigInt(opaqueBytes.length), 'position')
      opaqueBytes.push(...payload)
    } else check(!isKnown, 'a section of the other kind of stream')
  }
  const deviceVersion = view.getUint32(20, true)
  const rest = { config, sections, state, regions, digest, opaqueBytes: Uint8Array.from(opaqueBytes) }
  return { deviceType: type, deviceVersion, opaque, ...rest }
}

/** What a PAGES_LZ4 payload holds. */
function compressedPages(payload: Uint8Array): Uint8Array {
  check(payload.length > 4, 'an LZ4 block')
  const bytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true)
  check(bytes >= 1 && bytes <= 262_144, 'bytes of compressed pages')
  const pages: number[] = []
  let at = 4
  const next = (): number => {
    check(at < payload.length, 'the LZ4 block ends early')
    return payload[at++] as number
  }
  const whole = (half: number): number => {
    let length = half
    if (half === 15) for (let more = 255; more === 255; length += more) more = next()
    return length
  }
  for (;;) {
    const token = next()
    for (let left = whole(token >> 4); left > 0; left--) pages.push(next())
    if (at === payload.length) break
    const distance = next() + 256 * next()
    check(distance > 0 && distance <= pages.length, 'LZ4 distance')
    const length = whole(token & 15) + 4
    check(pages.length + length <= bytes, 'LZ4 length')
    for (let left = length; left > 0; left--) pages.push(pages[pages.length - distance] as number)
  }
  check(pages.length === bytes, 'LZ4 length')
  return Uint8Array.from(pages)
}

function readConfig(payload: Uint8Array, config: ReadStream['config']): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let at = 2
  const text = (): string => {
    const length = view.getUint16(at, true)
    check(at + 2 + length <= payload.length, 'text length')
    at += 2 + length
    return utf8.decode(payload.subarray(at - length, at))
  }
  let previous = ''
  for (let left = view.getUint16(0, true); left > 0; left--) {
    const name = text()
    check(Buffer.compare(Buffer.from(previous), Buffer.from(name)) < 0, 'name order')
    previous = name
    const kind = view.getUint8(at++)
    if (kind === 0) {
      config.set(name, view.getBigUint64(at, true))
      at += 8
    } else if (kind === 1) {
      check(view.getUint8(at) < 2, 'boolean')
      config.set(name, view.getUint8(at++) === 1)
    } else if (kind === 2) config.set(name, text())
    else check(false, 'kind')
  }
  check(at === payload.length, 'end of CONFIG')
}

function checksum(bytes: Uint8Array, useCrc: boolean): bigint {
  const hasher = useCrc ? crc32c : xxh3
  return BigInt(`0x${hasher.init().update(bytes).digest('hex')}`)
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}

function check(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new Error(`refused: ${rule}`)
}
