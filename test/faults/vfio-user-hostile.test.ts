/**
 * Clients of vfio-user that send anything: the server answers or closes, what it holds stays bounded, and the device
 * is whole afterwards.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../src/devices/index.ts'
import { createEngine } from '../../src/engine/index.ts'
import { verify } from '../../src/migrate/index.ts'
import { memoryPair, settle } from '../../src/transport/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { type FdDuplex, serveVfioUser } from '../../src/vfio-user/index.ts'
import { FakeDescriptors } from '../support/fake-descriptors.ts'
import { IS_LONG } from '../support/fault-matrix.ts'
import { HostileMessages } from '../support/hostile-client.ts'
import { goldenStream, save } from '../support/mtty-device.ts'
import { turn } from '../support/pending.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { ScriptedPci, u32, versionPayload, WireClient, wireMessage } from '../support/vfio-user-wire.ts'

const MEMORY_BYTES = 64 * 1024
const MESSAGES = IS_LONG ? 1_000_000 : 20_000
const ENDS = ['left', 'lost', 'refused', 'stopped']

/** Counts what the server sends to the end, or to the reply with id `last`: whole replies, or DMA requests. */
async function readAll(client: WireClient, last?: number): Promise<number> {
  let count = 0
  try {
    for (let message = await client.next(); message !== undefined; message = await client.next()) {
      const isRequest = message.flags === 0 && (message.command === 11 || message.command === 12)
      const isError = message.flags === 0x21 && message.errno !== 0 && message.payload.length === 0
      expect(isRequest || isError || message.flags === 1, `flags ${message.flags}`).toBe(true)
      count++
      if (message.id === last) break
    }
  } catch (error) {
    // The server cut it off, maybe in the middle of what was not read yet.
    expect((error as { code?: string }).code).toBe('EPIPE')
  }
  return count
}

/** Sends; false when the server does not take more. */
async function send(client: WireClient, bytes: Uint8Array, pieceBytes = bytes.length): Promise<boolean> {
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes)
      await client.write(bytes.subarray(at, at + pieceBytes))
    return true
  } catch {
    return false
  }
}

/** A device whose wholeness can be looked at, and its server. */
class Target {
  readonly device: VfioDevice
  readonly pci = new ScriptedPci([
    { index: 0, kind: 'io', byteLength: 8 },
    { index: 2, kind: 'memory', byteLength: 4096 },
  ])
  readonly fds = new FakeDescriptors()
  readonly check: () => Promise<void>

  private constructor(device: VfioDevice, check: () => Promise<void>) {
    this.device = device
    this.check = check
  }

  static async mtty(): Promise<Target> {
    const device = await VfioDevice.open(createMtty())
    const check = async (): Promise<void> => {
      expect((await save(device)).length).toBe(goldenStream('fresh-1-port').length)
      await device.setState(DeviceState.RUNNING)
    }
    return new Target(device, check)
  }

  static async bulk(): Promise<Target> {
    const engine = await createEngine({ memoryBytes: 1024 * 1024 })
    const bulk = createBulk({ memoryBytes: MEMORY_BYTES, seed: 7, engine })
    const device = await VfioDevice.open(bulk)
    const powerOn = Buffer.alloc(MEMORY_BYTES)
    bulk.memory.read(0, powerOn)
    const { allocatedBytes } = engine
    const check = async (): Promise<void> => {
      expect(engine.allocatedBytes, 'engine memory').toBe(allocatedBytes)
      const now = Buffer.alloc(MEMORY_BYTES)
      bulk.memory.read(0, now)
      expect(now.equals(powerOn), 'memory at power-on').toBe(true)
      const session = await device.setState(DeviceState.STOP_COPY)
      const stream = new Uint8Array(2 * MEMORY_BYTES)
      let byteLength = 0
      for (let count = -1; count !== 0; byteLength += count)
        count = session!.read(stream.subarray(byteLength))
      expect((await verify(new Blob([stream.subarray(0, byteLength)]).stream())).bytes).toBe(byteLength)
      await device.setState(DeviceState.RUNNING)
    }
    return new Target(device, check)
  }

  /** Two descriptors come with what is read next. */
  arrive(): void {
    this.fds.arrive(this.fds.createEvent(), this.fds.createMemory(4096))
  }

  /** The device writes to its client and interrupts it, if it has one; nobody waits for it. */
  work(address: bigint, bytes: Uint8Array): void {
    const { host } = this.pci
    if (host === undefined) return
    void (async () => host.memory.write(address, bytes))().catch(() => {})
    host.raise(bytes[0]! % 4)
  }

  /** Serves one client, which `use` is; it agreed on a version. */
  async serve(use: (client: WireClient) => Promise<void>, highWaterMark = 65_536): Promise<void> {
    const [here, there] = memoryPair({ highWaterMark })
    const { device, pci, fds } = this
    const options = { pci, dmaTimeoutMs: 1000, quirks: { requireBusMaster: false } }
    const duplex: FdDuplex = { ...there, fds }
    const serving = serveVfioUser(device, duplex, options)
    const client = new WireClient(here)
    await Promise.all([send(client, wireMessage(0, 1, versionPayload('{}'))), client.next()])
    await use(client)
    const report = await serving
    expect(ENDS).toContain(report.ended)
    expect(report.state).toBe(DeviceState.RUNNING)
    expect(pci.host).toBeUndefined()
    // What the client sent when the server had ended is closed by the connection, as the kernel does.
    for (const fd of fds.take()) fds.close(fd)
    expect([fds.open.size, fds.mappings], 'descriptors and mappings').toEqual([0, 0])
  }
}

