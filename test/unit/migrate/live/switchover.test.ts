import { afterEach, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { createBulk } from '../../../../src/devices/index.ts'
import { migrate } from '../../../../src/migrate/live/migrate.ts'
import { receive } from '../../../../src/migrate/receive/receive.ts'
import { type ByteDuplex, memoryPair } from '../../../../src/transport/index.ts'
import { DeviceState } from '../../../../src/uapi/state.ts'

const MEMORY_BYTES = 2 ** 21
const opened: VfioDevice[] = []
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

async function openPair(): Promise<[VfioDevice, VfioDevice]> {
  const source = await VfioDevice.open(
    createBulk({ memoryBytes: MEMORY_BYTES, seed: 1, workload: { pagesPerSecond: 1000 } }),
  )
  const destination = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES }))
  opened.push(source, destination)
  return [source, destination]
}

/** A connection whose answers take `delayMs()` longer. */
function delayed(duplex: ByteDuplex, delayMs: () => number): ByteDuplex {
  return {
    read: async (dst) => {
      const byteLength = await duplex.read(dst)
      if (delayMs() > 0) await new Promise((resolve) => setTimeout(resolve, delayMs()))
      return byteLength
    },
    write: (chunks) => duplex.write(chunks),
    close: () => duplex.close(),
    abort: (reason) => duplex.abort(reason),
    cancel: (reason) => duplex.cancel(reason),
  }
}

describe('the switchover', () => {
  it('does not come on a link that became slow after set-up, as if that were still quick', async () => {
    const [source, destination] = await openPair()
    const [here, there] = memoryPair()
    let delayMs = 0
    const receiving = receive(destination, there).catch((error: { code: string }) => error.code)
    const migrating = migrate(
      source,
      delayed(here, () => delayMs),
      {
        downtimeLimitMs: 50,
        maxIterations: 3,
        onNonConverging: 'abort',
        onEvent: (event) => {
          if (event.type === 'phase' && event.phase === 'precopy') delayMs = 60
        },
      },
    )
    await expect(migrating).rejects.toMatchObject({ code: 'ETIMEDOUT', report: { owner: 'source' } })
    expect(await source.state()).toBe(DeviceState.RUNNING)
    expect(await receiving).toBe('ECANCELED')
  })

  it('does not come early after quick passes over next to nothing: one under 20 ms counts for none', async () => {
    const [source, destination] = await openPair()
    // Less than any switchover costs: it never converges.
    const report = await migrate(source, destination, { downtimeLimitMs: 0.01, maxIterations: 4 })
    expect(report).toMatchObject({ owner: 'destination', switchover: 'max-iterations' })
    const { iterations } = report
    expect(iterations.length).toBeGreaterThanOrEqual(4)
    for (const { elapsedMs } of iterations.slice(1, 4)) expect(elapsedMs).toBeGreaterThanOrEqual(20)
  })

  it('does not wait for a ticket that takes long to forget', async () => {
    const [source, destination] = await openPair()
    const [here, there] = memoryPair()
    let forget: (() => void) | undefined
    const forgotten = new Promise<void>((resolve) => {
      forget = resolve
    })
    let arrived = false
    const receiving = receive(destination, there, {
      onTicket: (ticket) => (ticket === undefined ? forgotten : undefined),
    }).then((report) => {
      arrived = true
      return report
    })
    const report = await migrate(source, here)
    expect(report.owner).toBe('destination')
    expect(await destination.state()).toBe(DeviceState.RUNNING)
    expect(arrived).toBe(false)
    forget?.()
    expect(await receiving).toMatchObject({ id: report.id, owner: 'destination' })
  })
})
