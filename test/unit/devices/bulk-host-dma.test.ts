import { afterEach, describe, expect, it } from 'vitest'
import {
  type BulkDriver,
  type BulkOptions,
  BulkRegister,
  createBulk,
  DescriptorOp,
  DescriptorStatus,
} from '../../../src/devices/index.ts'
import { createEngine, DeviceState, VfioDevice } from '../../../src/index.ts'
import {
  contents,
  descriptorStatus,
  post,
  register,
  setRegister,
  ticks,
  until,
} from '../../support/bulk-device.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { SlowHost } from '../../support/slow-host.ts'
import { drain } from '../driver/session-io.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY } = DeviceState
const { DONE, ERROR, PENDING } = DescriptorStatus
const { FILL, COPY, TO_HOST, FROM_HOST } = DescriptorOp
const MEMORY_BYTES = 2_000_003
const opened: VfioDevice[] = []

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

interface Slow {
  bulk: BulkDriver
  device: VfioDevice
  host: SlowHost
}

async function open(options: Partial<BulkOptions> = {}): Promise<Slow> {
  const host = new SlowHost()
  for (const at of host.bytes.keys()) host.bytes[at] = at % 251
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, hostMemory: host, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device, host }
}

/** Lets the device work on what was posted before `tail`. */
function ring(bulk: BulkDriver, tail: number): void {
  setRegister(bulk, BulkRegister.CONTROL, 2)
  setRegister(bulk, BulkRegister.RING_TAIL, tail)
}

function statuses(bulk: BulkDriver, count: number): number[] {
  return Array.from({ length: count }, (_, index) => descriptorStatus(bulk, index))
}

/** What settled already, after everything that is ready ran. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true
  const settled = (): void => {
    pending = false
  }
  promise.then(settled, settled)
  await ticks()
  await turn()
  return pending
}

/** A device with one FROM_HOST of 5000 bytes under way, a FILL behind it. */
async function reading(options: Partial<BulkOptions> = {}): Promise<Slow> {
  const slow = await open(options)
  post(slow.bulk, 0, FROM_HOST, 100n, 4096n, 5000n)
  post(slow.bulk, 1, FILL, 100n, 0x77n, 10n)
  ring(slow.bulk, 2)
  await slow.host.access(0)
  return slow
}

/** A device with a slow host at its PCI function. */
async function plugged(options: Partial<BulkOptions> = {}): Promise<Slow & { unplug: () => void }> {
  const host = new SlowHost()
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device, host, unplug: bulk.pci.connect({ memory: host, raise: () => {} }) }
}

/** Local memory where {@link reading} puts the host's. */
function arrived({ bulk, host }: Slow): boolean {
  return contents(bulk).subarray(110, 5100).equals(host.bytes.subarray(4106, 9096))
}

