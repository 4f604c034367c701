import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { DirtyLog } from '../../../src/device/dirty-log.ts'
import type { DirtyLogOps } from '../../../src/device/driver.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { GET, SET, detach, feature, featureMemory } from '../../support/feature-call.ts'
import { codeOf, deferred, failureOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const RANGES_AT = 0x100
const BITMAP_AT = 0x200
const MIB = 2n ** 20n

type Range = readonly [iova: bigint, length: bigint]

async function open(dirtyLog: DirtyLogOps = new DirtyLog()) {
  const driver = new ScriptedDriver({ dirtyLog })
  return { driver, log: dirtyLog as DirtyLog, device: await VfioDevice.open(driver) }
}

function startMemory(
  pageSize: bigint,
  ranges: readonly Range[],
  { count = ranges.length, pointer = BigInt(RANGES_AT), byteLength = RANGES_AT + 16 * ranges.length } = {},
): Uint8Array {
  const memory = featureMemory(6 | SET, 32, byteLength)
  const view = new DataView(memory.buffer)
  view.setBigUint64(8, pageSize, true)
  view.setUint32(16, count, true)
  view.setUint32(20, 0xdead_beef, true)
  view.setBigUint64(24, pointer, true)
  for (const [i, [iova, length]] of ranges.entries()) {
    view.setBigUint64(RANGES_AT + 16 * i, iova, true)
    view.setBigUint64(RANGES_AT + 16 * i + 8, length, true)
  }
  return memory
}

function reportMemory(
  [iova, length]: Range,
  pageSize = 4096n,
  { pointer = BigInt(BITMAP_AT), byteLength = 0x400 } = {},
): Uint8Array {
  const memory = featureMemory(8 | GET, 40, byteLength)
  const view = new DataView(memory.buffer)
  for (const [i, value] of [iova, length, pageSize, pointer].entries())
    view.setBigUint64(8 + 8 * i, value, true)
  return memory
}

function start(device: VfioDevice, ...args: Parameters<typeof startMemory>): Promise<string> {
  return codeOf(() => feature(device, startMemory(...args)))
}

function stop(device: VfioDevice): Promise<string> {
  return codeOf(() => feature(device, featureMemory(7 | SET, 8)))
}

function broken(): never {
  throw new Error('broken')
}

/** Dirty pages of a report through bytes, as bit numbers. */
async function report(device: VfioDevice, range: Range, pageSize = 4096n): Promise<number[]> {
  const memory = reportMemory(range, pageSize)
  await feature(device, memory)
  return bitsOf(memory.subarray(BITMAP_AT))
}

function bitsOf(bitmap: Uint8Array): number[] {
  return [...bitmap].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => byte & (1 << n)).map((n) => 8 * i + n),
  )
}

