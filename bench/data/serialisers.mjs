/**
 * Serialisers of JavaScript objects, each as its own documentation says is fastest.
 *
 * @module
 */
import { deserialize, serialize } from 'node:v8'
import { Packr } from 'msgpackr'
import protobuf from 'protobufjs'
import { readRecord, RECORD_BYTES, writeRecord } from './records.mjs'

const SCHEMA = `syntax = "proto3";
message Slot { fixed32 addressLow = 1; fixed32 addressHigh = 2; fixed32 byteLength = 3; uint32 flags = 4; uint32 next = 5; }
message Queue { uint32 control = 1; uint32 status = 2; bytes mac = 3; uint32 head = 4; uint32 tail = 5;
  repeated fixed32 registers = 6; repeated fixed32 counters = 7; repeated uint32 table = 8; repeated Slot ring = 9; }
message Device { repeated Queue queues = 1; }`
// protobufjs's README: reflection emits the same encoders at run time as static modules hold, and its
// benchmark shows the two at one speed. Packed fixed32 suits words that use all bits.
const Device = protobuf.parse(SCHEMA).root.lookupType('Device')
// msgpackr's README: reuse one Packr, whose record extension is on by default.
const packr = new Packr()

/**
 * Records saved to bytes and restored from them. `load` returns records, or fills those given.
 *
 * @type {Record<string, { save: (records: object[]) => Uint8Array, load: (bytes: Uint8Array, records: object[]) => object[] }>}
 */
export const serialisers = {
  'DataView by hand': {
    save(records) {
      const bytes = bufferFor(records.length)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      let at = 0
      for (const record of records) at = writeRecord(view, at, record)
      return bytes
    },
    load(bytes, records) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      let at = 0
      for (const record of records) at = readRecord(view, at, record)
      return records
    },
  },
  'v8.serialize': { save: (records) => serialize(records), load: (bytes) => deserialize(bytes) },
  protobufjs: {
    // The records have the message's shape, so no create() is needed; Writer takes typed arrays.
    save: (records) => Device.encode({ queues: records }).finish(),
    load: (bytes) => Device.decode(bytes).queues,
  },
  msgpackr: { save: (records) => packr.pack(records), load: (bytes) => packr.unpack(bytes) },
}

/** Reused: the others allocate what they return, as their interfaces demand. */
let buffer = Buffer.alloc(0)

function bufferFor(count) {
  if (buffer.length !== count * RECORD_BYTES) buffer = Buffer.alloc(count * RECORD_BYTES, 1)
  return buffer
}
