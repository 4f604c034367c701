/**
 * Register state to measure by: many records of 256 packed bytes, such as the queues of a network card.
 *
 * As a schema, whose live layout has gaps for alignment, and as JavaScript code without an engine keeps it:
 * numbers as properties, the rest in typed arrays, and every u64 as two u32 (low first), because as BigInt it
 * would cost each of the rivals several times as much.
 *
 * @module
 */
import { array, blob, bool, repeated, u16, u32, u64, u8 } from 'stopcopy'
import { createRandom } from './dirty-pages.mjs'

/** Packed bytes of one record. */
export const RECORD_BYTES = 256
/** Bytes from one record to the next in engine memory. */
export const STRIDE = 512
const DESCRIPTORS = 8

/** A record: registers, counters, a table, a MAC address, a ring of descriptors. */
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
}

/** The schema of `count` records. */
export function recordSchema(count) {
  return { queues: repeated(count, RECORD_FIELDS, { stride: STRIDE }) }
}

/** `count` records with values that the schema allows. */
export function createRecords(count) {
  const random = createRandom()
  const below = (limit) => () => random(limit)
  return Array.from({ length: count }, () => ({
    id: random(2 ** 16),
    mode: random(4),
    linkUp: random(2),
    mac: Uint8Array.from({ length: 6 }, below(256)),
    control: random(2 ** 32),
    interruptMask: random(2 ** 16),
    interruptStatus: random(2 ** 32),
    vlan: random(4096),
    counters: Uint32Array.from({ length: 8 }, below(2 ** 32)),
    moderation: random(1001),
    registers: Uint32Array.from({ length: 16 }, below(2 ** 32)),
    table: Uint16Array.from({ length: 16 }, below(0x1000)),
    head: random(DESCRIPTORS),
    addresses: Uint32Array.from({ length: 2 * DESCRIPTORS }, below(2 ** 32)),
    lengths: Uint16Array.from({ length: DESCRIPTORS }, below(2 ** 16)),
    flags: Uint8Array.from({ length: DESCRIPTORS }, below(16)),
    tail: random(DESCRIPTORS),
    budget: random(2 ** 32),
    weight: 1 + random(64),
    duplex: [0, 1, 4][random(3)],
    checksum: random(2 ** 16),
  }))
}

/** Writes the 256 bytes of a record at `at`, field after field. */
export function writeRecord(view, at, record) {
  const { mac, counters, registers, table, addresses, lengths, flags } = record
  view.setUint16(at, record.id, true)
  view.setUint8(at + 2, record.mode)
  view.setUint8(at + 3, record.linkUp)
  for (let n = 0; n < 6; n++) view.setUint8(at + 4 + n, mac[n])
  view.setUint32(at + 10, record.control, true)
  view.setUint32(at + 14, record.interruptMask, true)
  view.setUint32(at + 18, record.interruptStatus, true)
  view.setUint32(at + 22, record.vlan, true)
  for (let n = 0; n < 8; n++) view.setUint32(at + 26 + 4 * n, counters[n], true)
  view.setUint16(at + 58, record.moderation, true)
  for (let n = 0; n < 16; n++) view.setUint32(at + 60 + 4 * n, registers[n], true)
  for (let n = 0; n < 16; n++) view.setUint16(at + 124 + 2 * n, table[n], true)
  view.setUint16(at + 156, record.head, true)
  for (let n = 0; n < DESCRIPTORS; n++) {
    const slot = at + 158 + 11 * n
    view.setUint32(slot, addresses[2 * n], true)
    view.setUint32(slot + 4, addresses[2 * n + 1], true)
    view.setUint16(slot + 8, lengths[n], true)
    view.setUint8(slot + 10, flags[n])
  }
  view.setUint16(at + 246, record.tail, true)
  view.setUint32(at + 248, record.budget, true)
  view.setUint8(at + 252, record.weight)
  view.setUint8(at + 253, record.duplex)
  view.setUint16(at + 254, record.checksum, true)
}

/** The other way, into a record that exists; false when a value is none that the schema allows. */
export function readRecord(view, at, record) {
  const { mac, counters, registers, table, addresses, lengths, flags } = record
  record.id = view.getUint16(at, true)
  record.mode = view.getUint8(at + 2)
  record.linkUp = view.getUint8(at + 3)
  for (let n = 0; n < 6; n++) mac[n] = view.getUint8(at + 4 + n)
  record.control = view.getUint32(at + 10, true)
  record.interruptMask = view.getUint32(at + 14, true)
  record.interruptStatus = view.getUint32(at + 18, true)
  record.vlan = view.getUint32(at + 22, true)
  for (let n = 0; n < 8; n++) counters[n] = view.getUint32(at + 26 + 4 * n, true)
  record.moderation = view.getUint16(at + 58, true)
  for (let n = 0; n < 16; n++) registers[n] = view.getUint32(at + 60 + 4 * n, true)
  let allowed = true
  for (let n = 0; n < 16; n++)
    allowed = (table[n] = view.getUint16(at + 124 + 2 * n, true)) <= 0x0fff && allowed
  record.head = view.getUint16(at + 156, true)
  for (let n = 0; n < DESCRIPTORS; n++) {
    const slot = at + 158 + 11 * n
    addresses[2 * n] = view.getUint32(slot, true)
    addresses[2 * n + 1] = view.getUint32(slot + 4, true)
    lengths[n] = view.getUint16(slot + 8, true)
    allowed = (flags[n] = view.getUint8(slot + 10)) <= 15 && allowed
  }
  record.tail = view.getUint16(at + 246, true)
  record.budget = view.getUint32(at + 248, true)
  record.weight = view.getUint8(at + 252)
  record.duplex = view.getUint8(at + 253)
  record.checksum = view.getUint16(at + 254, true)
  return allowed && scalarsAllowed(record)
}

function scalarsAllowed({ mode, linkUp, interruptMask, moderation, head, tail, weight, duplex }) {
  const switches = mode <= 3 && linkUp <= 1 && interruptMask <= 0xffff && moderation <= 1000
  const ring = head < DESCRIPTORS && tail < DESCRIPTORS
  return switches && ring && weight >= 1 && weight <= 64 && (duplex <= 1 || duplex === 4)
}