describe('DMA_LOGGING_START', () => {
  it('A.6 starts, and writes the control block back with the page size in use', async () => {
    const { device, log } = await open()
    const memory = startMemory(512n, [[0n, MIB]])
    expect(await feature(device, memory)).toBe(0)
    expect(log.started).toBe(true)
    const expected = startMemory(4096n, [[0n, MIB]])
    expect(memory).toEqual(expected)
  })

  it.each([
    ['step 2: no ranges', 4096n, [], {}, 'EINVAL'],
    ['step 2: no ranges, before the pointer', 4096n, [], { pointer: 2n ** 60n }, 'EINVAL'],
    ['step 2: 257 ranges, before the pointer', 4096n, [], { count: 257, pointer: 2n ** 60n }, 'E2BIG'],
    ['step 2: 2^32 - 1 ranges', 4096n, [], { count: 0xffff_ffff }, 'E2BIG'],
    ['step 3: a range unreadable', 4096n, [], { count: 1 }, 'EFAULT'],
    ['step 3: the second range unreadable', 4096n, [[0n, 4096n]], { count: 2 }, 'EFAULT'],
    ['step 3: a pointer above 2^53', 4096n, [[0n, 4096n]], { pointer: 2n ** 53n + 2n }, 'EFAULT'],
    ['step 3: a bad range before an unreadable one', 4096n, [[1n, 4096n]], { count: 2 }, 'EINVAL'],
    ['step 3: iova unaligned', 4096n, [[512n, 4096n]], {}, 'EINVAL'],
    ['step 3: length unaligned', 4096n, [[0n, 4097n]], {}, 'EINVAL'],
    ['step 3: an end above 2^64', 4096n, [[2n ** 64n - 4096n, 8192n]], {}, 'EOVERFLOW'],
    ['step 3: an end of exactly 2^64', 4096n, [[2n ** 64n - 4096n, 4096n]], {}, 'EOVERFLOW'],
    [
      'step 3: an overlap',
      4096n,
      [
        [0n, 8192n],
        [4096n, 4096n],
      ],
      {},
      'EINVAL',
    ],
    [
      'step 3: touching ranges',
      4096n,
      [
        [0n, 8192n],
        [8192n, 4096n],
      ],
      {},
      'ok',
    ],
    ['F: page size 0', 0n, [[0n, 0n]], {}, 'EINVAL'],
    ['F: page size no power of two', 4097n, [[0n, 4097n]], {}, 'EINVAL'],
    ['F: length 0', 4096n, [[0n, 0n]], {}, 'EINVAL'],
    ['a page size of 2^63', 2n ** 63n, [[0n, 2n ** 63n]], {}, 'ENOMEM'],
  ] as [string, bigint, Range[], object, string][])(
    'A.6 %s',
    async (_name, pageSize, ranges, options, code) => {
      const { device, log } = await open()
      expect(await start(device, pageSize, ranges, options)).toBe(code)
      expect(log.started).toBe(code === 'ok')
    },
  )

  it('A.6 256 ranges are fine, 257 are E2BIG', async () => {
    const { device } = await open()
    const ranges = Array.from({ length: 257 }, (_, i) => [BigInt(i) * 8192n, 4096n] as const)
    expect(await start(device, 4096n, ranges)).toBe('E2BIG')
    expect(await start(device, 4096n, ranges.slice(1))).toBe('ok')
  })

  it('A.6 the control block unreadable is EFAULT', async () => {
    const { device } = await open()
    expect(await codeOf(() => feature(device, featureMemory(6 | SET, 32, 31)))).toBe('EFAULT')
  })

  it('A.6 step 4: the driver errno passes through', async () => {
    const log = new DirtyLog()
    log.start = () => {
      throw new VfioError('EOPNOTSUPP', 'Cannot log: not here')
    }
    expect(await start((await open(log)).device, 4096n, [[0n, 4096n]])).toBe('EOPNOTSUPP')
  })

  it('A.6 step 5: a write-back fault stops logging again and is EFAULT, even when stopping fails', async () => {
    for (const stopFails of [false, true]) {
      const gate = deferred()
      const calls: string[] = []
      const { device } = await open({
        start: () => gate.promise.then(() => 4096n),
        stop: () => {
          calls.push('stop')
          if (stopFails) throw new Error('broken')
        },
        report: () => {},
      })
      const memory = startMemory(4096n, [[0n, 4096n]])
      const call = feature(device, memory)
      detach(memory)
      gate.resolve()
      expect(await codeOf(() => call)).toBe('EFAULT')
      expect(calls).toEqual(['stop'])
    }
  })

  it('A.6 step 5: a write-back fault is EFAULT also when the device is closed meanwhile', async () => {
    const gate = deferred()
    const { device } = await open({
      start: () => gate.promise.then(() => 4096n),
      stop: () => {},
      report: () => {},
    })
    const memory = startMemory(4096n, [[0n, 4096n]])
    const call = feature(device, memory)
    const close = device.close()
    detach(memory)
    gate.resolve()
    expect(await codeOf(() => call)).toBe('EFAULT')
    await close
  })

  it('A.6 ranges are read before the promise is returned', async () => {
    const { device, log } = await open()
    const memory = startMemory(4096n, [[0n, 4096n]])
    const call = feature(device, memory)
    memory.fill(0xff)
    await call
    log.mark(0, 1)
    expect(await report(device, [0n, 4096n])).toEqual([0])
  })
})

describe('DMA_LOGGING_STOP', () => {
  it('A.6 stops; while stopped it is no error', async () => {
    const { device, log } = await open()
    await start(device, 4096n, [[0n, 4096n]])
    expect([await stop(device), log.started, await stop(device)]).toEqual(['ok', false, 'ok'])
  })

  it('A.6 core keeps no flag: every STOP reaches the driver', async () => {
    let stops = 0
    const { device } = await open({ start: () => 4096n, stop: () => void stops++, report: () => {} })
    await stop(device)
    await stop(device)
    expect(stops).toBe(2)
  })
})

