/** What a client asks about a device, its registers and its interrupts (facts 4 and 5). */

import { describe, expect, it } from 'vitest'
import type { DeviceRegions } from '../../../src/device/driver.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { FakeDescriptors } from '../../support/fake-descriptors.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { leave, ScriptedPci, serve, type Served, u32, u64 } from '../../support/vfio-user-wire.ts'

const GET_INFO = 4
const REGION_INFO = 5
const REGION_IO_FDS = 6
const IRQ_INFO = 7
const SET_IRQS = 8
const READ = 9
const WRITE = 10
const RESET = 13

async function serveMtty(options: Parameters<typeof serve>[1] = {}): Promise<Served> {
  return serve(await VfioDevice.open(createMtty()), options)
}

function access(offset: number | bigint, region: number, count: number): Buffer {
  return Buffer.concat([u64(offset), u32(region, count)])
}

describe('device, region and interrupt info', () => {
  it('GET_INFO: a PCI device that can be reset, 9 regions, 5 interrupts', async () => {
    const served = await serveMtty()
    expect(await served.client.ok(GET_INFO, u32(16, 0, 0, 0))).toEqual(u32(16, 3, 9, 5))
    expect(await served.client.ok(GET_INFO, u32(32, 0, 0, 0)), "Rust's argsz").toEqual(u32(16, 3, 9, 5))
    expect(await served.client.errno(GET_INFO, u32(15, 0, 0, 0))).toBe(22)
    expect(await served.client.errno(GET_INFO, u32(16, 0, 0))).toBe(22)
    await leave(served)
  })

  it('REGION_INFO: sizes of BARs, the one of MSI-X too, and configuration space, 0 of all others', async () => {
    const pci = new ScriptedPci([
      { index: 0, kind: 'io', byteLength: 8 },
      { index: 2, kind: 'memory', bits: 64, byteLength: 4096 },
    ])
    const served = await serveMtty({ pci })
    const sizes = [8, 4096, 4096, 0, 0, 0, 0, 256, 0]
    for (const [index, size] of sizes.entries()) {
      const info = await served.client.ok(REGION_INFO, u32(32, 0, index, 0, 0, 0, 0, 0))
      expect(info).toEqual(u32(32, size > 0 ? 3 : 0, index, 0, size, 0, 0, 0))
    }
    expect(await served.client.errno(REGION_INFO, u32(32, 0, 9, 0, 0, 0, 0, 0))).toBe(22)
    expect(await served.client.errno(REGION_INFO, u32(31, 0, 0, 0, 0, 0, 0, 0))).toBe(22)
    expect(await served.client.errno(REGION_INFO, u32(32, 0, 0, 0, 0, 0, 0))).toBe(22)
    await leave(served)
  })

  it('REGION_IO_FDS is EINVAL, whatever the region', async () => {
    const served = await serveMtty()
    for (const index of [0, 7, 8, 9]) {
      expect(await served.client.errno(REGION_IO_FDS, u32(16, 0, index, 0))).toBe(22)
    }
    await leave(served)
  })

  it('IRQ_INFO: vectors of the function, one error and one request interrupt', async () => {
    const served = await serveMtty()
    for (const [index, count] of [1, 0, 4, 1, 1].entries()) {
      expect(await served.client.ok(IRQ_INFO, u32(16, 0, index, 0))).toEqual(u32(16, 1, index, count))
    }
    expect(await served.client.errno(IRQ_INFO, u32(16, 0, 5, 0))).toBe(22)
    expect(await served.client.errno(IRQ_INFO, u32(15, 0, 0, 0))).toBe(22)
    await leave(served)
  })
})

