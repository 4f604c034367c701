/** Damage that `restore` must see, and what it leaves of the device: in-process, since every bit has its turn. @module */

import { beforeAll, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../src/devices/index.ts'
import { VfioError } from '../../src/errors.ts'
import { restore } from '../../src/migrate/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { bulkStream, BytesSource, flip, mttyStream, randomNumbers } from './stream-bytes.ts'

const MEMORY_BYTES = 4097

beforeAll(() => {
  // A hundred thousand refusals, and nobody looks at their stack traces.
  Error.stackTraceLimit = 0
})

/** A device that takes the stream, and all that can be seen of it. */
interface Destination {
  readonly device: VfioDevice
  readonly look: () => Buffer
}

async function bulkDestination(
  memoryBytes = MEMORY_BYTES,
  powerOn: { seed?: number } = { seed: 8 },
): Promise<Destination> {
  const bulk = createBulk({ memoryBytes, ...powerOn })
  const device = await VfioDevice.open(bulk)
  return {
    device,
    look: () => {
      const seen = Buffer.alloc(memoryBytes + 64)
      bulk.memory.read(0, seen.subarray(0, memoryBytes))
      for (let at = 0; at < 64; at += 4)
        device.regions?.read(0, at, seen.subarray(memoryBytes + at, memoryBytes + at + 4))
      return seen
    },
  }
}

async function mttyDestination(): Promise<Destination> {
  const device = await VfioDevice.open(createMtty({ ports: 2 }))
  for (const port of [0, 1]) device.regions?.write(port, 7, Uint8Array.of(0x11))
  return {
    device,
    look: () => {
      const seen = Buffer.alloc(14)
      // Register 0 would take a byte off the ring.
      for (const port of [0, 1]) device.regions?.read(port, 1, seen.subarray(port * 7, port * 7 + 7))
      return seen
    },
  }
}

const SMALL = {
  bulk: { stream: (): Promise<Uint8Array> => bulkStream(MEMORY_BYTES, 3), open: () => bulkDestination() },
  mtty: { stream: mttyStream, open: mttyDestination },
}

/** What is wrong with the refusal of a damaged stream; undefined when it is as it must be. */
async function fault(
  { device, look }: Destination,
  bytes: Uint8Array,
  damageOffset: number,
  before: Buffer,
): Promise<string | undefined> {
  try {
    await restore(device, new BytesSource(bytes))
    return 'restored'
  } catch (error) {
    if (!VfioError.is(error)) throw error
    const { section, offset = Number.NaN, message, state } = error
    if (!(offset <= damageOffset)) return `${message} names no place`
    if (!message.includes(`${section} at offset ${offset}`) || message.includes('\n')) return message
    if (state !== DeviceState.RUNNING || (await device.state()) !== state) return `in state ${state}`
    return look().equals(before) ? undefined : 'changed'
  }
}

describe.each(['bulk', 'mtty'] as const)('restore of a small %s stream', (type) => {
  it('takes it as it is, and the device is another one then', async () => {
    const destination = await SMALL[type].open()
    const before = destination.look()
    const { state } = await restore(destination.device, new BytesSource(await SMALL[type].stream()))
    expect(state).toBe(DeviceState.RUNNING)
    expect(destination.look().equals(before)).toBe(false)
  })

  it(
    'refuses every flipped bit: section and offset named, the device RUNNING as it was at power-on',
    { timeout: 180_000 },
    async () => {
      const bytes = await SMALL[type].stream()
      const destination = await SMALL[type].open()
      const before = destination.look()
      const faults: string[] = []
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        flip(bytes, bit)
        const found = await fault(destination, bytes, bit >>> 3, before)
        if (found !== undefined) faults.push(`bit ${bit}: ${found}`)
        flip(bytes, bit)
      }
      expect(faults).toEqual([])
    },
  )

  it('refuses every truncation and appended bytes in the same way', { timeout: 60_000 }, async () => {
    const bytes = await SMALL[type].stream()
    const destination = await SMALL[type].open()
    const before = destination.look()
    const faults: string[] = []
    const damaged = [...Array(bytes.length).keys()].map((length) => bytes.subarray(0, length))
    for (const appended of [[0], [255], [...bytes]]) damaged.push(Uint8Array.from([...bytes, ...appended]))
    for (const stream of damaged) {
      const found = await fault(destination, stream, Math.min(stream.length, bytes.length), before)
      if (found !== undefined) faults.push(`${stream.length} bytes: ${found}`)
    }
    expect(faults).toEqual([])
  })
})

describe('restore of a stream of 1 MiB + 3', () => {
  it('refuses 1,000 random flipped bits in the same way', { timeout: 180_000 }, async () => {
    const byteLength = 1024 * 1024 + 3
    const bytes = await bulkStream(byteLength, 4)
    const destination = await bulkDestination(byteLength, {})
    const before = destination.look()
    const random = randomNumbers(0xdead)
    const faults: string[] = []
    for (let count = 0; count < 1000; count++) {
      const bit = random(bytes.length * 8)
      flip(bytes, bit)
      const found = await fault(destination, bytes, bit >>> 3, before)
      if (found !== undefined) faults.push(`bit ${bit}: ${found}`)
      flip(bytes, bit)
    }
    expect(faults).toEqual([])
    await restore(destination.device, new BytesSource(bytes))
    expect(destination.look().equals(before)).toBe(false)
  })
})

describe('setState of a bulk that was given a damaged stream', () => {
  it('stays in RESUMING, and reset brings power-on content back, wherever the damage was', async () => {
    const bytes = await SMALL.bulk.stream()
    const { device, look } = await bulkDestination()
    const before = look()
    // A step that is coprime to 8: every bit of a byte has its turn, in every section.
    for (let bit = 0; bit < bytes.length * 8; bit += 61) {
      flip(bytes, bit)
      const session = await device.setState(DeviceState.RESUMING)
      expect(() => session?.write(bytes)).toThrow(/ at offset \d+/)
      await expect(device.setState(DeviceState.STOP)).rejects.toMatchObject({
        code: 'EINVAL',
        state: DeviceState.RESUMING,
      })
      expect(await device.state()).toBe(DeviceState.RESUMING)
      await device.reset()
      session?.close()
      expect(await device.state()).toBe(DeviceState.RUNNING)
      expect(look().equals(before)).toBe(true)
      flip(bytes, bit)
    }
  })
})
