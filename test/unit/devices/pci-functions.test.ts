import { afterEach, describe, expect, it } from 'vitest'
import {
  BULK_PCI,
  type BulkDriver,
  type BulkOptions,
  BulkRegister,
  createBulk,
  createMtty,
  DescriptorOp,
  DescriptorStatus,
  type PciHost,
} from '../../../src/devices/index.ts'
import { type DataSession, DeviceState, VfioDevice } from '../../../src/index.ts'
import { createConfigSpace } from '../../../src/vfio-user/config-space.ts'
import { contents, descriptorStatus, post, register, setRegister, until } from '../../support/bulk-device.ts'
import { openMtty } from '../../support/mtty-device.ts'
import { drain } from '../driver/session-io.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = DeviceState
const MEMORY_BYTES = 1_000_003
const opened: VfioDevice[] = []

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

async function open(options: Partial<BulkOptions> = {}): Promise<{ bulk: BulkDriver; device: VfioDevice }> {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device }
}

function refuse(): never {
  throw new Error('no memory here')
}

/** A host without memory that keeps the vectors it hears of. */
function listener(): { host: PciHost; vectors: number[] } {
  const vectors: number[] = []
  return {
    vectors,
    host: { memory: { read: refuse, write: refuse }, raise: (vector) => vectors.push(vector) },
  }
}

function access(device: VfioDevice, index: number, offset: number, byteLength: number): number[] {
  const bytes = new Uint8Array(byteLength).fill(0xee)
  device.regions?.read(index, offset, bytes)
  return [...bytes]
}

