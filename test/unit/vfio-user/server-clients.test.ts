/** Clients that come, wait, flood and go: what they leave behind, and what they find. */

import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../../src/devices/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { memoryPair } from '../../../src/transport/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { serveVfioUser } from '../../../src/vfio-user/index.ts'
import { FakeDescriptors } from '../../support/fake-descriptors.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import {
  leave,
  ScriptedPci,
  serve,
  serveRaw,
  u32,
  u64,
  versionPayload,
  WireClient,
  wireMessage,
} from '../../support/vfio-user-wire.ts'

const FEATURE = 16
const INFO = u32(16, 0, 0, 0)
const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = DeviceState

function stateSet(state: number): Buffer {
  return u32(16, 0x20002, state, 0xffffffff)
}

describe('several clients', () => {
  it('one after the other find the device at power-on, plugged in once each', async () => {
    const device = await VfioDevice.open(createMtty())
    const pci = new ScriptedPci()
    for (const state of [STOP, STOP_COPY, PRE_COPY, RESUMING, RUNNING]) {
      const served = await serve(device, { pci })
      expect((await served.client.ok(FEATURE, u32(16, 0x10002))).readUInt32LE(8)).toBe(RUNNING)
      await served.client.ok(FEATURE, stateSet(state))
      const report = await leave(served)
      expect(report).toMatchObject({
        commands: 3,
        refused: 0,
        ended: 'left',
        reason: undefined,
        state: RUNNING,
      })
      expect(report.client).toMatchObject({ major: 0, minor: 2 })
      expect(pci.host, 'unplugged').toBeUndefined()
    }
    expect(pci.plugs).toBe(5)
  })

  it.each([
    [RUNNING, RUNNING],
    [STOP, STOP],
    [STOP_COPY, STOP],
    [PRE_COPY, RUNNING],
    [RESUMING, RUNNING],
  ])('with keepState find what was left: state %i is %i', async (left, found) => {
    const device = await VfioDevice.open(createMtty())
    const served = await serve(device, { keepState: true })
    await served.client.ok(FEATURE, stateSet(left))
    expect((await leave(served)).state).toBe(found)
    expect(await device.state()).toBe(found)
  })

  it('with keepState one loads the device and the next one uses it', async () => {
    const bulk = createBulk({ memoryBytes: 8192 })
    const device = await VfioDevice.open(bulk)
    const source = createBulk({ memoryBytes: 8192, seed: 3 })
    const session = await (await VfioDevice.open(source)).setState(STOP_COPY)
    const stream = Buffer.alloc(65_536)
    let byteLength = 0
    for (let count = -1; count !== 0; byteLength += count) count = session!.read(stream.subarray(byteLength))
    const loader = await serve(device, { keepState: true })
    await loader.client.ok(FEATURE, stateSet(RESUMING))
    await loader.client.ok(18, u32(8 + byteLength, byteLength), stream.subarray(0, byteLength))
    await loader.client.ok(FEATURE, stateSet(STOP))
    await leave(loader)
    const user = await serve(device, { keepState: true })
    await user.client.ok(FEATURE, stateSet(RUNNING))
    await leave(user)
    const [loaded, original] = [Buffer.alloc(8192), Buffer.alloc(8192)]
    bulk.memory.read(0, loaded)
    source.memory.read(0, original)
    expect(loaded.equals(original)).toBe(true)
  })

  it('at the same time: the second is answered EBUSY, and the first goes on', async () => {
    const device = await VfioDevice.open(createMtty())
    const first = await serve(device)
    const second = serveRaw(device)
    expect(await second.client.errno(1, versionPayload('{}'))).toBe(16)
    expect(await second.client.next()).toBeUndefined()
    expect((await failureOf(() => second.report)).code).toBe('EBUSY')
    expect((await first.client.ok(4, INFO)).length).toBe(16)
    await leave(first)
    const third = await serve(device)
    await leave(third)
  })

  it('a device that is plugged in elsewhere is EBUSY, too', async () => {
    const device = await VfioDevice.open(createMtty())
    const pci = new ScriptedPci()
    pci.connect = () => {
      throw new VfioError('EBUSY', 'Cannot plug in: it is elsewhere, unplug it')
    }
    const served = serveRaw(device, { pci })
    expect(await served.client.errno(1, versionPayload('{}'))).toBe(16)
    expect((await failureOf(() => served.report)).code).toBe('EBUSY')
  })

  it('one that is refused and says nothing is left by the signal', async () => {
    const device = await VfioDevice.open(createMtty())
    const first = await serve(device)
    const stop = new AbortController()
    const second = serveRaw(device, { signal: stop.signal })
    await turn()
    stop.abort()
    expect((await failureOf(() => second.report)).code).toBe('EBUSY')
    await leave(first)
  })
})

