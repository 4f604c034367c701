/**
 * Register state as a device model in plain JavaScript would hold it: 100,000 network queues of 256 bytes.
 *
 * ```text
 * packed, little endian: control u8 | status u8 | mac 6 B | head u32 | tail u32 | registers 8 x u32 |
 *   counters 4 x u64 | table 24 x u16 | ring 8 x { address u64, byteLength u32, flags u16, next u16 }
 * ```
 * Every u64 is a pair of u32, low first: as BigInt each would cost all rivals several times as much.
 *
 * @module
 */
import { createRandom } from './dirty-pages.mjs'

export const RECORD_BYTES = 256

/** @param {number} count */
export function createRecords(count) {
  const random = createRandom()
  const word = () => random(2 ** 32)
  const half = () => random(2 ** 16)
  return Array.from({ length: count }, () => ({
    control: random(4),
    status: random(8),
    mac: Uint8Array.from({ length: 6 }, () => random(256)),
    head: random(8),
    tail: random(8),
    registers: Uint32Array.from({ length: 8 }, word),
    counters: Uint32Array.from({ length: 8 }, word),
    table: Uint16Array.from({ length: 24 }, half),
    ring: Array.from({ length: 8 }, () => ({
      addressLow: word(),
      addressHigh: word(),
      byteLength: word(),
      flags: half(),
      next: random(8),
    })),
  }))
}

/** By hand, field after field through a DataView; returns where the next record goes. */
export function writeRecord(view, start, record) {
  let at = start
  view.setUint8(at, record.control)
  view.setUint8(at + 1, record.status)
  for (let n = 0; n < 6; n++) view.setUint8(at + 2 + n, record.mac[n])
  view.setUint32(at + 8, record.head, true)
  view.setUint32(at + 12, record.tail, true)
  at += 16
  for (let n = 0; n < 8; n++, at += 4) view.setUint32(at, record.registers[n], true)
  for (let n = 0; n < 8; n++, at += 4) view.setUint32(at, record.counters[n], true)
  for (let n = 0; n < 24; n++, at += 2) view.setUint16(at, record.table[n], true)
  for (let n = 0; n < 8; n++, at += 16) {
    const slot = record.ring[n]
    view.setUint32(at, slot.addressLow, true)
    view.setUint32(at + 4, slot.addressHigh, true)
    view.setUint32(at + 8, slot.byteLength, true)
    view.setUint16(at + 12, slot.flags, true)
    view.setUint16(at + 14, slot.next, true)
  }
  return at
}

/** The other way, into the fields of a record that exists: a restore allocates nothing. */
export function readRecord(view, start, record) {
  let at = start
  record.control = view.getUint8(at)
  record.status = view.getUint8(at + 1)
  for (let n = 0; n < 6; n++) record.mac[n] = view.getUint8(at + 2 + n)
  record.head = view.getUint32(at + 8, true)
  record.tail = view.getUint32(at + 12, true)
  at += 16
  for (let n = 0; n < 8; n++, at += 4) record.registers[n] = view.getUint32(at, true)
  for (let n = 0; n < 8; n++, at += 4) record.counters[n] = view.getUint32(at, true)
  for (let n = 0; n < 24; n++, at += 2) record.table[n] = view.getUint16(at, true)
  for (let n = 0; n < 8; n++, at += 16) {
    const slot = record.ring[n]
    slot.addressLow = view.getUint32(at, true)
    slot.addressHigh = view.getUint32(at + 4, true)
    slot.byteLength = view.getUint32(at + 8, true)
    slot.flags = view.getUint16(at + 12, true)
    slot.next = view.getUint16(at + 14, true)
  }
  return at
}
