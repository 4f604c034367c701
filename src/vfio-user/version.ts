/**
 * The first message of a connection: VERSION, and what both sides make of it.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** What this package speaks: libvfio-user's number. */
export const PROTOCOL_VERSION: { readonly major: number; readonly minor: number } = { major: 0, minor: 2 }

/** The values of a side that says nothing. */
export const DEFAULT_MAX_DATA_BYTES: number = 1024 * 1024
/** As the protocol has it: one descriptor a message. */
export const DEFAULT_MAX_FDS = 1
/** Most descriptors a message can have: what libvfio-user accepts. */
const MOST_FDS = 1024

/** What one side can do, under the names of the protocol's JSON. */
export interface Capabilities {
  /** Most file descriptors of one message that this side takes. */
  readonly max_msg_fds?: number
  /** Most bytes of data of one message that this side takes. */
  readonly max_data_xfer_size?: number
  /** Migration: the page size of dirty bitmaps. */
  readonly migration?: { readonly pgsize?: number }
  /** Most DMA regions; said by QEMU. */
  readonly max_dma_maps?: number
  /** Page sizes of DMA regions as a mask; said by QEMU. */
  readonly pgsizes?: number
  /**
   * Ours, which others pass over: a client that sends `{}` is told who the device is (its identity), so that its
   * stream passes through untouched. Whoever reads it checks every value.
   */
  readonly stopcopy?: Readonly<Record<string, unknown>>
}

/** A VERSION message, either way. */
export interface VersionMessage {
  /** 0; versions of other numbers do not work together. */
  readonly major: number
  /** The lower of both sides' is spoken. */
  readonly minor: number
  /** What the side can do. */
  readonly capabilities: Capabilities
}

/** The payload: two u16, JSON, NUL. */
export function encodeVersion({ major, minor, capabilities }: VersionMessage): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify({ capabilities }))
  const bytes = new Uint8Array(4 + json.length + 1)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, major, true)
  view.setUint16(2, minor, true)
  bytes.set(json, 4)
  return bytes
}

/**
 * Reads the payload of a VERSION message. Unknown keys are passed over; JSON, and `capabilities` in it, may be
 * missing.
 *
 * @throws {@link VfioError} EINVAL when it is shorter than 4 bytes, its JSON has no NUL at its end or is none,
 * or a value has the wrong type or is out of range
 */
export function decodeVersion(payload: Uint8Array): VersionMessage {
  if (payload.length < 4) throw refusal(`its payload has ${payload.length} bytes, send 4 or more`)
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const version = { major: view.getUint16(0, true), minor: view.getUint16(2, true) }
  if (payload.length === 4) return { ...version, capabilities: {} }
  if (payload.at(-1) !== 0) throw refusal('its JSON does not end with a NUL, add one')
  return { ...version, capabilities: capabilitiesOf(payload.subarray(4, -1)) }
}

function capabilitiesOf(json: Uint8Array): Capabilities {
  let value: unknown
  try {
    // What stands before a first NUL is what a C peer reads.
    const end = json.indexOf(0)
    value = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(end < 0 ? json : json.subarray(0, end)),
    )
  } catch (cause) {
    throw refusal('its JSON cannot be read, send an object', cause)
  }
  const { capabilities = {} } = objectOf(value, 'the JSON')
  const said = objectOf(capabilities, 'capabilities')
  const migration = said['migration'] === undefined ? undefined : objectOf(said['migration'], 'migration')
  const fds = numberOf(said, 'max_msg_fds', MOST_FDS)
  const bytes = numberOf(said, 'max_data_xfer_size', 0xffff_ffff)
  const pgsize = migration && numberOf(migration, 'pgsize', 0xffff_ffff)
  const maps = numberOf(said, 'max_dma_maps', 0xffff_ffff)
  const stopcopy = said['stopcopy'] === undefined ? undefined : objectOf(said['stopcopy'], 'stopcopy')
  return {
    ...(fds === undefined ? {} : { max_msg_fds: fds }),
    ...(bytes === undefined ? {} : { max_data_xfer_size: bytes }),
    ...(migration === undefined ? {} : { migration: pgsize === undefined ? {} : { pgsize } }),
    ...(maps === undefined ? {} : { max_dma_maps: maps }),
    ...(stopcopy === undefined ? {} : { stopcopy }),
  }
}

function objectOf(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw refusal(`${name} is no object, send one`)
}

function numberOf(object: Record<string, unknown>, name: string, most: number): number | undefined {
  const value = object[name]
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value
  throw refusal(`${name} is ${JSON.stringify(value)}, send a whole number of 0 to ${most}`)
}

function refusal(reason: string, cause?: unknown): VfioError {
  return new VfioError('EINVAL', `Cannot agree on a version: ${reason}`, { syscall: 'vfio-user', cause })
}