describe('a client that goes', () => {
  it('in the middle of a message is lost, and the device is at power-on', async () => {
    const device = await VfioDevice.open(createMtty())
    const served = await serve(device)
    await served.client.ok(FEATURE, stateSet(STOP))
    await served.client.write(wireMessage(1, 4, INFO).subarray(0, 20))
    expect(await leave(served)).toMatchObject({
      ended: 'lost',
      reason: { code: 'ECONNRESET' },
      state: RUNNING,
    })
  })

  it('with a broken connection, too', async () => {
    const device = await VfioDevice.open(createMtty())
    const served = await serve(device)
    await served.client.duplex.abort(new Error('cut'))
    expect(await served.report).toMatchObject({ ended: 'lost', reason: { code: 'EPIPE' }, state: RUNNING })
  })

  it('while the device changes its state ends that, and the next client is served', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    const served = await serve(device)
    const begun = deferred()
    driver.onArc = (_arc, signal) => {
      begun.resolve()
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () =>
          reject(new VfioError('EINTR', 'Cannot stop: interrupted, again')),
        )
      })
    }
    await served.client.write(wireMessage(9, FEATURE, stateSet(STOP)))
    await begun.promise
    expect(await leave(served)).toMatchObject({ ended: 'left', state: RUNNING })
    driver.onArc = () => {}
    await leave(await serve(device))
  })

  it('while a session has nothing ready ends that wait', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    const served = await serve(device)
    await served.client.ok(FEATURE, stateSet(STOP_COPY))
    const asked = deferred()
    driver.save!.poll = () => {
      asked.resolve()
      return 0
    }
    driver.save!.read = () => {
      throw new VfioError('EAGAIN', 'Cannot read: not ready, wait')
    }
    await served.client.write(wireMessage(9, 17, u32(16, 8)))
    await asked.promise
    expect(await leave(served)).toMatchObject({ ended: 'left', state: RUNNING })
  })

  it('without reading its answers does not keep the server', async () => {
    const device = await VfioDevice.open(createBulk({ memoryBytes: 4 * 1024 * 1024, seed: 1 }))
    const served = await serve(device)
    await served.client.ok(FEATURE, stateSet(STOP_COPY))
    await served.client.write(wireMessage(9, 17, u32(8 + 1048576, 1048576)))
    await turn()
    await served.client.duplex.close()
    await served.client.duplex.cancel(new Error('gone'))
    expect((await served.report).state).toBe(RUNNING)
  })

  it('and a device that cannot be reset has no state in the report', async () => {
    const driver = new ScriptedDriver()
    const served = await serve(await VfioDevice.open(driver))
    driver.onReset = () => {
      throw new VfioError('EIO', 'Cannot reset: broken, replace it')
    }
    const report = await leave(served)
    expect([undefined, DeviceState.ERROR]).toContain(report.state)
  })

  it('by the signal of the server is told so by the end of the connection', async () => {
    const device = await VfioDevice.open(createMtty())
    const stop = new AbortController()
    const served = await serve(device, { signal: stop.signal })
    stop.abort(new Error('enough'))
    expect(await served.report).toMatchObject({
      ended: 'stopped',
      reason: { code: 'ECANCELED' },
      state: RUNNING,
    })
    expect(await served.client.next()).toBeUndefined()
  })
})

