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
message Queue {
  uint32 id = 1; uint32 mode = 2; uint32 linkUp = 3; bytes mac = 4; fixed32 control = 5; uint32 interruptMask = 6;
  fixed32 interruptStatus = 7; uint32 vlan = 8; repeated fixed32 counters = 9; uint32 moderation = 10;
  repeated fixed32 registers = 11; repeated uint32 table = 12; uint32 head = 13; repeated fixed32 addresses = 14;
  repeated uint32 lengths = 15; bytes flags = 16; uint32 tail = 17; fixed32 budget = 18; uint32 weight = 19;
  uint32 duplex = 20; uint32 checksum = 21;
}
message Device { repeated Queue queues = 1; }`
// protobufjs's README: reflection emits the same encoders at run time as static modules hold, and its
// benchmark shows the two at one speed. Packed fixed32 suits words that use all bits.
const Device = protobuf.parse(SCHEMA).root.lookupType('Device')
// msgpackr's README: reuse one Packr, whose record extension is on by default. Without moreTypes a typed array
// would come back as the bytes it was made of.
const packr = new Packr({ moreTypes: true })

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
      for (const [index, record] of records.entries()) writeRecord(view, index * RECORD_BYTES, record)
      return bytes
    },
    load(bytes, records) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      for (const [index, record] of records.entries()) readRecord(view, index * RECORD_BYTES, record)
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