describe('a descriptor whose host takes its time', () => {
  it('keeps the order of the ring: what is behind it waits', async () => {
    const slow = await reading()
    const { bulk, host } = slow
    post(bulk, 2, TO_HOST, 20_000n, 100n, 20n)
    post(bulk, 3, COPY, 9000n, 100n, 20n)
    setRegister(bulk, BulkRegister.RING_TAIL, 4)
    await ticks()
    expect([statuses(bulk, 4), register(bulk, BulkRegister.RING_HEAD)]).toEqual([Array(4).fill(PENDING), 0])
    expect(contents(bulk).every((byte) => byte === 0)).toBe(true)
    host.accesses[0]?.answer()
    const write = await host.access(1)
    expect(statuses(bulk, 4)).toEqual([DONE, DONE, PENDING, PENDING])
    expect(arrived(slow)).toBe(true)
    expect([...contents(bulk).subarray(98, 111)]).toEqual([0, 0, ...Array<number>(10).fill(0x77), 4106 % 251])
    write.answer()
    await until(() => register(bulk, BulkRegister.RING_HEAD) === 4)
    expect(statuses(bulk, 4)).toEqual(Array(4).fill(DONE))
    expect(host.accesses.map(({ kind, iova, byteLength }) => [kind, iova, byteLength])).toEqual([
      ['read', 4096n, 5000],
      ['write', 20_000n, 20],
    ])
    expect(host.bytes.subarray(20_000, 20_020).equals(contents(bulk).subarray(9000, 9020))).toBe(true)
    expect([bulk.interrupts, register(bulk, BulkRegister.INTERRUPT_STATUS)]).toEqual([1, 1])
  })

  it('leaves the rest of the device at work', async () => {
    const { bulk } = await open({ workload: { pagesPerSecond: 20_000 } })
    post(bulk, 0, FROM_HOST, 0n, 0n, 10n)
    setRegister(bulk, BulkRegister.CONTROL, 3)
    setRegister(bulk, BulkRegister.RING_TAIL, 1)
    const before = bulk.sequence
    await until(() => bulk.sequence > before + 200n)
    expect(descriptorStatus(bulk, 0)).toBe(PENDING)
  })

  it('gives the host data that stays as it was when the transfer began', async () => {
    const { bulk, host } = await open({ seed: 3 })
    const before = contents(bulk).subarray(0, 1000)
    post(bulk, 0, TO_HOST, 5000n, 0n, 1000n)
    ring(bulk, 1)
    const access = await host.access(0)
    bulk.memory.write(0, new Uint8Array(1000).fill(0xff))
    access.answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect(host.bytes.subarray(5000, 6000).equals(before)).toBe(true)
  })

  it('fails when the host refuses, at once or later, and the next one goes on', async () => {
    const { bulk, host, device } = await open()
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 65_536n }] })
    post(bulk, 0, FROM_HOST, 0n, 0n, 5000n)
    post(bulk, 1, TO_HOST, 8192n, 0n, 16n)
    post(bulk, 2, FROM_HOST, 7n, 7n, 9n)
    ring(bulk, 3)
    for (const index of [0, 1]) (await host.access(index)).refuse()
    ;(await host.access(2)).answer()
    await until(() => register(bulk, BulkRegister.RING_HEAD) === 3)
    expect(statuses(bulk, 3)).toEqual([ERROR, ERROR, DONE])
    expect([...contents(bulk).subarray(0, 18)]).toEqual([
      0, 0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0,
    ])
    // A write that failed may have written a part.
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingReport({ iova: 0n, length: 65_536n, pageSize: 4096 }, bitmap)
    expect(bitmap[0]).toBe(0b100)
  })

  it('is seen by DMA logging when it is done', async () => {
    const { bulk, host, device } = await open()
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 65_536n }] })
    post(bulk, 0, TO_HOST, 8190n, 0n, 16n)
    ring(bulk, 1)
    const dirty = async (): Promise<number | undefined> => {
      const bitmap = new Uint8Array(8)
      await device.dmaLoggingReport({ iova: 0n, length: 65_536n, pageSize: 4096 }, bitmap)
      return bitmap[0]
    }
    const access = await host.access(0)
    expect(await dirty()).toBe(0)
    access.answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect([await dirty(), await dirty()]).toEqual([0b110, 0])
  })

  it('is not made when it is out of range, and takes 1 MiB at the most', async () => {
    const { bulk, host } = await open()
    const mib = 2n ** 20n
    const top = 2n ** 64n
    post(bulk, 0, TO_HOST, 0n, 0n, mib + 1n)
    post(bulk, 1, FROM_HOST, BigInt(MEMORY_BYTES) - 3n, 0n, 4n)
    post(bulk, 2, TO_HOST, top - 4n, 0n, 5n)
    post(bulk, 3, FROM_HOST, top - 1n, 0n, mib)
    post(bulk, 4, TO_HOST, top - mib, 0n, mib)
    ring(bulk, 5)
    const access = await host.access(0)
    expect(statuses(bulk, 5)).toEqual([ERROR, ERROR, ERROR, ERROR, PENDING])
    expect([access.iova, access.byteLength, host.accesses.length]).toEqual([top - mib, 2 ** 20, 1])
    access.refuse()
  })

  it('ends although the ring was switched off meanwhile, and the next one waits for it to be on', async () => {
    const slow = await reading()
    const { bulk, host } = slow
    setRegister(bulk, BulkRegister.CONTROL, 0)
    host.accesses[0]?.answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    await ticks()
    expect(statuses(bulk, 2)).toEqual([DONE, PENDING])
    setRegister(bulk, BulkRegister.CONTROL, 2)
    await until(() => descriptorStatus(bulk, 1) === DONE)
    expect(arrived(slow)).toBe(true)
  })

  it('may be answered at once by one access and later by the next', async () => {
    const host = new SlowHost()
    const { bulk } = await open({
      hostMemory: {
        read: (iova, dst) => host.read(iova, dst),
        write: (iova, src) => {
          if (iova > 60_000n) throw new Error('no such memory')
          host.bytes.set(src, Number(iova))
        },
      },
    })
    bulk.memory.write(0, Uint8Array.of(1, 2, 3))
    post(bulk, 0, TO_HOST, 10n, 0n, 3n)
    post(bulk, 1, FROM_HOST, 50n, 9n, 5n)
    post(bulk, 2, TO_HOST, 65_000n, 0n, 3n)
    post(bulk, 3, TO_HOST, 20n, 50n, 5n)
    ring(bulk, 4)
    ;(await host.access(0)).answer()
    await until(() => register(bulk, BulkRegister.RING_HEAD) === 4)
    expect(statuses(bulk, 4)).toEqual([DONE, DONE, ERROR, DONE])
    expect([...host.bytes.subarray(19, 26)]).toEqual([0, 0, 1, 2, 3, 0, 0])
  })
})

