import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { type BulkDriver, createBulk } from '../../../src/devices/index.ts'
import { createEngine, type Engine, type EngineWorker } from '../../../src/engine/index.ts'
import { inspect } from '../../../src/migrate/inspect.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { memoryPair } from '../../../src/transport/index.ts'
import { createTestWorker } from '../../support/engine-worker.ts'
import { putTogether, TAG, takeApart } from '../../support/stream-builder.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'

const MEMORY_BYTES = 4 * 1024 * 1024 + 3
const FRAME = 256 * 1024

async function openBulk(
  engine: Engine,
  compression: 'none' | 'lz4',
  content: Uint8Array = new Uint8Array(0),
): Promise<{ device: VfioDevice; bulk: BulkDriver; contents: () => Uint8Array }> {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, compression, engine })
  const device = await VfioDevice.open(bulk)
  bulk.memory.write(0, content)
  const contents = (): Uint8Array => {
    const bytes = new Uint8Array(MEMORY_BYTES)
    bulk.memory.read(0, bytes)
    return bytes
  }
  return { device, bulk, contents }
}

/** Five equal bytes of eight, then three that count. */
function counting(byteLength: number, step: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: byteLength }, (_, i) => (i % 8 < 5 ? step : (i * step) >> 3))
}

let worker: EngineWorker
let engine: Engine
beforeAll(async () => {
  worker = await createTestWorker()
  engine = await createEngine({ memoryBytes: 24 * 1024 * 1024, shared: true })
})
afterAll(() => worker.close())

describe.each([
  ['alone', false],
  ['with a worker', true],
] as const)('compressed memory, %s', (_, helped) => {
  const options = (): { worker?: EngineWorker } => (helped ? { worker } : {})

  it('is saved and restored at once, through one pair', async () => {
    const before = engine.allocatedBytes
    const source = await openBulk(engine, 'lz4', counting(MEMORY_BYTES, 3))
    const target = await openBulk(engine, 'none')
    const [here, there] = memoryPair()
    const [saved, restored] = await Promise.all([
      save(source.device, here, options()),
      restore(target.device, there, options()),
    ])
    expect(restored.bytes).toBe(saved.bytes)
    expect(saved.bytes).toBeLessThan(MEMORY_BYTES * 0.8)
    expect(Buffer.compare(target.contents(), source.contents())).toBe(0)
    await source.device.close()
    await target.device.close()
    expect(engine.allocatedBytes).toBe(before)
  })

  it('waits for checks of the same pages, and later sections win', async () => {
    const source = await openBulk(engine, 'lz4', counting(MEMORY_BYTES, 3))
    const sink = new RecordingSink()
    await save(source.device, sink)
    await source.device.close()
    const { header, sections } = takeApart(sink.bytes)
    // Between plain pages that a worker verifies: compressed pages, the same compressed ones, zero pages.
    const woven = sections.flatMap((section) => {
      if (section.tag !== TAG.PAGES_LZ4) return [section]
      const { first } = section
      const pageBytes = new DataView(section.payload.buffer, section.payload.byteOffset).getUint32(0, true)
      const plain = { tag: TAG.PAGES, first, payload: new Uint8Array(pageBytes).fill(0x77) }
      return (first / 64) % 2 === 0 ? [plain, section] : [section, plain, plain]
    })
    const stream = putTogether(header, woven)
    const { tags } = await inspect(new RecordingSource(stream))
    expect(tags['PAGES_LZ4']?.sections).toBeGreaterThan(8)
    const expected = counting(MEMORY_BYTES, 3)
    for (const { tag, first, payload } of woven)
      if (tag === TAG.PAGES && (first / 64) % 2 !== 0)
        expected.fill(0x77, first * 4096, first * 4096 + payload.length)
    const target = await openBulk(engine, 'none')
    await restore(target.device, new RecordingSource(stream, FRAME), options())
    expect(Buffer.compare(target.contents(), expected)).toBe(0)
    await target.device.close()
  })
})