describe('DMA_LOGGING_REPORT', () => {
  async function logging() {
    const opened = await open()
    await start(opened.device, 4096n, [[MIB, MIB]])
    return opened
  }

  it('A.6 bit n is the page at iova + n * page_size, bit n % 8 of byte n / 8', async () => {
    const { device, log } = await logging()
    log.mark(MIB + 4096n, 1)
    log.mark(MIB + 9n * 4096n, 2 * 4096)
    log.mark(MIB + 255n * 4096n, 4096)
    expect(await report(device, [MIB, MIB])).toEqual([1, 9, 10, 255])
    expect(await report(device, [MIB, MIB])).toEqual([])
  })

  it('A.6 bits are only ever set: the caller zeroes', async () => {
    const { device, log } = await logging()
    log.mark(MIB, 1)
    const memory = reportMemory([MIB, 65_536n])
    memory.fill(0x80, BITMAP_AT, BITMAP_AT + 10)
    await feature(device, memory)
    expect([...memory.subarray(BITMAP_AT, BITMAP_AT + 10)]).toEqual([
      0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    ])
  })

  it('A.6 a smaller device page is OR-ed into the larger page of the query', async () => {
    const { device, log } = await logging()
    log.mark(MIB + 5n * 4096n, 1)
    log.mark(MIB + 7n * 4096n, 1)
    log.mark(MIB + 16n * 4096n, 1)
    expect(await report(device, [MIB, MIB], 32_768n)).toEqual([0, 2])
  })

  it('A.6 a larger device page sets every bit it covers', async () => {
    const { device, log } = await open()
    await start(device, 65_536n, [[0n, MIB]])
    log.mark(65_536 + 5, 1)
    expect(await report(device, [0n, MIB])).toEqual(Array.from({ length: 16 }, (_, i) => 16 + i))
  })

  it('A.6 what a driver marks outside the report is cut off', async () => {
    const { device } = await open({
      start: () => 4096n,
      stop: () => {},
      report: (_range, mark) => {
        mark({ iova: 0n, length: 3n * 4096n })
        mark({ iova: 5n * 4096n, length: 2n ** 40n })
        mark({ iova: 3n * 4096n, length: 0n })
      },
    })
    expect(await report(device, [8192n, 5n * 4096n])).toEqual([0, 3, 4])
  })

  it.each([
    ['page size 2048', [MIB, 4096n], 2048n, {}, 'EINVAL'],
    ['page size 0', [MIB, 4096n], 0n, {}, 'EINVAL'],
    ['page size no power of two', [MIB, 4096n], 12_288n, {}, 'EINVAL'],
    ['page size, before overflow', [2n ** 64n - 1n, 4096n], 0n, {}, 'EINVAL'],
    ['overflow, before the bitmap', [2n ** 64n - 4096n, 4096n], 4096n, { pointer: 2n ** 60n }, 'EOVERFLOW'],
    ['bitmap unreachable, before the driver', [0n, 4096n], 4096n, { pointer: 0x3f9n }, 'EFAULT'],
    ['bitmap in whole u64 words', [MIB, 4096n], 4096n, { pointer: 0x3f8n }, 'ok'],
    ['a huge range and a small memory', [MIB, 2n ** 62n], 4096n, {}, 'EFAULT'],
    ['outside the logged ranges', [0n, 4096n], 4096n, {}, 'EINVAL'],
    ['partly outside the logged ranges', [MIB, MIB + 4096n], 4096n, {}, 'EINVAL'],
    ['length 0', [MIB, 0n], 4096n, {}, 'EINVAL'],
  ] as [string, Range, bigint, object, string][])('A.6 %s', async (_name, range, pageSize, options, code) => {
    const { device } = await logging()
    expect(await codeOf(() => feature(device, reportMemory(range, pageSize, options)))).toBe(code)
  })

  it('A.6 the report unreadable is EFAULT', async () => {
    const { device } = await logging()
    expect(await codeOf(() => feature(device, featureMemory(8 | GET, 40, 39)))).toBe('EFAULT')
  })

  it('a bitmap that was detached meanwhile is EFAULT', async () => {
    const gate = deferred()
    const { device } = await open({ start: () => 4096n, stop: () => {}, report: () => gate.promise })
    const memory = reportMemory([0n, 4096n])
    const call = feature(device, memory)
    detach(memory)
    gate.resolve()
    expect(await codeOf(() => call)).toBe('EFAULT')
  })
})

