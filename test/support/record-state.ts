/**
 * The register state that tests and benchmarks measure by: many records of 256 packed bytes, such as the
 * queues of a network card, and the same written and read through a DataView by hand.
 *
 * @module
 */

import {
  array,
  blob,
  bool,
  type RepeatedField,
  repeated,
  type Schema,
  u16,
  u32,
  u64,
  u8,
} from '../../src/driver/index.ts'

/** Packed bytes of one record. */
export const RECORD_PACKED_BYTES = 256

/** Bytes from one record to the next in engine memory. */
export const RECORD_STRIDE = 512

const DESCRIPTORS = 8

/** Registers, counters, a u16 table, a MAC address and a ring of 8 descriptors; natural alignment leaves gaps. */
export const RECORD_FIELDS = {
  id: u16(),
  mode: u8({ max: 3 }),
  linkUp: bool(),
  mac: blob(6),
  control: u32(),
  interruptMask: u32({ max: 0xffff }),
  interruptStatus: u32(),
  vlan: u32(),
  rxPackets: u64(),
  txPackets: u64(),
  rxBytes: u64(),
  txBytes: u64(),
  moderation: u16({ min: 0, max: 1000 }),
  registers: array(u32(), 16),
  table: array(u16({ max: 0x0fff }), 16),
  head: u16({ max: DESCRIPTORS - 1 }),
  ring: repeated(DESCRIPTORS, { address: u64(), length: u16(), flags: u8({ max: 15 }) }),
  tail: u16({ max: DESCRIPTORS - 1 }),
  budget: u32(),
  weight: u8({ default: 1, min: 1, max: 64 }),
  duplex: u8({ oneOf: [0, 1, 4] }),
  checksum: u16(),
} satisfies Schema

/** `count` such records. */
export function recordSchema(count: number): { readonly queues: RepeatedField<typeof RECORD_FIELDS> } {
  return { queues: repeated(count, RECORD_FIELDS, { stride: RECORD_STRIDE }) }
}

/**
 * The same record as JavaScript code without an engine keeps it: numbers as properties, the rest in typed
 * arrays, u64 as two u32 (low first), which is several times as fast as BigInt.
 */
export interface HandRecord {
  id: number
  mode: number
  linkUp: number
  readonly mac: Uint8Array
  control: number
  interruptMask: number
  interruptStatus: number
  vlan: number
  /** rxPackets, txPackets, rxBytes, txBytes. */
  readonly counters: Uint32Array
  moderation: number
  readonly registers: Uint32Array
  readonly table: Uint16Array
  head: number
  readonly addresses: Uint32Array
  readonly lengths: Uint16Array
  readonly flags: Uint8Array
  tail: number
  budget: number
  weight: number
  duplex: number
  checksum: number
}

/** A record of zeros. */
export function handRecord(): HandRecord {
  return {
    id: 0,
    mode: 0,
    linkUp: 0,
    mac: new Uint8Array(6),
    control: 0,
    interruptMask: 0,
    interruptStatus: 0,
    vlan: 0,
    counters: new Uint32Array(8),
    moderation: 0,
    registers: new Uint32Array(16),
    table: new Uint16Array(16),
    head: 0,
    addresses: new Uint32Array(2 * DESCRIPTORS),
    lengths: new Uint16Array(DESCRIPTORS),
    flags: new Uint8Array(DESCRIPTORS),
    tail: 0,
    budget: 0,
    weight: 1,
    duplex: 0,
    checksum: 0,
  }
}