/** Bytes of live objects. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** One client, which sends up to `most` messages; how many it sent. Some read no answers, some let the device work. */
async function hostileRound(target: Target, messages: HostileMessages, most: number): Promise<number> {
  const count = Math.min(1 + messages.below(400), most)
  const isReading = messages.below(8) > 0
  let sent = 0
  const use = async (client: WireClient): Promise<void> => {
    const reading = isReading ? readAll(client) : undefined
    for (let isOpen = true; sent < count && isOpen; sent++) {
      if (messages.below(40) === 0) target.arrive()
      if (messages.below(40) === 0) target.work(BigInt(messages.below(8) * 4096), messages.bytes(8))
      const bytes = sent === count - 1 && messages.below(2) === 0 ? messages.torn() : messages.next()
      const writing = send(client, bytes, messages.below(10) === 0 ? 1 + messages.below(7) : undefined)
      // A client that does not read is not read either, so it cannot wait for its own writes.
      isOpen = isReading ? await writing : await Promise.race([writing, turn().then(() => false)])
    }
    if (messages.below(2) === 0) await settle(() => client.duplex.close())
    await client.duplex.abort(new Error('gone'))
    if (!isReading) await client.duplex.cancel(new Error('gone'))
    await reading
  }
  await target.serve(use, messages.below(4) === 0 ? 0 : undefined)
  return sent
}

const TARGETS = [
  ['mtty', () => Target.mtty()],
  ['bulk', () => Target.bulk()],
] as const

describe.each(TARGETS)('a hostile client of %s', (_name, open) => {
  it('sends every command with every length from 0 to 64', async () => {
    const target = await open()
    const messages = new HostileMessages(seededRandom(1))
    for (let command = 0; command <= 20; command++) {
      await target.serve(async (client) => {
        const reading = readAll(client, 99)
        for (let byteLength = 0; byteLength <= 64; byteLength++) {
          expect(await send(client, wireMessage(byteLength, command, messages.bytes(byteLength)))).toBe(true)
          expect(await send(client, wireMessage(byteLength, command, Buffer.alloc(byteLength)))).toBe(true)
        }
        expect(await send(client, wireMessage(99, 4, u32(16, 0, 0, 0)))).toBe(true)
        expect(await reading, 'answers').toBe(2 * 65 + 1)
        await client.duplex.close()
      })
    }
    await target.check()
  })

  it('splits headers and payloads at every byte', async () => {
    const target = await open()
    const bytes = Buffer.concat([
      wireMessage(1, 4, u32(16, 0, 0, 0)),
      wireMessage(2, 99, u32(1, 2, 3)),
      wireMessage(3, 16, u32(16, 0x10002)),
    ])
    for (let at = 1; at < bytes.length; at++) {
      await target.serve(async (client) => {
        const both = send(client, bytes.subarray(0, at)).then(() => send(client, bytes.subarray(at)))
        expect(await client.next()).toMatchObject({ id: 1, flags: 1 })
        expect(await client.next()).toMatchObject({ id: 2, flags: 0x21, errno: 22 })
        expect(await client.next()).toMatchObject({ id: 3, flags: 1 })
        await both
        await client.duplex.close()
      })
    }
    await target.check()
  })

  it('leaves after every byte of a migration, by an end and by a break', async () => {
    const target = await open()
    const bytes = Buffer.concat([
      wireMessage(1, 2, Buffer.concat([u32(32, 3), Buffer.alloc(8), u32(4096, 0, 4096, 0)])),
      wireMessage(2, 16, u32(16, 0x20002, DeviceState.PRE_COPY, 0xffffffff)),
      wireMessage(3, 17, u32(8 + 4096, 4096)),
      wireMessage(4, 16, u32(16, 0x20002, DeviceState.STOP_COPY, 0xffffffff)),
      wireMessage(5, 17, u32(8 + 65_536, 65_536)),
      wireMessage(6, 16, u32(16, 0x20002, DeviceState.RESUMING, 0xffffffff)),
      wireMessage(7, 18, u32(12, 4, 0)),
    ])
    const step = IS_LONG ? 1 : 3
    for (let at = 1; at <= bytes.length; at += step) {
      await target.serve(async (client) => {
        await send(client, bytes.subarray(0, at))
        if (at % 2 === 0) await client.duplex.close()
        else {
          await client.duplex.abort(new Error('cut'))
          await client.duplex.cancel(new Error('cut'))
        }
        if (at % 2 === 0) await readAll(client)
      })
    }
    await target.check()
  })

  it(
    `sends ${MESSAGES / 2} messages from a seed, torn ones among them`,
    { timeout: IS_LONG ? 7_200_000 : 300_000 },
    async () => {
      const target = await open()
      const messages = new HostileMessages(seededRandom(20_261_129))
      let before = 0
      let sent = 0
      for (let round = 0; sent < MESSAGES / 2; round++) {
        sent += await hostileRound(target, messages, MESSAGES / 2 - sent)
        if (round % 16 === 0) await target.check()
        // What the first rounds fill, caches and compiled code, is no growth.
        if (round === 8) before = heapBytes()
      }
      await target.check()
      expect(heapBytes() - before, 'growth of the heap').toBeLessThan(8 * 1024 * 1024)
    },
  )
})
