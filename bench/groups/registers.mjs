/**
 * Packed register state: 100,000 records of 256 bytes that live in engine memory in their natural layout, 512
 * bytes apart, through the schema's layout program.
 *
 * @module
 */
import { createEngine } from 'stopcopy'
// No public name: an author sees the schema, and the program runs at STOP_COPY and at RESUMING to STOP.
import { compileLayout } from '../../dist/driver/layout.js'
import { loadProgram } from '../../dist/driver/layout-program.js'
import {
  createRecords,
  readRecord,
  RECORD_BYTES,
  recordSchema,
  STRIDE,
  writeRecord,
} from '../data/records.mjs'
import { MIB, touchedBuffer } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const SAVE = 'layout program: pack and validate'
const DATA_VIEW = 'DataView: write'

export const rounds = { full: 7, quick: 2 }
export const names = [
  'Buffer.copy of the packed bytes',
  SAVE,
  'layout program: pack',
  'layout program: validate and unpack',
  DATA_VIEW,
  'DataView: read and validate',
]

export async function open({ quick }) {
  const count = quick ? 10_000 : 100_000
  const bytes = count * RECORD_BYTES
  const records = createRecords(count)
  const restored = createRecords(count)
  const written = touchedBuffer(bytes)
  const view = new DataView(written.buffer)
  const write = () => {
    for (let n = 0; n < count; n++) writeRecord(view, n * RECORD_BYTES, records[n])
  }
  write()
  const program = await openProgram(count, written)
  const loops = [
    () => written.copy(program.into),
    program.save,
    program.pack,
    program.unpack,
    write,
    () => {
      let allowed = true
      for (let n = 0; n < count; n++) allowed = readRecord(view, n * RECORD_BYTES, restored[n]) && allowed
      if (!allowed) throw new Error('the records were refused')
    },
  ]
  return {
    title: `Packed register state: ${count.toLocaleString('en')} records of ${RECORD_BYTES} bytes`,
    notes: [
      `In engine memory the records are ${STRIDE} bytes apart and every field is aligned. DataView: straight-line code over typed-array fields and numbers of objects, which writes the same bytes. The copy of bytes that are packed already is for scale. GB/s counts packed bytes.`,
    ],
    cases: names.map((name, index) => ({
      name,
      bytes,
      against: names[0],
      loop: loops[index],
    })),
    targets: [atLeast(10, SAVE, DATA_VIEW)],
  }
}

/** The schema's program in an engine that holds the records; its packed bytes must be the ones written. */
async function openProgram(count, written) {
  const into = touchedBuffer(written.length)
  const engine = await createEngine({ memoryBytes: count * (STRIDE + RECORD_BYTES) + 16 * MIB })
  const { kernels } = engine
  const layout = compileLayout(recordSchema(count), 1)
  const { pointer, byteLength } = loadProgram(engine, layout, 1)
  const live = engine.allocate(layout.liveBytes, 64)
  const packed = engine.allocate(written.length, 64)
  const view = engine.bytes.subarray(packed, packed + written.length)
  const validate = () => {
    if (kernels.layoutValidate(pointer, byteLength, packed) !== undefined) throw new Error('refused')
  }
  const pack = () => kernels.layoutPack(pointer, byteLength, packed, live)
  const unpack = () => {
    if (kernels.layoutUnpack(pointer, byteLength, live, packed) !== undefined) throw new Error('refused')
  }
  view.set(written)
  unpack()
  view.fill(0)
  pack()
  if (!written.equals(view)) throw new Error('the layout program packed other bytes than the DataView wrote')
  const save = () => {
    pack()
    validate()
  }
  return { into, pack, unpack, save }
}