describe('registers', () => {
  it('are written and read, the 16 bytes of the request before the data', async () => {
    const served = await serveMtty()
    const at7 = access(7, 0, 1)
    expect(await served.client.ok(WRITE, at7, Buffer.of(0xa5))).toEqual(at7)
    expect(await served.client.ok(READ, at7)).toEqual(Buffer.concat([at7, Buffer.of(0xa5)]))
    await leave(served)
  })

  it('configuration space is read in one go', async () => {
    const served = await serveMtty()
    const config = await served.client.ok(READ, access(0, 7, 256))
    expect(config.length).toBe(16 + 256)
    expect(config.readUInt32LE(16)).toBe(0x32534348)
    await leave(served)
  })

  it('a BAR is sized by writing ones', async () => {
    const served = await serveMtty()
    await served.client.ok(WRITE, access(0x10, 7, 4), u32(0xffffffff))
    expect((await served.client.ok(READ, access(0x10, 7, 4))).readUInt32LE(16)).toBe(0xfffffff9)
    await leave(served)
  })

  it('count 0 is a success of the header alone', async () => {
    const served = await serveMtty()
    expect((await served.client.ok(READ, access(0, 0, 0))).length).toBe(0)
    expect((await served.client.ok(WRITE, access(8, 0, 0))).length).toBe(0)
    await leave(served)
  })

  it.each<[string, Buffer]>([
    ['of a region that is not there', access(0, 0xdeadbeef, 4)],
    ['of region 9', access(0, 9, 1)],
    ['of a BAR that is not there', access(0, 2, 1)],
    ['past the end of the BAR of MSI-X', access(4095, 1, 2)],
    ['of the ROM', access(0, 6, 1)],
    ['past the end', access(7, 0, 2)],
    ['past the end of configuration space', access(255, 7, 2)],
    ['near 2^64', access(0xffff_ffff_ffff_ffffn, 7, 1)],
    ['that wraps around', access(0xffff_ffff_ffff_fff8n, 7, 16)],
    ['above a message', access(0, 7, 0x100001)],
    ['of 15 bytes', access(0, 0, 1).subarray(1)],
  ])('an access %s is EINVAL', async (_name, head) => {
    const served = await serveMtty()
    expect(await served.client.errno(READ, head)).toBe(22)
    expect(await served.client.errno(WRITE, head, Buffer.alloc(head.length < 16 ? 0 : 4))).toBe(22)
    await leave(served)
  })

  it('of MSI-X have a table, and pending bits that nobody sets; a reset masks all vectors', async () => {
    const served = await serveMtty()
    const { client } = served
    const entry = access(16, 1, 16)
    expect((await client.ok(READ, entry)).subarray(16)).toEqual(u32(0, 0, 0, 1))
    await client.ok(WRITE, entry, u32(0xfee00000, 0, 0x41, 0))
    expect((await client.ok(READ, entry)).subarray(16)).toEqual(u32(0xfee00000, 0, 0x41, 0))
    await client.ok(WRITE, access(2048, 1, 4), u32(1))
    expect((await client.ok(READ, access(2048, 1, 4))).subarray(16)).toEqual(u32(0))
    await client.ok(RESET)
    expect((await client.ok(READ, entry)).subarray(16)).toEqual(u32(0, 0, 0, 1))
    await leave(served)
  })

  it.each([0, 3, 5])('a write of %i bytes with count 4 is EINVAL', async (byteLength) => {
    const served = await serveMtty()
    expect(await served.client.errno(WRITE, access(0, 7, 4), Buffer.alloc(byteLength))).toBe(22)
    await leave(served)
  })

  it("what the driver's region refuses is its errno, and with bareErrors off 16 and count bytes", async () => {
    const regions: DeviceRegions = {
      read: () => {
        throw new TypeError('a bug of the driver')
      },
      write: () => {},
    }
    const served = await serve(await VfioDevice.open(new ScriptedDriver({ regions })))
    expect(await served.client.errno(READ, access(0, 0, 8)), 'EIO of a bug').toBe(5)
    await leave(served)
    const loose = await serveMtty({ quirks: { bareErrors: false } })
    const reply = await loose.client.call(READ, access(4, 0, 8))
    expect(reply).toMatchObject({ flags: 0x21, errno: 22 })
    expect(reply.payload.length).toBe(24)
    await leave(loose)
  })
})