/** Writes the 256 bytes of a record at `at`: what the layout program's pack does. */
export function packByHand(view: DataView, at: number, record: HandRecord): void {
  const { mac, counters, registers, table, addresses, lengths, flags } = record
  view.setUint16(at, record.id, true)
  view.setUint8(at + 2, record.mode)
  view.setUint8(at + 3, record.linkUp)
  for (let i = 0; i < 6; i++) view.setUint8(at + 4 + i, mac[i]!)
  view.setUint32(at + 10, record.control, true)
  view.setUint32(at + 14, record.interruptMask, true)
  view.setUint32(at + 18, record.interruptStatus, true)
  view.setUint32(at + 22, record.vlan, true)
  for (let i = 0; i < 8; i++) view.setUint32(at + 26 + 4 * i, counters[i]!, true)
  view.setUint16(at + 58, record.moderation, true)
  for (let i = 0; i < 16; i++) view.setUint32(at + 60 + 4 * i, registers[i]!, true)
  for (let i = 0; i < 16; i++) view.setUint16(at + 124 + 2 * i, table[i]!, true)
  view.setUint16(at + 156, record.head, true)
  for (let i = 0; i < DESCRIPTORS; i++) {
    const slot = at + 158 + 11 * i
    view.setUint32(slot, addresses[2 * i]!, true)
    view.setUint32(slot + 4, addresses[2 * i + 1]!, true)
    view.setUint16(slot + 8, lengths[i]!, true)
    view.setUint8(slot + 10, flags[i]!)
  }
  view.setUint16(at + 246, record.tail, true)
  view.setUint32(at + 248, record.budget, true)
  view.setUint8(at + 252, record.weight)
  view.setUint8(at + 253, record.duplex)
  view.setUint16(at + 254, record.checksum, true)
}

/** Reads the 256 bytes of a record at `at`; false when a value is none that the schema allows. */
export function unpackByHand(view: DataView, at: number, record: HandRecord): boolean {
  const { mac, counters, registers, table, addresses, lengths, flags } = record
  record.id = view.getUint16(at, true)
  record.mode = view.getUint8(at + 2)
  record.linkUp = view.getUint8(at + 3)
  for (let i = 0; i < 6; i++) mac[i] = view.getUint8(at + 4 + i)
  record.control = view.getUint32(at + 10, true)
  record.interruptMask = view.getUint32(at + 14, true)
  record.interruptStatus = view.getUint32(at + 18, true)
  record.vlan = view.getUint32(at + 22, true)
  for (let i = 0; i < 8; i++) counters[i] = view.getUint32(at + 26 + 4 * i, true)
  record.moderation = view.getUint16(at + 58, true)
  for (let i = 0; i < 16; i++) registers[i] = view.getUint32(at + 60 + 4 * i, true)
  let allowed = true
  for (let i = 0; i < 16; i++)
    allowed = (table[i] = view.getUint16(at + 124 + 2 * i, true)) <= 0x0fff && allowed
  record.head = view.getUint16(at + 156, true)
  for (let i = 0; i < DESCRIPTORS; i++) {
    const slot = at + 158 + 11 * i
    addresses[2 * i] = view.getUint32(slot, true)
    addresses[2 * i + 1] = view.getUint32(slot + 4, true)
    lengths[i] = view.getUint16(slot + 8, true)
    allowed = (flags[i] = view.getUint8(slot + 10)) <= 15 && allowed
  }
  record.tail = view.getUint16(at + 246, true)
  record.budget = view.getUint32(at + 248, true)
  record.weight = view.getUint8(at + 252)
  record.duplex = view.getUint8(at + 253)
  record.checksum = view.getUint16(at + 254, true)
  return allowed && scalarsAllowed(record)
}

/** Whether a record's single numbers are as the schema wants them. */
export function scalarsAllowed(record: HandRecord): boolean {
  const { mode, linkUp, interruptMask, moderation, head, tail, weight, duplex } = record
  return (
    mode <= 3 &&
    linkUp <= 1 &&
    interruptMask <= 0xffff &&
    moderation <= 1000 &&
    head < DESCRIPTORS &&
    tail < DESCRIPTORS &&
    weight >= 1 &&
    weight <= 64 &&
    (duplex <= 1 || duplex === 4)
  )
}
