import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { createBulk } from '../../../../src/devices/index.ts'
import { StreamTail } from '../../../../src/migrate/live/stream-tail.ts'
import { ZeroPageMeter } from '../../../../src/migrate/live/zero-page-meter.ts'
import { save } from '../../../../src/migrate/save.ts'
import { RecordingSink } from '../byte-ends.ts'

async function streamOf(dataPages: readonly number[], pages: number): Promise<Uint8Array> {
  const bulk = createBulk({ memoryBytes: pages * 4096 })
  const device = await VfioDevice.open(bulk)
  for (const page of dataPages) bulk.memory.write(page * 4096, Uint8Array.of(1))
  const sink = new RecordingSink()
  await save(device, sink)
  await device.close()
  return sink.bytes
}

describe('ZeroPageMeter', () => {
  it('counts pages of which only the number was sent, however the stream is cut', async () => {
    const stream = await streamOf([3, 4, 90], 200)
    for (const most of [1, 7, 40, 4096, stream.length]) {
      const meter = new ZeroPageMeter()
      for (let at = 0; at < stream.length;) {
        const end = at + 1 + ((at * 7919) % most)
        meter.add(stream.subarray(at, end))
        at = end
      }
      expect(meter.pages).toBe(197)
    }
  })
})

describe('StreamTail', () => {
  it('keeps the last 8 bytes, however they come', () => {
    const bytes = Uint8Array.from({ length: 50 }, (_, at) => at)
    for (const size of [1, 3, 7, 8, 9, 50]) {
      const tail = new StreamTail()
      for (let at = 0; at < bytes.length; at += size) tail.add(bytes.subarray(at, at + size))
      expect(tail.digest).toBe('2a2b2c2d2e2f3031')
    }
  })
})