describe('SET_IRQS', () => {
  const EVENTFD_TRIGGER = 4 | 32

  it('assigns eventfds; MSI-X goes before INTx, and a client that leaves has them closed', async () => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    const { client, pci } = served
    const intx = fds.createEvent()
    fds.arrive(intx)
    await client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 0, 0, 1))
    pci.host?.raise(0)
    pci.host?.raise(3)
    expect(fds.readEvent(intx), 'INTx for every vector').toBe(2n)
    const msix = [fds.createEvent(), fds.createEvent()]
    fds.arrive(...msix)
    await client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 2, 1, 2))
    pci.host?.raise(0)
    pci.host?.raise(2)
    expect([intx, ...msix].map((fd) => fds.readEvent(fd))).toEqual([0n, 0n, 1n])
    await client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 2, 1, 2))
    pci.host?.raise(2)
    expect(fds.readEvent(intx), 'MSI-X was taken away').toBe(1n)
    expect([...fds.open.keys()]).toEqual([intx])
    await leave(served)
    expect(fds.open.size).toBe(0)
  })

  it('takes nothing but eventfds, and then none of what came', async () => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    fds.arrive(fds.createEvent(), fds.createMemory(4096))
    expect(await served.client.errno(SET_IRQS, u32(20, EVENTFD_TRIGGER, 2, 0, 2))).toBe(22)
    expect(fds.open.size).toBe(0)
    served.pci.host?.raise(1)
    await leave(served)
  })

  it('masks and unmasks; what came meanwhile is signalled then, once', async () => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    const event = fds.createEvent()
    fds.arrive(event)
    await served.client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 2, 1, 1))
    await served.client.ok(SET_IRQS, u32(20, 1 | 8, 2, 0, 4))
    served.pci.host?.raise(1)
    served.pci.host?.raise(1)
    expect(fds.readEvent(event)).toBe(0n)
    await served.client.ok(SET_IRQS, u32(20, 2 | 16, 2, 0, 4), Buffer.of(0, 1, 0, 0))
    expect(fds.readEvent(event)).toBe(1n)
    await served.client.ok(SET_IRQS, u32(20, 2 | 32, 2, 0, 2), Buffer.of(0, 1))
    expect(fds.readEvent(event), 'triggered by bool').toBe(1n)
    await served.client.ok(SET_IRQS, u32(20, 1 | 32, 2, 0, 0))
    expect(fds.open.size, 'disabled').toBe(0)
    await leave(served)
  })

  it('signals INTx again when it is unmasked while it is asserted', async () => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    const event = fds.createEvent()
    fds.arrive(event)
    await served.client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 0, 0, 1))
    await served.client.ok(SET_IRQS, u32(20, 1 | 16, 0, 0, 1))
    expect(fds.readEvent(event), 'it is not asserted').toBe(0n)
    served.pci.intxAsserted = true
    await served.client.ok(SET_IRQS, u32(20, 1 | 16, 0, 0, 1))
    expect(fds.readEvent(event)).toBe(1n)
    await leave(served)
  })

  it('a descriptor that cannot be signalled is no failure of the device', async () => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    fds.arrive(fds.createEvent())
    await served.client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 0, 0, 1))
    fds.signal = () => {
      throw new VfioError('EINVAL', 'Cannot signal: as told')
    }
    expect(() => served.pci.host?.raise(0)).not.toThrow()
    await leave(served)
    expect(fds.open.size).toBe(0)
  })

  it('without descriptors assigning is a success that the server tells of', async () => {
    const served = await serveMtty()
    await served.client.ok(SET_IRQS, u32(20, EVENTFD_TRIGGER, 0, 0, 1))
    expect(served.events).toContainEqual(
      expect.objectContaining({ kind: 'unavailable', what: 'interrupt 0' }),
    )
    served.pci.host?.raise(0)
    await leave(served)
  })

  it.each<[string, Buffer, number]>([
    ['19 bytes', u32(20, 33, 0, 0, 1).subarray(1), 0],
    ['argsz 19', u32(19, 33, 0, 0, 1), 0],
    ['no data type', u32(20, 32, 0, 0, 1), 0],
    ['two data types', u32(20, 3 | 32, 0, 0, 1), 0],
    ['no action', u32(20, 1, 0, 0, 1), 0],
    ['two actions', u32(20, 1 | 8 | 32, 0, 0, 1), 0],
    ['an unknown flag', u32(20, 64 | 33, 0, 0, 1), 0],
    ['interrupt 5', u32(20, 33, 5, 0, 1), 0],
    ['a vector too many', u32(20, 33, 2, 1, 4), 0],
    ['start and count that wrap around', u32(20, 33, 2, 0xffffffff, 1), 0],
    ['a mask of ERR', u32(20, 1 | 8, 3, 0, 1), 0],
    ['two vectors of REQ', u32(20, 33, 4, 0, 2), 0],
    ['count 0 and bool', u32(20, 2 | 32, 0, 0, 0), 0],
    ['count 0 and a mask', u32(20, 1 | 8, 0, 0, 0), 0],
    ['count 0 and a start', u32(20, 33, 2, 1, 0), 0],
    ['bool without bytes', u32(20, 2 | 32, 2, 0, 4), 0],
    ['a mask by eventfd', u32(20, 4 | 8, 0, 0, 1), 1],
    ['one descriptor for two vectors', u32(20, EVENTFD_TRIGGER, 2, 0, 2), 1],
    ['two descriptors for one vector', u32(20, EVENTFD_TRIGGER, 2, 0, 1), 2],
    ['a descriptor with none', u32(20, 33, 0, 0, 1), 1],
    ['more descriptors than a message may have', u32(20, EVENTFD_TRIGGER, 2, 0, 4), 9],
  ])('%s is EINVAL, and no descriptor stays open', async (_name, payload, count) => {
    const fds = new FakeDescriptors()
    const served = await serveMtty({ fds })
    fds.arrive(...Array.from({ length: count }, () => fds.createEvent()))
    expect(await served.client.errno(SET_IRQS, payload)).toBe(22)
    expect(fds.open.size).toBe(0)
    await leave(served)
  })
})

describe('commands that are not there', () => {
  it.each([0, 11, 12, 14, 15, 19, 65_535])('%i is EINVAL, with data and without', async (command) => {
    const served = await serveMtty()
    expect(await served.client.errno(command)).toBe(22)
    expect(await served.client.errno(command, Buffer.alloc(100))).toBe(22)
    await leave(served)
  })
})
