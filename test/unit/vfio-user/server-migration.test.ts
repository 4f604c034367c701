/** The state machine and the stream over the wire (facts 6 to 8). */

import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../../src/devices/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { goldenStream } from '../../support/mtty-device.ts'
import { turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { leave, serve, type Served, u32, type WireClient, wireMessage } from '../../support/vfio-user-wire.ts'

const FEATURE = 16
const READ = 17
const WRITE = 18
const RESET = 13
const GET = 0x10000
const SET = 0x20000
const PROBE = 0x40000
const NO_FD = 0xffffffff
const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY, RUNNING_P2P, ERROR } = DeviceState

function setState(client: WireClient, state: number): Promise<Buffer> {
  return client.ok(FEATURE, u32(16, SET | 2, state, NO_FD))
}

async function stateOf(client: WireClient): Promise<number> {
  return (await client.ok(FEATURE, u32(16, GET | 2))).readUInt32LE(8)
}

/** Reads until a reply has no bytes; each reply is as long as was asked for. */
async function readAll(client: WireClient, size: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (;;) {
    const payload = await client.ok(READ, u32(8 + size, size))
    expect(payload.length, 'padded').toBe(8 + size)
    const count = payload.readUInt32LE(4)
    expect(payload.readUInt32LE(0)).toBe(8 + count)
    expect(payload.subarray(8 + count).every((byte) => byte === 0)).toBe(true)
    if (count === 0) return Buffer.concat(pieces)
    pieces.push(payload.subarray(8, 8 + count))
  }
}

async function writeAll(client: WireClient, bytes: Uint8Array, size: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size)
    expect((await client.ok(WRITE, u32(8 + part.length, part.length), part)).length, 'header only').toBe(0)
  }
}

async function serveMtty(options: Parameters<typeof serve>[1] = {}): Promise<Served> {
  return serve(await VfioDevice.open(createMtty()), options)
}