describe('bulk as a PCI function', () => {
  it('is what its README says', () => {
    const { pci } = createBulk({ memoryBytes: MEMORY_BYTES })
    expect(pci).toMatchObject({
      vendor: 0x1234,
      device: 0xb01c,
      classCode: 0x088000,
      revision: 2,
      express: true,
      interrupts: { intx: 1, msi: 2, msix: 2 },
      intxAsserted: false,
      bars: [
        { index: 0, kind: 'memory', byteLength: 4096 },
        { index: 1, kind: 'memory', byteLength: 4096 },
        { index: 2, kind: 'memory', byteLength: 2 ** 20, bits: 64, prefetchable: true },
      ],
    })
    expect(BULK_PCI).toEqual({ vendor: 0x1234, device: 0xb01c, classCode: 0x088000 })
    const space = createConfigSpace(pci)
    expect(space.bars.map(({ index, byteLength }) => [index, byteLength])).toEqual([
      [0, 4096],
      [1, 4096],
      [2, 2 ** 20],
      [4, 4096],
    ])
  })

  it.each([
    [0, 4096],
    [1, 4096],
    [4097, 8192],
    [2 ** 26, 2 ** 26],
    [2 ** 32 - 65_536, 2 ** 32],
  ])('of %i bytes of memory has a BAR of %i', (memoryBytes, byteLength) => {
    expect(createBulk({ memoryBytes }).pci.bars[2]?.byteLength).toBe(byteLength)
  })

  it('is made once', () => {
    const bulk = createBulk({ memoryBytes: 4096 })
    expect(bulk.pci).toBe(bulk.pci)
  })

  it('reads zero behind the registers, the ring and the memory, and drops what is written there', async () => {
    const { bulk, device } = await open()
    const ends = [
      [0, 128, 4096],
      [1, 2048, 4096],
      [2, MEMORY_BYTES, 2 ** 20],
    ] as const
    for (const [index, end, barBytes] of ends) {
      device.regions?.write(index, end, new Uint8Array(barBytes - end).fill(0xff))
      expect(access(device, index, end, barBytes - end).every((byte) => byte === 0)).toBe(true)
      device.regions?.write(index, end - 2, Uint8Array.of(1, 2, 3, 4))
      expect(access(device, index, end - 2, 4)).toEqual(index === 0 ? [0, 0, 0, 0] : [1, 2, 0, 0])
      expect(access(device, index, barBytes, 0)).toEqual([])
      const refused = expect.objectContaining({ code: 'EINVAL' })
      expect(() => access(device, index, barBytes - 1, 2)).toThrow(refused)
      expect(() => device.regions?.write(index, barBytes, new Uint8Array(1))).toThrow(refused)
    }
    expect([...contents(bulk).subarray(-3)]).toEqual([0, 1, 2])
    expect(() => access(device, 3, 0, 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    const whole = access(device, 0, 0, 4096)
    expect(whole.slice(0, 4)).toEqual([0x42, 0x55, 0x4c, 0x4b])
  })

  it('shows its memory as region 2: what is written there is local memory, and reaches PRE_COPY', async () => {
    const { bulk, device } = await open({ seed: 4 })
    device.regions?.write(2, 8190, Uint8Array.of(1, 2, 3, 4, 5))
    expect([...contents(bulk).subarray(8190, 8195)]).toEqual([1, 2, 3, 4, 5])
    bulk.memory.write(5, Uint8Array.of(9))
    expect(access(device, 2, 5, 1)).toEqual([9])
    const saving = (await device.setState(PRE_COPY)) as DataSession
    while (saving.precopyInfo().initialBytes + saving.precopyInfo().dirtyBytes > 0)
      saving.read(new Uint8Array(100_000))
    device.regions?.write(2, 500_000, Uint8Array.of(7))
    expect(saving.precopyInfo().dirtyBytes).toBeGreaterThanOrEqual(4096)
  })

  it('refuses a write of its memory while a session moves it, and reads it', async () => {
    const { bulk, device } = await open({ seed: 4 })
    const write = (): void => device.regions?.write(2, 0, Uint8Array.of(1))
    const busy = expect.objectContaining({ code: 'EBUSY' })
    const saving = (await device.setState(STOP_COPY)) as DataSession
    expect(write).toThrow(busy)
    expect(access(device, 2, 0, 4)).toEqual([...contents(bulk).subarray(0, 4)])
    drain(saving)
    await device.setState(STOP)
    write()
    expect(access(device, 2, 0, 1)).toEqual([1])
    await device.setState(RESUMING)
    expect(write).toThrow(busy)
    expect(() => access(device, 2, 0, 1)).toThrow(busy)
  })

  it('raises vector 0 for the ring and 1 for the workload, and INTx stands as long as one is pending', async () => {
    const { bulk } = await open()
    const { host, vectors } = listener()
    const unplug = bulk.pci.connect(host)
    post(bulk, 0, DescriptorOp.FILL, 0n, 1n, 1n)
    setRegister(bulk, BulkRegister.RING_TAIL, 1)
    setRegister(bulk, BulkRegister.CONTROL, 2)
    await until(() => descriptorStatus(bulk, 0) === DescriptorStatus.DONE)
    expect([vectors, bulk.pci.intxAsserted]).toEqual([[0], true])
    setRegister(bulk, BulkRegister.RATE, 20_000)
    setRegister(bulk, BulkRegister.CONTROL, 1)
    await until(() => bulk.sequence > 0n)
    expect([vectors, register(bulk, BulkRegister.INTERRUPT_STATUS)]).toEqual([[0, 1], 3])
    setRegister(bulk, BulkRegister.INTERRUPT_STATUS, 1)
    expect(bulk.pci.intxAsserted).toBe(true)
    setRegister(bulk, BulkRegister.INTERRUPT_MASK, 2)
    expect(bulk.pci.intxAsserted).toBe(false)
    unplug()
    setRegister(bulk, BulkRegister.INTERRUPT_MASK, 0)
    expect([vectors, bulk.interrupts, bulk.pci.intxAsserted]).toEqual([[0, 1], 3, true])
  })

  it('asserts nothing in a stopped state, and raises all that is pending when it runs again', async () => {
    const { bulk, device } = await open({ workload: { pagesPerSecond: 20_000 } })
    await until(() => bulk.sequence > 0n)
    post(bulk, 0, DescriptorOp.FILL, 0n, 1n, 1n)
    setRegister(bulk, BulkRegister.CONTROL, 2)
    setRegister(bulk, BulkRegister.RING_TAIL, 1)
    await until(() => register(bulk, BulkRegister.INTERRUPT_STATUS) === 3)
    await device.setState(STOP)
    const { host, vectors } = listener()
    bulk.pci.connect(host)
    expect(bulk.pci.intxAsserted).toBe(false)
    const interrupts = bulk.interrupts
    await device.setState(RUNNING)
    expect([vectors, bulk.pci.intxAsserted, bulk.interrupts]).toEqual([[0, 1], true, interrupts + 1])
  })

  it('asserts nothing before it is open and after it was closed', async () => {
    const { bulk, device } = await open({ workload: { pagesPerSecond: 20_000 } })
    expect(createBulk({ memoryBytes: 16 }).pci.intxAsserted).toBe(false)
    await until(() => bulk.pci.intxAsserted)
    await device.close()
    opened.splice(0)
    expect(bulk.pci.intxAsserted).toBe(false)
  })
})

describe('mtty as a PCI function', () => {
  it.each([1, 2] as const)('with %i port(s) is the card of the Linux driver', (ports) => {
    const { pci } = createMtty({ ports })
    expect(pci).toMatchObject({
      vendor: 0x4348,
      device: 0x3253,
      classCode: 0x070002,
      revision: 0x10,
      interrupts: { intx: 1, msi: 0, msix: 0 },
      intxAsserted: false,
    })
    expect(pci.bars).toEqual([0, 1].slice(0, ports).map((index) => ({ index, kind: 'io', byteLength: 8 })))
    const header = Buffer.alloc(64)
    createConfigSpace(pci).read(0, header)
    expect(header.subarray(0, 24).toString('hex')).toBe(
      `48435332000000001002000700000000${'01000000'.repeat(ports)}${'00000000'.repeat(2 - ports)}`,
    )
    expect(header.subarray(24).toString('hex')).toBe(`${'00'.repeat(20)}48435332${'00'.repeat(13)}010000`)
  })

  it('raises its one interrupt, a level that a stopped card does not show', async () => {
    const { mtty, device } = await openMtty({})
    const { host, vectors } = listener()
    const unplug = mtty.pci.connect(host)
    expect(mtty.pci).toBe(mtty.pci)
    const busy = expect.objectContaining({ code: 'EBUSY' })
    expect(() => mtty.pci.connect(host)).toThrow(busy)
    // IER: received data; then a byte loops back.
    device.regions?.write(0, 1, Uint8Array.of(1))
    device.regions?.write(0, 0, Uint8Array.of(0x41))
    expect([vectors, mtty.pci.intxAsserted]).toEqual([[0], true])
    await device.setState(STOP)
    expect(mtty.pci.intxAsserted).toBe(false)
    await device.setState(RUNNING)
    expect([vectors, mtty.pci.intxAsserted]).toEqual([[0, 0], true])
    device.regions?.read(0, 0, new Uint8Array(1))
    expect(mtty.pci.intxAsserted).toBe(false)
    unplug()
    device.regions?.write(0, 0, Uint8Array.of(0x42))
    expect([vectors.length, mtty.interrupts]).toEqual([2, 3])
  })
})