describe('STOP during DMA', () => {
  it.each(['answered', 'refused'] as const)(
    'waits until it is %s, and nothing moves after it',
    async (how) => {
      const slow = await reading()
      const { bulk, device, host } = slow
      const stopped = device.setState(STOP)
      expect(await isPending(stopped)).toBe(true)
      if (how === 'answered') host.accesses[0]?.answer()
      else host.accesses[0]?.refuse()
      await stopped
      const status = how === 'answered' ? DONE : ERROR
      const before = contents(bulk)
      expect(statuses(bulk, 2)).toEqual([status, PENDING])
      expect(before.some((byte) => byte !== 0)).toBe(how === 'answered')
      await ticks()
      expect(contents(bulk).equals(before)).toBe(true)
      expect(statuses(bulk, 2)).toEqual([status, PENDING])
      await device.setState(RUNNING)
      await until(() => descriptorStatus(bulk, 1) === DONE)
      expect(arrived(slow)).toBe(how === 'answered')
    },
  )

  it('that was given up leaves the device and its DMA at work', async () => {
    const slow = await reading()
    const { bulk, device, host } = slow
    const controller = new AbortController()
    const stopped = failureOf(() => device.setState(STOP, { signal: controller.signal }))
    expect(await isPending(stopped)).toBe(true)
    controller.abort()
    expect(await stopped).toMatchObject({ code: 'EINTR', state: RUNNING_P2P })
    expect(statuses(bulk, 2)).toEqual([PENDING, PENDING])
    host.accesses[0]?.answer()
    await until(() => descriptorStatus(bulk, 1) === DONE)
    expect(arrived(slow)).toBe(true)
    await device.setState(STOP)
  })

  it('and PRE_COPY: what arrived last is in the stream, and the ring goes on at the destination', async () => {
    const slow = await reading()
    const { bulk, device, host } = slow
    const saving = await device.setState(PRE_COPY)
    if (saving === undefined) throw new Error('no session')
    const piece = new Uint8Array(3_000_000)
    const early = piece.slice(0, saving.read(piece))
    expect(saving.precopyInfo()).toMatchObject({ initialBytes: 0, dirtyBytes: 0 })
    const stopped = device.setState(STOP_COPY)
    expect(await isPending(stopped)).toBe(true)
    host.accesses[0]?.answer()
    await stopped
    const late = drain(saving)
    expect(late.length).toBeLessThan(20_000)
    const other = await open()
    const resuming = await other.device.setState(RESUMING)
    for (const part of [early, late]) resuming?.write(part)
    await other.device.setState(STOP)
    expect(statuses(other.bulk, 2)).toEqual([DONE, PENDING])
    expect(contents(other.bulk).equals(contents(bulk))).toBe(true)
    await other.device.setState(RUNNING)
    await until(() => descriptorStatus(other.bulk, 1) === DONE)
    expect(arrived({ ...other, host })).toBe(true)
  })
})

