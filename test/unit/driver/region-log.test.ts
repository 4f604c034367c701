import { describe, expect, it } from 'vitest'
import { DirtyLog } from '../../../src/device/dirty-log.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice, type Tracking, u32 } from '../../../src/driver/index.ts'
import { DeviceState } from '../../../src/uapi/index.ts'
import { codeOf } from '../../support/pending.ts'
import { drain, testEngine } from './session-io.ts'

const { PRE_COPY, RUNNING } = DeviceState
const PAGE = 4096
const IOVA = 0x1_0000_0000n
const PAGES = 600

async function open(tracking: Tracking, dirtyLog?: DirtyLog) {
  const driver = defineDevice({
    type: 'logged',
    version: 1,
    engine: testEngine,
    state: { n: u32() },
    memory: { m: { byteLength: PAGES * PAGE + 10, tracking, iova: IOVA }, other: { byteLength: PAGE } },
    ...(dirtyLog && { dirtyLog }),
  })
  const device = await VfioDevice.open(driver)
  const range = { iova: IOVA, length: BigInt((PAGES + 8) * PAGE) }
  /** Pages that the log reports, of the whole region or of `count` from `first` on. */
  const report = async (first = 0, count = PAGES + 8): Promise<number[]> => {
    const bitmap = new Uint8Array(Math.ceil(count / 64) * 8)
    const iova = IOVA + BigInt(first * PAGE)
    await device.dmaLoggingReport({ iova, length: BigInt(count * PAGE), pageSize: 4096 }, bitmap)
    return Array.from({ length: count }, (_, n) => n)
      .filter((n) => ((bitmap[n >> 3] as number) & (1 << (n & 7))) !== 0)
      .map((n) => n + first)
  }
  const start = () => device.dmaLoggingStart({ pageSize: 4096, ranges: [range] })
  return { driver, device, report, start, memory: driver.memory.m }
}

describe.each(['marked', 'hash', 'diff'] as const)('DMA logging of a region, tracking %s', (tracking) => {
  it('reports what is marked, once', async () => {
    const { device, report, start, memory } = await open(tracking)
    memory.write(0, Uint8Array.of(1))
    expect(await start()).toBe(4096)
    expect(await report()).toEqual([])
    memory.write(3 * PAGE - 1, Uint8Array.of(1, 1))
    memory.write(PAGES * PAGE + 9, Uint8Array.of(1))
    expect(await report()).toEqual([2, 3, PAGES])
    expect(await report()).toEqual([])
    await device.close()
  })

  it('is off before the start and after the stop, and gives back its memory', async () => {
    const { device, report, start, memory } = await open(tracking)
    const before = testEngine.allocatedBytes
    await start()
    await device.dmaLoggingStop()
    expect(testEngine.allocatedBytes).toBe(before)
    memory.write(0, Uint8Array.of(1))
    expect(await codeOf(() => report())).toBe('EINVAL')
    await start()
    expect(await report()).toEqual([])
    await device.close()
  })

  it('marks a log that the device marks too', async () => {
    const log = new DirtyLog()
    const { device, report, start, memory } = await open(tracking, log)
    await start()
    log.mark(IOVA + BigInt(7 * PAGE), 1)
    memory.mark(9 * PAGE, 1)
    expect(await report()).toEqual([7, 9])
    await device.close()
  })
})

describe.each(['hash', 'diff'] as const)('writes that nobody marks, tracking %s', (tracking) => {
  it('are found by the report that covers them', async () => {
    const { device, report, start, memory } = await open(tracking)
    memory.bytes.fill(5)
    await start()
    memory.bytes[299 * PAGE] = 1
    memory.bytes[PAGES * PAGE + 9] = 1
    memory.bytes[13 * PAGE] = 1
    expect(await report(256, 100)).toEqual([299])
    expect(await report(12, 2)).toEqual([13])
    expect(await report()).toEqual([PAGES])
    memory.bytes[13 * PAGE] = 2
    expect(await report()).toEqual([13])
    expect(await report()).toEqual([])
    await device.close()
  })

  it('are found whether or not a session sent them meanwhile', async () => {
    const { device, report, start, memory } = await open(tracking)
    await start()
    const session = await device.setState(PRE_COPY)
    drain(session)
    memory.bytes[5 * PAGE] = 1
    await device.setState(RUNNING)
    drain(await device.setState(PRE_COPY))
    expect(await report()).toEqual([5])
    await device.close()
  })

  it('cost a second record, which must fit', async () => {
    const { device, report, start } = await open(tracking)
    const before = testEngine.allocatedBytes
    // All but the last 4 KiB, and then all of the smaller holes.
    const taken: number[] = []
    for (let size = testEngine.memoryBytes; size >= 16; size = Math.floor(size / 2)) {
      while ((await codeOf(() => taken.push(testEngine.allocate(size)))) === 'ok');
    }
    expect(await codeOf(start)).toBe('ENOMEM')
    for (const pointer of taken) testEngine.free(pointer)
    expect(testEngine.allocatedBytes).toBe(before)
    expect(await codeOf(() => report())).toBe('EINVAL')
    await start()
    expect(await report()).toEqual([])
    await device.close()
  })
})

/** What defining a device with a region at `iova` comes to. */
const define = (iova: bigint, dirtyLog?: object) =>
  codeOf(() =>
    defineDevice({
      type: 'logged',
      version: 1,
      state: { n: u32() },
      memory: { m: { byteLength: PAGE, iova } },
      ...(dirtyLog && { dirtyLog: dirtyLog as DirtyLog }),
    }),
  )

it('a region at an address that is none, or with a log that cannot be marked, is EINVAL', async () => {
  expect(await define(1n)).toBe('EINVAL')
  expect(await define(-4096n)).toBe('EINVAL')
  expect(await define(2n ** 64n)).toBe('EINVAL')
  expect(await define(2n ** 64n - 4096n)).toBe('ok')
  expect(await define(0n, { start: () => 4096n, stop: () => {}, report: () => {} })).toBe('EINVAL')
})
