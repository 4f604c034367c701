/** Any device over any link that keeps its bytes: what arrives is what was sent. */

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Driver } from '../../src/device/driver.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../src/devices/index.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import type { MigrateReport } from '../../src/migrate/live/migrate-report.ts'
import { receive } from '../../src/migrate/receive/receive.ts'
import { type ByteDuplex, memoryPair } from '../../src/transport/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { IS_LONG, random } from '../support/fault-matrix.ts'
import { faultyLink } from '../support/faulty-link.ts'
import { contents } from '../support/bulk-device.ts'
import { ReinitDriver } from '../support/reinit-driver.ts'

const RUNS = IS_LONG ? 200 : 15

/** Reads a random part of what was asked for, now and then later; leases none. */
function ragged(end: ByteDuplex, seed: number): ByteDuplex {
  const next = random(seed)
  return {
    write: async (chunks) => {
      for (const chunk of chunks)
        for (let at = 0; at < chunk.length;) {
          const part = chunk.subarray(at, at + 1 + Math.floor(next() ** 3 * chunk.length))
          if (next() < 0.05) await new Promise((resolve) => setTimeout(resolve, next() * 3))
          await end.write([part])
          at += part.length
        }
    },
    close: () => end.close(),
    abort: (reason) => end.abort(reason),
    read: (dst) => end.read(dst.subarray(0, 1 + Math.floor(next() ** 2 * dst.length))),
    cancel: (reason) => end.cancel(reason),
  }
}

async function moved(
  from: Driver,
  to: Driver,
  wrap: (end: ByteDuplex, side: number) => ByteDuplex = (end) => end,
  stopFirst = false,
): Promise<{
  report: MigrateReport
  source: VfioDevice
  destination: VfioDevice
  close: () => Promise<void>
}> {
  const source = await VfioDevice.open(from)
  const destination = await VfioDevice.open(to)
  if (stopFirst) await source.setState(DeviceState.STOP)
  const [here, there] = memoryPair()
  const [report] = await Promise.all([
    migrate(source, wrap(here, 0), { downtimeLimitMs: 1000 }),
    receive(destination, wrap(there, 1), { lingerMs: 100 }),
  ])
  const close = async (): Promise<void> => {
    await source.close()
    await destination.close()
  }
  return { report, source, destination, close }
}

describe('a live migration', () => {
  it('brings any content of bulk over any segmentation and any timing of the link', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(300_000),
        fc.nat(0xffff),
        fc.constantFrom('none' as const, 'lz4' as const),
        async (memoryBytes, seed, compression) => {
          const from = createBulk({ memoryBytes, seed, compression })
          const to = createBulk({ memoryBytes, compression })
          const { report, close } = await moved(from, to, (end, side) => ragged(end, seed + side))
          expect(report.owner).toBe('destination')
          expect(contents(to).equals(contents(from))).toBe(true)
          await close()
        },
      ),
      { numRuns: RUNS },
    )
  }, 300_000)

  it('announces the initial bytes of a device once more for each REINIT, and brings all of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 100_000 }),
        fc.nat(3),
        fc.nat(100_000),
        async (initialBytes, reinits, restBytes) => {
          const from = new ReinitDriver({ initialBytes, reinits, restBytes })
          const to = new ReinitDriver({ initialBytes, reinits, restBytes })
          const source = await VfioDevice.open(from)
          const destination = await VfioDevice.open(to)
          const link = faultyLink(1, () => 'pass')
          const [report] = await Promise.all([
            migrate(source, link.here[0] as ByteDuplex, { downtimeLimitMs: 1000 }),
            receive(destination, link.there[0] as ByteDuplex, { lingerMs: 100 }),
          ])
          expect(report.owner).toBe('destination')
          expect(Buffer.concat(to.carried).equals(Buffer.concat(from.carried))).toBe(true)
          const announced = link.frames.filter(({ name }) => name === 'INITIAL_SENT').length
          expect(announced).toBeGreaterThanOrEqual(1)
          expect(announced).toBeLessThanOrEqual(reinits + 1)
          // What was announced was acknowledged before the device stopped.
          const order = link.frames.map(({ name }) => name)
          expect(order.lastIndexOf('INITIAL_LOADED')).toBeLessThan(order.indexOf('END'))
          await link.end()
          await source.close()
          await destination.close()
        },
      ),
      { numRuns: RUNS },
    )
  }, 300_000)

  it('brings an opaque device of several MiB', async () => {
    const size = { initialBytes: 5 * 2 ** 20, reinits: 0, restBytes: 2 ** 20 + 17 }
    const [from, to] = [new ReinitDriver(size), new ReinitDriver(size)]
    const { report, close } = await moved(from, to)
    expect(report.bytes).toBeGreaterThan(6 * 2 ** 20)
    expect(Buffer.concat(to.carried).equals(Buffer.concat(from.carried))).toBe(true)
    await close()
  }, 60_000)

  it.each(['strict', 'exact'] as const)(
    'brings an mtty of profile %s, with what it holds',
    async (profile) => {
      const [from, to] = [createMtty({ profile }), createMtty({ profile })]
      from.regions.write(0, 7, Uint8Array.of(0x5a))
      const { report, close } = await moved(from, to)
      const scratch = new Uint8Array(1)
      to.regions.read(0, 7, scratch)
      expect([report.owner, scratch[0]]).toEqual(['destination', 0x5a])
      await close()
    },
  )

  it('brings devices without any bytes', async () => {
    const bulk = await moved(createBulk({ memoryBytes: 0 }), createBulk({ memoryBytes: 0 }))
    const none = { initialBytes: 0, reinits: 0, restBytes: 0 }
    const opaque = await moved(new ReinitDriver(none), new ReinitDriver(none))
    for (const { report, destination, close } of [bulk, opaque]) {
      expect(report.owner).toBe('destination')
      expect(await destination.state()).toBe(DeviceState.RUNNING)
      await close()
    }
  })

  it.each([createMtty, (): Driver => createBulk({ memoryBytes: 8192, seed: 2 })])(
    'leaves a stopped device stopped, on both sides',
    async (create) => {
      const { report, source, destination, close } = await moved(create(), create(), undefined, true)
      expect(report.owner).toBe('destination')
      expect(report.downtimeMs).toBeUndefined()
      expect([await source.state(), await destination.state()]).toEqual([DeviceState.STOP, DeviceState.STOP])
      await close()
    },
  )
})