describe('reset and close during DMA', () => {
  it('a reset does not wait, and the late answer is dropped', async () => {
    const { bulk, device, host } = await reading()
    await device.reset()
    host.accesses[0]?.answer()
    await ticks()
    expect(contents(bulk).every((byte) => byte === 0)).toBe(true)
    expect([statuses(bulk, 2), register(bulk, BulkRegister.RING_HEAD)]).toEqual([[PENDING, PENDING], 0])
    post(bulk, 0, FROM_HOST, 0n, 50n, 2n)
    ring(bulk, 1)
    ;(await host.access(1)).answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect([...contents(bulk).subarray(0, 3)]).toEqual([50, 51, 0])
  })

  it('a late answer after a reset is not taken for that of the next transfer', async () => {
    const { bulk, device, host } = await reading()
    await device.reset()
    post(bulk, 0, FROM_HOST, 0n, 50n, 2n)
    ring(bulk, 1)
    const next = await host.access(1)
    host.accesses[0]?.answer()
    await ticks()
    expect(descriptorStatus(bulk, 0)).toBe(PENDING)
    next.answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect([...contents(bulk).subarray(0, 3)]).toEqual([50, 51, 0])
  })

  it('a write that arrives after a reset is still logged', async () => {
    const { bulk, device, host } = await open()
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 65_536n }] })
    post(bulk, 0, TO_HOST, 4096n, 0n, 16n)
    ring(bulk, 1)
    const access = await host.access(0)
    await device.reset()
    access.answer()
    await turn()
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingReport({ iova: 0n, length: 65_536n, pageSize: 4096 }, bitmap)
    expect(bitmap[0]).toBe(0b10)
  })

  it("a close does not wait, and the late answer reaches no memory that is another device's by then", async () => {
    const engine = await createEngine({ memoryBytes: 4 * 1024 * 1024 })
    const { device, host } = await reading({ engine })
    await device.close()
    opened.splice(0)
    const next = await open({ engine })
    host.accesses[0]?.answer()
    await ticks()
    expect(contents(next.bulk).every((byte) => byte === 0)).toBe(true)
  })
})

describe('the host at the PCI function', () => {
  it('is what descriptors reach; without one they fail', async () => {
    const { bulk, host, unplug } = await plugged()
    host.bytes.fill(9)
    post(bulk, 0, FROM_HOST, 0n, 0n, 3n)
    post(bulk, 1, TO_HOST, 8n, 0n, 3n)
    ring(bulk, 1)
    ;(await host.access(0)).answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect([...contents(bulk).subarray(0, 4)]).toEqual([9, 9, 9, 0])
    unplug()
    setRegister(bulk, BulkRegister.RING_TAIL, 2)
    await until(() => descriptorStatus(bulk, 1) === ERROR)
    expect(host.accesses.length).toBe(1)
  })

  it('unplugged during DMA makes it fail, and lets a STOP that waits go on', async () => {
    const { bulk, device, host, unplug } = await plugged()
    post(bulk, 0, FROM_HOST, 0n, 0n, 3n)
    ring(bulk, 1)
    const access = await host.access(0)
    const stopped = device.setState(STOP)
    expect(await isPending(stopped)).toBe(true)
    unplug()
    await stopped
    expect(descriptorStatus(bulk, 0)).toBe(ERROR)
    host.bytes.fill(9)
    access.answer()
    await turn()
    expect(contents(bulk)[0]).toBe(0)
  })

  it('is not asked where the driver has memory of its own, and may go meanwhile', async () => {
    const own = new SlowHost()
    own.bytes.fill(5)
    const { bulk, host, unplug } = await plugged({ hostMemory: own })
    post(bulk, 0, FROM_HOST, 0n, 0n, 3n)
    ring(bulk, 1)
    const access = await own.access(0)
    unplug()
    expect(descriptorStatus(bulk, 0)).toBe(PENDING)
    access.answer()
    await until(() => descriptorStatus(bulk, 0) === DONE)
    expect([host.accesses.length, contents(bulk)[2]]).toEqual([0, 5])
  })

  it('is one at a time: EBUSY; an old handle unplugs nobody else', async () => {
    const { bulk, host, unplug } = await plugged()
    const connect = () => bulk.pci.connect({ memory: host, raise: () => {} })
    expect(await codeOf(connect)).toBe('EBUSY')
    unplug()
    const next = connect()
    unplug()
    expect(await codeOf(connect)).toBe('EBUSY')
    next()
    next()
    connect()()
  })
})