describe('DEVICE_FEATURE', () => {
  it('MIGRATION tells the flags, and can be probed', async () => {
    const served = await serveMtty()
    expect(await served.client.ok(FEATURE, u32(16, GET | 1))).toEqual(u32(16, GET | 1, 7, 0))
    expect(await served.client.ok(FEATURE, u32(8, PROBE | GET | 1))).toEqual(u32(8, PROBE | GET | 1))
    expect(await served.client.errno(FEATURE, u32(16, PROBE | SET | 1, 0, 0))).toBe(22)
    await leave(served)
  })

  it('MIG_DEVICE_STATE tells the state, and a SET is echoed byte for byte', async () => {
    const served = await serveMtty()
    expect(await served.client.ok(FEATURE, u32(16, GET | 2))).toEqual(u32(16, GET | 2, RUNNING, NO_FD))
    const set = u32(24, SET | 2, STOP, 0x12345678, 0xabcdef)
    expect(await served.client.ok(FEATURE, set)).toEqual(set)
    expect(await stateOf(served.client)).toBe(STOP)
    await leave(served)
  })

  it("MIG_DATA_SIZE is the kernel's", async () => {
    const served = await serveMtty()
    expect(await served.client.ok(FEATURE, u32(16, GET | 9))).toEqual(u32(16, GET | 9, 60, 0))
    await leave(served)
  })

  it.each<[string, Buffer]>([
    ['no payload', Buffer.alloc(0)],
    ['7 bytes', Buffer.alloc(7)],
    ['argsz below 8', u32(7, GET | 1)],
    ['no operation', u32(16, 1)],
    ['GET and SET', u32(16, GET | SET | 2, STOP, NO_FD)],
    ['an unknown bit', u32(16, GET | 0x80000 | 1)],
    ['an unknown feature', u32(16, GET | 3)],
    ['a probe of an unknown feature', u32(16, PROBE | 200)],
    ['SET of a feature to get', u32(16, SET | 1, 0, 0)],
    ['GET of a feature to set', u32(64, GET | 6)],
    ['argsz below the reply', u32(15, GET | 2)],
    ['argsz below what was sent', u32(15, SET | 2, STOP, NO_FD)],
    ['a short SET', u32(12, SET | 2, STOP)],
    ['a SET of nothing', u32(8, SET | 2)],
    ['a short REPORT', u32(64, GET | 8, 0, 0)],
    ['a short START', u32(16, SET | 6, 4096, 0)],
    ['a START with fewer ranges than announced', u32(24, SET | 6, 4096, 0, 1, 0)],
    ['state ERROR', u32(16, SET | 2, ERROR, NO_FD)],
    ['state 8', u32(16, SET | 2, 8, NO_FD)],
    ['state 4294967295', u32(16, SET | 2, 0xffffffff, NO_FD)],
  ])('with %s is EINVAL', async (_name, payload) => {
    const served = await serveMtty()
    expect(await served.client.errno(FEATURE, payload)).toBe(22)
    expect(await stateOf(served.client)).toBe(RUNNING)
    await leave(served)
  })

  it('P2P states are there where the device has them', async () => {
    const served = await serveMtty()
    await setState(served.client, RUNNING_P2P)
    expect(await stateOf(served.client)).toBe(RUNNING_P2P)
    await leave(served)
    const other = await serve(await VfioDevice.open(new ScriptedDriver({ flags: 5 })))
    expect(await other.client.errno(FEATURE, u32(16, SET | 2, RUNNING_P2P, NO_FD))).toBe(22)
    await leave(other)
  })

  it('STOP_COPY to PRE_COPY is EINVAL, and the state stays', async () => {
    const served = await serveMtty()
    await setState(served.client, STOP_COPY)
    expect(await served.client.errno(FEATURE, u32(16, SET | 2, PRE_COPY, NO_FD))).toBe(22)
    expect(await stateOf(served.client)).toBe(STOP_COPY)
    await leave(served)
  })

  it('the errno of a device passes through, also one without a name', async () => {
    const driver = new ScriptedDriver({ flags: 5 })
    const served = await serve(await VfioDevice.open(driver))
    driver.onArc = () => {
      throw VfioError.fromErrno(0xbeef, 'Cannot stop: as told')
    }
    expect(await served.client.errno(FEATURE, u32(16, SET | 2, STOP, NO_FD))).toBe(0xbeef)
    expect(await stateOf(served.client)).toBe(RUNNING)
    await leave(served)
  })

  it('a failed SET echoes 16 bytes with the quirk bareErrors off', async () => {
    const served = await serveMtty({ quirks: { bareErrors: false } })
    const reply = await served.client.call(FEATURE, u32(16, SET | 2, 8, NO_FD))
    expect(reply).toMatchObject({ flags: 0x21, errno: 22, payload: u32(16, SET | 2, 8, NO_FD) })
    await leave(served)
  })
})