describe('driver rules, column "suggested"', () => {
  it('A.6 START while started is EINVAL', async () => {
    const { device } = await open()
    await start(device, 4096n, [[0n, 4096n]])
    expect(await start(device, 4096n, [[0n, 4096n]])).toBe('EINVAL')
  })

  it('A.6 REPORT while stopped is EINVAL', async () => {
    const { device } = await open()
    expect(await codeOf(() => report(device, [0n, 4096n]))).toBe('EINVAL')
  })

  it('A.6 unsupported by the device is ENOTTY, before arguments, typed calls too', async () => {
    const device = await VfioDevice.open(new ScriptedDriver())
    expect([await start(device, 0n, []), await stop(device)]).toEqual(['ENOTTY', 'ENOTTY'])
    expect(await codeOf(() => device.dmaLoggingStart({ pageSize: 0, ranges: [] }))).toBe('ENOTTY')
    const range = { iova: 0n, length: 0n, pageSize: 0 }
    expect(await codeOf(() => device.dmaLoggingReport(range, new Uint8Array(0)))).toBe('ENOTTY')
    expect(await codeOf(() => device.dmaLoggingStop())).toBe('ENOTTY')
  })

  it('A.6 a broken tracker is EIO', async () => {
    const { device } = await open({ start: broken, stop: broken, report: broken })
    expect(await start(device, 4096n, [[0n, 4096n]])).toBe('EIO')
    expect(await stop(device)).toBe('EIO')
    expect((await failureOf(() => report(device, [0n, 4096n]))).cause).toBeInstanceOf(Error)
  })

  it('A.6 a reset does not stop logging, closing does', async () => {
    const { device, log } = await open()
    await start(device, 4096n, [[0n, 4096n]])
    log.mark(0, 1)
    await device.reset()
    expect(await report(device, [0n, 4096n])).toEqual([0])
    await device.close()
    expect(log.started).toBe(false)
  })

  it('A.6 logging works in every state', async () => {
    const { device, log } = await open()
    await start(device, 4096n, [[0n, 4096n]])
    log.mark(0, 1)
    await device.setState(DeviceState.STOP_COPY)
    expect(await report(device, [0n, 4096n])).toEqual([0])
  })
})

describe('typed DMA logging', () => {
  it('copies its ranges in before the promise is returned, as the ioctl does', async () => {
    const { device, driver, log } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = device.setState(DeviceState.STOP)
    const ranges = [{ iova: 0n, length: 4096n }]
    const started = device.dmaLoggingStart({ pageSize: 4096, ranges })
    ranges[0]!.iova = 0x10_0001n
    ranges.push({ iova: 0n, length: 0n })
    gate.resolve()
    await Promise.all([call, started])
    log.mark(0n, 1)
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingReport({ iova: 0n, length: 4096n, pageSize: 4096 }, bitmap)
    expect([...bitmap]).toEqual([1, 0, 0, 0, 0, 0, 0, 0])
  })

  const range = { iova: 0n, length: 65_536n }

  it('is the same by another name', async () => {
    const { device, log } = await open()
    expect(await device.dmaLoggingStart({ pageSize: 512, ranges: [range] })).toBe(4096)
    log.mark(8192, 1)
    const bitmap = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)
    await device.dmaLoggingReport({ ...range, pageSize: 4096 }, bitmap)
    expect(bitsOf(bitmap)).toEqual([0, 2])
    await device.dmaLoggingStop()
    expect(log.started).toBe(false)
  })

  it.each([
    ['no ranges', { pageSize: 4096, ranges: [] }, 'EINVAL'],
    ['257 ranges', { pageSize: 4096, ranges: Array.from({ length: 257 }, () => range) }, 'E2BIG'],
    ['a page size of 3', { pageSize: 3, ranges: [range] }, 'EINVAL'],
    ['half a byte as page size', { pageSize: 0.5, ranges: [range] }, 'EINVAL'],
    ['NaN as page size', { pageSize: Number.NaN, ranges: [range] }, 'EINVAL'],
    ['a negative iova', { pageSize: 4096, ranges: [{ iova: -4096n, length: 8192n }] }, 'EINVAL'],
    ['an iova of 2^64', { pageSize: 4096, ranges: [{ iova: 2n ** 64n, length: 4096n }] }, 'EOVERFLOW'],
    ['a range twice', { pageSize: 4096, ranges: [range, range] }, 'EINVAL'],
  ])('A.6 start with %s is refused', async (_name, options, code) => {
    expect(await codeOf(async () => (await open()).device.dmaLoggingStart(options))).toBe(code)
  })

  it('A.6 a bitmap shorter than whole u64 words is EFAULT, one that is longer keeps its tail', async () => {
    const { device, log } = await open()
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [range] })
    const asked = { ...range, pageSize: 4096 }
    expect(await codeOf(() => device.dmaLoggingReport(asked, new Uint8Array(7)))).toBe('EFAULT')
    log.mark(0, 65_536)
    const bitmap = new Uint8Array(9)
    await device.dmaLoggingReport(asked, bitmap)
    expect([...bitmap]).toEqual([0xff, 0xff, 0, 0, 0, 0, 0, 0, 0])
  })

  it('takes its ranges when it is called', async () => {
    const { device, log } = await open()
    const ranges = [{ iova: 0n, length: 4096n }]
    const call = device.dmaLoggingStart({ pageSize: 4096, ranges })
    ranges[0]!.iova = 2n ** 40n
    await call
    log.mark(0, 1)
    expect(await report(device, [0n, 4096n])).toEqual([0])
  })
})
