import { afterEach, describe, expect, it, vi } from 'vitest'
import { RING_BYTES } from '../../../src/devices/bulk/descriptor-ring.ts'
import { type BulkDriver, type BulkOptions, BulkRegister, createBulk } from '../../../src/devices/index.ts'
import { blob, defineDevice, DeviceState, u32, u64, VfioDevice } from '../../../src/index.ts'
import { contents, fakeTime, register, setRegister, ticks, until } from '../../support/bulk-device.ts'
import { drain } from '../driver/session-io.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = DeviceState
const MEMORY_BYTES = 200_003
const opened: VfioDevice[] = []

afterEach(async () => {
  vi.restoreAllMocks()
  for (const device of opened.splice(0)) await device.close()
})

async function open(options: Partial<BulkOptions> = {}): Promise<{ bulk: BulkDriver; device: VfioDevice }> {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device }
}

async function move(source: VfioDevice, destination: VfioDevice): Promise<void> {
  const stream = drain(await source.setState(STOP_COPY))
  const resuming = await destination.setState(RESUMING)
  resuming?.write(stream)
  await destination.setState(STOP)
}

describe('the clock of bulk', () => {
  it('writes at its rate, and after a stall catches up with 100 ms at the most', async () => {
    const time = fakeTime()
    const { bulk } = await open({ workload: { pagesPerSecond: 100_000 } })
    for (const [ms, total] of [
      [3, 300n],
      [0, 300n],
      [50, 5300n],
      [400, 15_300n],
      [0, 15_300n],
    ] as const) {
      time.advance(ms)
      await ticks()
      expect(bulk.sequence).toBe(total)
    }
  })

  it('throttled by 90 percent writes a tenth, and at 0 all of it again', async () => {
    const time = fakeTime()
    const { bulk, device } = await open({ workload: { pagesPerSecond: 100_000 } })
    await device.throttle(90)
    time.advance(50)
    await ticks()
    expect(bulk.sequence).toBe(500n)
    await device.throttle(0)
    time.advance(50)
    await ticks()
    expect(bulk.sequence).toBe(5500n)
  })

  it('is at full speed after a reset, and at the destination of a throttled source', async () => {
    const time = fakeTime()
    const { bulk, device } = await open({ workload: { pagesPerSecond: 100_000 } })
    await device.throttle(99)
    const destination = await open()
    await destination.device.throttle(99)
    await move(device, destination.device)
    await destination.device.setState(RUNNING)
    await device.reset()
    time.advance(20)
    await ticks()
    expect(destination.bulk.sequence).toBe(2000n)
    expect(bulk.sequence).toBe(2000n)
  })

  it('writes in bursts, is idle between them, and goes on with the period at the destination', async () => {
    const time = fakeTime()
    const { bulk, device } = await open({
      workload: { pagesPerSecond: 1000, pattern: 'burst', burstMs: 10, burstPeriodMs: 80 },
    })
    for (const [ms, total] of [
      [5, 40n],
      [10, 80n],
      [60, 80n],
      [10, 120n],
      [10, 160n],
    ] as const) {
      time.advance(ms)
      await ticks()
      expect(bulk.sequence).toBe(total)
    }
    const destination = await open()
    await move(device, destination.device)
    expect(register(destination.bulk, BulkRegister.BURST_PHASE)).toBe(15_000)
    await destination.device.setState(RUNNING)
    for (const [ms, total] of [
      [64, 160n],
      [6, 200n],
    ] as const) {
      time.advance(ms)
      await ticks()
      expect(destination.bulk.sequence).toBe(total)
    }
  })
})