describe('the stream', () => {
  it.each([8, 24, 60, 4096])('of an mtty comes by requests of %i bytes and loads another', async (size) => {
    const source = await serveMtty()
    await setState(source.client, PRE_COPY)
    await setState(source.client, STOP_COPY)
    const stream = await readAll(source.client, size)
    expect(stream).toEqual(Buffer.from(goldenStream('fresh-1-port')))
    await setState(source.client, STOP)
    await leave(source)
    const target = await serveMtty()
    await setState(target.client, RESUMING)
    await writeAll(target.client, stream, size)
    await setState(target.client, RUNNING)
    expect(await stateOf(target.client)).toBe(RUNNING)
    await leave(target)
  })

  it('in PRE_COPY has no bytes when there is nothing now', async () => {
    const { client, ...served } = await serveMtty()
    await setState(client, PRE_COPY)
    expect((await readAll(client, 4096)).length).toBe(24)
    await setState(client, STOP_COPY)
    expect((await readAll(client, 4096)).length).toBe(36)
    await leave({ client, ...served })
  })

  it.each([65_536, 1_048_576, 100_000, 4096])(
    'of a bulk device comes by %i bytes, whole but for the last piece',
    async (size) => {
      const bulk = createBulk({ memoryBytes: 3_000_000, seed: 5 })
      const source = await serve(await VfioDevice.open(bulk))
      await setState(source.client, STOP_COPY)
      const sizes: number[] = []
      const pieces: Buffer[] = []
      for (let count = -1; count !== 0;) {
        const payload = await source.client.ok(READ, u32(8 + size, size))
        count = payload.readUInt32LE(4)
        if (count > 0) sizes.push(count)
        pieces.push(payload.subarray(8, 8 + count))
      }
      expect(sizes.slice(0, -1).every((count) => count === size)).toBe(true)
      const copy = createBulk({ memoryBytes: 3_000_000 })
      const target = await serve(await VfioDevice.open(copy), { keepState: true })
      await setState(target.client, RESUMING)
      await writeAll(target.client, Buffer.concat(pieces), size)
      await setState(target.client, STOP)
      await leave(target)
      const [before, after] = [Buffer.alloc(3_000_000), Buffer.alloc(3_000_000)]
      bulk.memory.read(0, before)
      copy.memory.read(0, after)
      expect(before.equals(after)).toBe(true)
      await leave(source)
    },
  )

  it('of many small leases is gathered to what was asked for', async () => {
    const bytes = Uint8Array.from({ length: 3_000_000 }, (_value, index) => index * 7)
    const source = await serve(await VfioDevice.open(new ScriptedDriver({ bytes })))
    await setState(source.client, STOP_COPY)
    expect((await readAll(source.client, 1_048_576)).equals(bytes)).toBe(true)
    await leave(source)
  })

  it('does not change in a reply that is still being written when the next one is gathered', async () => {
    const bytes = Uint8Array.from({ length: 2_800_000 }, (_value, index) => (index * 2_654_435_761) >>> 13)
    const driver = new ScriptedDriver({ bytes })
    const source = await serve(await VfioDevice.open(driver))
    await setState(source.client, STOP_COPY)
    const size = 700_000
    const request = (id: number): Buffer => wireMessage(id, READ, u32(8 + size, size))
    const sent = source.client.write(request(1), request(2), request(3), request(4))
    // As much is gathered as can be while nobody reads.
    for (let waits = 0; waits < 50; waits++) await turn()
    const pieces: Buffer[] = []
    for (const id of [1, 2, 3, 4]) {
      const reply = await source.client.next()
      expect(reply).toMatchObject({ id, flags: 1 })
      pieces.push(reply!.payload.subarray(8))
    }
    await sent
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true)
    await leave(source)
  })

  it('takes a message of the most that a server can be set to', async () => {
    const size = 16 * 1024 * 1024
    const json = `{"capabilities":{"max_data_xfer_size":${size}}}`
    const served = await serve(await VfioDevice.open(createMtty()), { maxDataBytes: size, json })
    await setState(served.client, RESUMING)
    const argsz = 8 + size
    expect(await served.client.errno(WRITE, u32(argsz, size), Buffer.alloc(size)), 'of the device').toBe(12)
    expect(await stateOf(served.client)).toBe(RESUMING)
    await leave(served)
  })

  it('is not padded with the quirk padMigDataReplies off', async () => {
    const served = await serveMtty({ quirks: { padMigDataReplies: false } })
    await setState(served.client, STOP_COPY)
    const first = await served.client.ok(READ, u32(4104, 4096))
    expect(first.length).toBe(68)
    expect(await served.client.ok(READ, u32(4104, 4096))).toEqual(u32(8, 0))
    await leave(served)
  })

  it.each<[string, number, Buffer, DeviceState]>([
    ['a read with 7 bytes', READ, Buffer.alloc(7), STOP_COPY],
    ['a read whose argsz is too small', READ, u32(4103, 4096), STOP_COPY],
    ['a read of more than the client takes', READ, u32(8 + 65_537, 65_537), STOP_COPY],
    ['a read in RUNNING', READ, u32(16, 8), RUNNING],
    ['a read in STOP', READ, u32(16, 8), STOP],
    ['a read in RESUMING', READ, u32(16, 8), RESUMING],
    ['a write with 7 bytes', WRITE, Buffer.alloc(7), RESUMING],
    ['a write whose argsz is too small', WRITE, u32(15, 8, 0, 0), RESUMING],
    ['a write of fewer bytes than announced', WRITE, u32(17, 9, 0, 0), RESUMING],
    ['a write of more than the client takes', WRITE, u32(8 + 65_537, 65_537), RESUMING],
    ['a write in RUNNING', WRITE, u32(16, 8, 0, 0), RUNNING],
    ['a write in STOP', WRITE, u32(16, 8, 0, 0), STOP],
    ['a write in STOP_COPY', WRITE, u32(16, 8, 0, 0), STOP_COPY],
  ])('%s is EINVAL', async (_name, command, payload, state) => {
    const served = await serveMtty({ json: '{"capabilities":{"max_data_xfer_size":65536}}' })
    await setState(served.client, state)
    expect(await served.client.errno(command, payload)).toBe(22)
    expect(await stateOf(served.client)).toBe(state)
    await leave(served)
  })

  it('a damaged one is refused at the write with the errno of the device', async () => {
    const served = await serve(await VfioDevice.open(createBulk({ memoryBytes: 4096 })))
    await setState(served.client, RESUMING)
    expect(await served.client.errno(WRITE, u32(4104, 4096), Buffer.alloc(4096, 0xee))).not.toBe(0)
    expect(await served.client.errno(FEATURE, u32(16, SET | 2, STOP, NO_FD))).toBe(22)
    expect(await stateOf(served.client)).toBe(RESUMING)
    await leave(served)
  })
})