describe('a flood', () => {
  it('of commands is answered in order, every one', async () => {
    const device = await VfioDevice.open(createMtty())
    const served = await serve(device)
    const count = 2000
    const sent = served.client.write(
      ...Array.from({ length: count }, (_value, id) => wireMessage(id, id % 3 === 0 ? 99 : 4, INFO)),
    )
    for (let id = 0; id < count; id++) {
      expect(await served.client.next()).toMatchObject({ id, flags: id % 3 === 0 ? 0x21 : 1 })
    }
    await sent
    expect(await leave(served)).toMatchObject({ commands: count + 1, refused: 667 })
  })

  it('whose answers are not read is not read either', async () => {
    const device = await VfioDevice.open(createMtty())
    const [here, there] = memoryPair({ highWaterMark: 0 })
    const report = serveVfioUser(device, there, { pci: new ScriptedPci() })
    const client = new WireClient(here)
    await Promise.all([client.write(wireMessage(0, 1, versionPayload('{}'))), client.next()])
    let taken = 0
    const flood = (async () => {
      for (; taken < 1000; taken++) await client.write(wireMessage(taken, 4, INFO))
    })()
    flood.catch(() => {})
    for (let turns = 0; turns < 500; turns++) await turn()
    expect(taken).toBeLessThan(32)
    await here.cancel(new Error('enough'))
    await report
    expect(await codeOf(() => flood)).toBe('EPIPE')
  })

  it('behind a DMA reply that does not come is cut off', async () => {
    const device = await VfioDevice.open(createMtty())
    const served = await serve(device, { quirks: { requireBusMaster: false } })
    const { client } = served
    await client.ok(2, u32(32, 3), u64(0, 0, 4096))
    const reading = codeOf(() => served.pci.host!.memory.read(0n, new Uint8Array(1)))
    expect((await client.next())?.command).toBe(11)
    const flood = (async () => {
      for (let id = 0; id < 100_000; id++) await client.write(wireMessage(id, 4, INFO))
    })()
    expect(await codeOf(() => flood)).toBe('EPIPE')
    expect(await served.report).toMatchObject({
      ended: 'refused',
      reason: { code: 'ENOMEM' },
      state: RUNNING,
    })
    expect(await reading).toBe('ENODEV')
  })
})

describe('options', () => {
  it.each([
    { maxDataBytes: 4095 },
    { maxDataBytes: 2 ** 25 },
    { maxMessageFds: 0 },
    { maxMessageFds: 17 },
    { dmaTimeoutMs: 0 },
    { dmaReadBytes: 1023 },
  ])('%o is EINVAL', async (options) => {
    const device = await VfioDevice.open(createMtty())
    expect((await failureOf(() => serveRaw(device, options).report)).code).toBe('EINVAL')
  })
})

/** A client of a device in STOP_COPY that has nothing to read now. */
async function waiting(bytes: Uint8Array) {
  const driver = new ScriptedDriver({ bytes })
  const device = await VfioDevice.open(driver)
  const served = await serve(device, { readyTimeoutMs: 40 })
  await served.client.ok(FEATURE, stateSet(STOP_COPY))
  driver.save!.failure = new VfioError('EAGAIN', 'Cannot read: as told')
  return { driver, device, served }
}

describe('a device that is not ready', () => {
  it('is waited for a while: then EAGAIN, and nothing of its stream is lost', async () => {
    const { driver, device, served } = await waiting(Uint8Array.of(7, 8, 9))
    expect(await served.client.errno(17, u32(8 + 3, 3))).toBe(11)
    driver.save!.failure = undefined
    expect([...(await served.client.ok(17, u32(8 + 3, 3))).subarray(8)]).toEqual([7, 8, 9])
    await leave(served)
    await device.close()
  })

  it('does not hide that the client has gone, with more commands sent than are queued', async () => {
    const { device, served } = await waiting(Uint8Array.of(1))
    const reads = Array.from({ length: 20 }, (_value, id) => wireMessage(id + 2, 17, u32(8 + 1, 1)))
    await served.client.duplex.write(reads)
    await leave(served)
    expect(await device.state()).toBe(RUNNING)
    await device.close()
  })
})

describe('descriptors', () => {
  it('of a command that waits for an answer before it are closed when the client vanishes', async () => {
    const device = await VfioDevice.open(createBulk({ memoryBytes: 1 << 20, seed: 3 }))
    const fds = new FakeDescriptors()
    const served = await serve(device, { fds })
    await served.client.ok(FEATURE, stateSet(STOP_COPY))
    const { duplex } = served.client
    const fd = fds.createMemory(4096)
    // It comes with the header of the second message: the first one has its header and its end before.
    const arrived = deferred()
    let asked = 0
    fds.take = () => {
      asked++
      if (asked === 4) arrived.resolve()
      return asked === 3 ? [fd] : []
    }
    // More than the connection holds, and nobody reads it; the other command is there by then.
    const read = wireMessage(5, 17, u32(8 + 524_288, 524_288))
    await duplex.write([
      Buffer.concat([read, wireMessage(6, 2, Buffer.concat([u32(32, 3), u64(0, 0, 4096)]))]),
    ])
    await arrived.promise
    await turn()
    await duplex.abort(new Error('gone'))
    await duplex.cancel(new Error('gone'))
    await served.report
    expect([fds.open.size, fds.mappings]).toEqual([0, 0])
    await device.close()
  })
})
