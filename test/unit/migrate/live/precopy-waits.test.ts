/** Pre-copy asks slow counters rarely, and waits for no longer than what it waits for takes. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../../../src/devices/index.ts'
import { migrate } from '../../../../src/migrate/live/migrate.ts'
import { receive } from '../../../../src/migrate/receive/receive.ts'
import { readable } from '../../../../src/migrate/live/pump-streams.ts'
import { type ByteDuplex, memoryPair } from '../../../../src/transport/index.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

const opened: VfioDevice[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const device of opened.splice(0)) await device.close()
})

async function open(driver: Parameters<typeof VfioDevice.open>[0]): Promise<VfioDevice> {
  const device = await VfioDevice.open(driver)
  opened.push(device)
  return device
}

describe('pre-copy', () => {
  it('asks a device whose counters take long only at the ends of passes, and twice a second', async () => {
    const memoryBytes = 8 * 2 ** 20
    const source = await open(createBulk({ memoryBytes, seed: 1 }))
    let asked = 0
    let looks = 0
    const ask = source.stopCopyLength.bind(source)
    source.stopCopyLength = async () => {
      asked++
      await new Promise((resolve) => setTimeout(resolve, 40))
      return ask()
    }
    // 8 MiB in some 400 ms: twenty looks.
    const report = await migrate(source, await open(createBulk({ memoryBytes })), {
      bandwidthLimit: 20 * 2 ** 20,
      onProgress: () => looks++,
    })
    expect(report.owner).toBe('destination')
    // At the start, at each end of a pass, before the stop, and by time.
    const byTime = Math.floor(report.phases.precopyMs / 500)
    expect(asked).toBeLessThanOrEqual(report.iterations.length + 4 + byTime)
    expect(looks).toBeGreaterThan(asked)
  })

  it('of a device with nothing more to say ends with the acknowledgement, not with a timer', async () => {
    const [source, destination] = [await open(createMtty()), await open(createMtty())]
    const real = globalThis.setTimeout
    // Turns of the event loop come; time does not pass.
    vi.spyOn(globalThis, 'setTimeout').mockImplementation((run, ms = 0) => real(run, ms > 0 ? 2 ** 30 : 0))
    const [here, there] = memoryPair()
    // An answer takes longer than a look at the device.
    const slow: ByteDuplex = {
      read: (dst) => there.read(dst),
      write: async (chunks) => {
        for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
        await there.write(chunks)
      },
      close: () => there.close(),
      abort: (reason) => there.abort(reason),
      cancel: (reason) => there.cancel(reason),
    }
    const receiving = receive(destination, slow)
    const report = await migrate(source, here)
    await receiving
    expect(report.owner).toBe('destination')
  })
})

describe('readable', () => {
  it('settles with the news, long before its time', async () => {
    let tell: (() => void) | undefined
    const before = timers()
    const news = new Promise<void>((resolve) => (tell = resolve))
    const waiting = readable([], 2 ** 30, new AbortController().signal, news)
    tell?.()
    await waiting
    expect(timers()).toBe(before)
  })
})
