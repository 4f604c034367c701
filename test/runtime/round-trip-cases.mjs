/** A device's way through a stream: saved, verified, damaged, restored; and live. */

import {
  DeviceState,
  inspect,
  memoryPair,
  migrate,
  receive,
  restore,
  save,
  verify,
  VfioDevice,
  VfioError,
} from 'stopcopy'
import { createBulk, verifyBulkWorkload } from 'stopcopy/devices'
import { expectBytes, expectSame, refusal } from './expect.mjs'

const MEMORY_BYTES = 300_003
const SEEDED = { memoryBytes: MEMORY_BYTES, seed: 1 }

/** A device's stream, made by `save`; the device is closed. */
export async function savedStream(options) {
  const device = await VfioDevice.open(createBulk(options))
  const chunks = []
  const sink = new WritableStream({ write: (chunk) => void chunks.push(chunk) })
  await save(device, sink)
  await device.close()
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

/** A stream that gives these bytes in pieces. */
function streamOf(bytes) {
  return new Blob([bytes]).stream()
}

/** All bytes of a bulk's memory. */
export function memoryOf(bulk) {
  const bytes = new Uint8Array(bulk.memory.byteLength)
  bulk.memory.read(0, bytes)
  return bytes
}

export const roundTripCases = [
  {
    name: 'a saved stream passes verify and inspect',
    run: async () => {
      const stream = await savedStream(SEEDED)
      const { bytes } = await verify(streamOf(stream))
      expectSame(bytes, stream.length)
      expectSame((await inspect(streamOf(stream))).bytes, stream.length)
    },
  },
  {
    name: 'a saved stream restores the memory byte for byte, and the device runs',
    run: async () => {
      const power = createBulk(SEEDED)
      const original = await VfioDevice.open(power)
      const bulk = createBulk({ memoryBytes: MEMORY_BYTES })
      const device = await VfioDevice.open(bulk)
      await restore(device, streamOf(await savedStream(SEEDED)))
      expectSame(await device.state(), DeviceState.RUNNING)
      expectBytes(memoryOf(bulk), memoryOf(power))
      await Promise.all([original.close(), device.close()])
    },
  },
  {
    name: 'a stream with one bit changed is refused by verify and by restore',
    run: async () => {
      const stream = await savedStream(SEEDED)
      stream[stream.length >> 1] ^= 1
      expectSame(VfioError.is(await refusal(verify(streamOf(stream))), 'EBADMSG'), true)
      const device = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES }))
      expectSame(VfioError.is(await refusal(restore(device, streamOf(stream)))), true)
      await device.close()
    },
  },
  {
    name: 'a working device migrates live, and its records are all there',
    run: async () => {
      const workload = { pagesPerSecond: 1000 }
      const from = createBulk({ memoryBytes: MEMORY_BYTES, workload })
      const to = createBulk({ memoryBytes: MEMORY_BYTES })
      const [source, destination] = [await VfioDevice.open(from), await VfioDevice.open(to)]
      while (from.sequence === 0n) await new Promise((resolve) => setTimeout(resolve, 1))
      const [here, there] = memoryPair()
      const [report] = await Promise.all([migrate(source, here), receive(destination, there)])
      expectSame(report.owner, 'destination')
      await destination.setState(DeviceState.STOP)
      expectSame(to.sequence >= from.sequence, true)
      const { matches } = await verifyBulkWorkload(to.memory, { workload, sequence: to.sequence })
      expectSame(matches, true)
      await Promise.all([source.close(), destination.close()])
    },
  },
]