describe('in STOP and STOP_COPY', () => {
  it.each([STOP, STOP_COPY])('state %i: what needs a running device is EINVAL', async (state) => {
    const served = await serveMtty()
    const { client } = served
    await setState(client, state)
    expect(await client.errno(4, u32(16, 0, 0, 0)), 'GET_INFO').toBe(22)
    expect(await client.errno(5, u32(32, 0, 0, 0, 0, 0, 0, 0)), 'REGION_INFO').toBe(22)
    expect(await client.errno(7, u32(16, 0, 0, 0)), 'IRQ_INFO').toBe(22)
    expect(await client.errno(8, u32(20, 33, 0, 0, 0)), 'SET_IRQS').toBe(22)
    expect(await client.errno(2, u32(32, 3, 0, 0, 0, 0, 4096, 0)), 'DMA_MAP').toBe(22)
    expect(await client.errno(3, u32(24, 2, 0, 0, 0, 0)), 'DMA_UNMAP').toBe(22)
    const read = u32(7, 0, 0, 1)
    if (state === STOP) expect((await client.ok(9, read)).length).toBe(17)
    else expect(await client.errno(9, read)).toBe(22)
    expect(await stateOf(client)).toBe(state)
    await leave(served)
  })

  it.each([STOP, STOP_COPY, PRE_COPY, RESUMING, RUNNING])(
    'RESET of state %i gives RUNNING',
    async (state) => {
      const served = await serveMtty()
      await setState(served.client, state)
      expect((await served.client.ok(RESET)).length).toBe(0)
      expect(await stateOf(served.client)).toBe(RUNNING)
      await leave(served)
    },
  )

  it('RESET keeps the state with resetKeepsState, and is EINVAL there', async () => {
    const served = await serveMtty({ resetKeepsState: true })
    for (const state of [STOP, STOP_COPY]) {
      await setState(served.client, state)
      expect(await served.client.errno(RESET)).toBe(22)
      expect(await stateOf(served.client)).toBe(state)
    }
    await setState(served.client, RESUMING)
    await served.client.ok(RESET)
    expect(await stateOf(served.client)).toBe(RESUMING)
    await leave(served)
  })
})