describe('the workload registers', () => {
  const workload = {
    pagesPerSecond: 5000,
    pattern: 'hot-set',
    hotFraction: 0.25,
    hotShare: 0.75,
    burstMs: 7,
    burstPeriodMs: 70,
    seed: 11n,
    p2pPagesPerSecond: 3,
  } as const

  it('hold the options at power-on and after a reset, and show them', async () => {
    const { bulk, device } = await open({ workload, reservedBytes: 5000 })
    expect(bulk.workload).toEqual(workload)
    expect(bulk.reservedBytes).toBe(MEMORY_BYTES - 47 * 4096)
    setRegister(bulk, BulkRegister.PATTERN, 2)
    setRegister(bulk, BulkRegister.RESERVED_PAGES, 1)
    expect(bulk.workload.pattern).toBe('sweep')
    await device.reset()
    expect(bulk.workload).toEqual(workload)
    expect(register(bulk, BulkRegister.RESERVED_PAGES)).toBe(2)
    expect(register(bulk, BulkRegister.VERSION)).toBe(2)
  })

  it('drop values out of their bounds', async () => {
    const { bulk } = await open({ workload })
    for (const [at, value] of [
      [BulkRegister.PATTERN, 4],
      [BulkRegister.HOT_FRACTION, 0],
      [BulkRegister.HOT_FRACTION, 65_537],
      [BulkRegister.HOT_SHARE, 65_537],
      [BulkRegister.BURST, 0],
      [BulkRegister.BURST, 60_001],
      [BulkRegister.BURST_PERIOD, 60_001],
      [BulkRegister.BURST_PHASE, 1],
    ] as const) {
      const before = register(bulk, at)
      setRegister(bulk, at, value)
      expect(register(bulk, at)).toBe(before)
    }
    expect(bulk.workload).toEqual(workload)
  })

  it('move with the device, and the workload never writes the reserved pages', async () => {
    const source = await open({ workload: { ...workload, pagesPerSecond: 100_000 }, reservedBytes: 40_000 })
    const destination = await open()
    await until(() => source.bulk.sequence > 5000n)
    await move(source.device, destination.device)
    expect(destination.bulk.workload).toEqual(source.bulk.workload)
    await destination.device.setState(RUNNING)
    const { sequence } = source.bulk
    await until(() => destination.bulk.sequence > sequence + 5000n)
    const reserved = contents(destination.bulk).subarray(-destination.bulk.reservedBytes)
    expect(reserved.length).toBeGreaterThanOrEqual(40_000)
    expect(reserved.every((byte) => byte === 0)).toBe(true)
  })

  it('with all pages reserved the workload writes nothing', async () => {
    const time = fakeTime()
    const { bulk } = await open({
      workload: { pagesPerSecond: 100_000 },
      reservedBytes: MEMORY_BYTES,
    })
    time.advance(100)
    await ticks()
    expect(bulk.sequence).toBe(0n)
  })
})

/** bulk as version 1 of its state was. */
function versionOne(rate: number) {
  return defineDevice({
    type: 'bulk',
    version: 1,
    state: {
      control: u32({ max: 3 }),
      interruptStatus: u32({ max: 3 }),
      interruptMask: u32({ max: 3 }),
      rate: u32(),
      seed: u64(),
      sequence: u64(),
      ringHead: u32({ max: 63 }),
      ringTail: u32({ max: 63 }),
      ring: blob(RING_BYTES),
    },
    memory: { local: { byteLength: MEMORY_BYTES } },
    reset({ state, memory }) {
      Object.assign(state, { control: 1, interruptStatus: 2, rate, seed: 42n, sequence: 1234n, ringTail: 5 })
      state.ring[100] = 7
      memory.local.write(4096, Uint8Array.of(1, 2, 3))
    },
  })
}

describe('a stream of version 1', () => {
  it.each([STOP_COPY, PRE_COPY] as const)(
    'from state %i loads as a uniform workload that goes on',
    async (state) => {
      const old = await VfioDevice.open(versionOne(20_000))
      opened.push(old)
      const saving = await old.setState(state)
      const stream = [drain(saving)]
      if (state === PRE_COPY) {
        await old.setState(STOP_COPY)
        stream.push(drain(saving))
      }
      const { bulk, device } = await open({
        workload: { pagesPerSecond: 1, pattern: 'sweep', p2pPagesPerSecond: 9 },
        reservedBytes: 4096,
      })
      const resuming = await device.setState(RESUMING)
      for (const bytes of stream) resuming?.write(bytes)
      await device.setState(STOP)
      expect(bulk.workload).toMatchObject({
        pagesPerSecond: 20_000,
        pattern: 'uniform',
        seed: 42n,
        p2pPagesPerSecond: 0,
      })
      expect(bulk.sequence).toBe(1234n)
      expect(bulk.reservedBytes).toBe(0)
      expect(register(bulk, BulkRegister.RING_TAIL)).toBe(5)
      expect([...contents(bulk).subarray(4096, 4100)]).toEqual([1, 2, 3, 0])
      await device.setState(RUNNING)
      await until(() => bulk.sequence > 1300n)
    },
  )
})
