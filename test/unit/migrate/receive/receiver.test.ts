import { afterEach, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { type BulkDriver, createBulk, verifyBulkWorkload } from '../../../../src/devices/index.ts'
import { FrameWriter } from '../../../../src/migrate/handover/frame-writer.ts'
import { MessageType } from '../../../../src/migrate/handover/message-type.ts'
import { migrate } from '../../../../src/migrate/live/migrate.ts'
import { MigrationError } from '../../../../src/migrate/live/migration-error.ts'
import { Receiver } from '../../../../src/migrate/receive/receiver.ts'
import type { ReceiveReport } from '../../../../src/migrate/receive/receive-report.ts'
import { memoryPair } from '../../../../src/transport/index.ts'
import { DeviceState } from '../../../../src/uapi/state.ts'
import { failureOf } from '../../../support/pending.ts'

const MEMORY_BYTES = 2 ** 21
const opened: VfioDevice[] = []
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

interface Opened {
  readonly bulk: BulkDriver
  readonly device: VfioDevice
}

async function open(seed?: number): Promise<Opened> {
  const working = seed === undefined ? {} : { seed, workload: { pagesPerSecond: 4000, seed } }
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...working })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device }
}

/** A connection to the receiver: the source's end, and what serving the other came to. */
function connectTo(receiver: Receiver): {
  here: ReturnType<typeof memoryPair>[0]
  served: Promise<ReceiveReport | { code: string } | undefined>
} {
  const [here, there] = memoryPair()
  const served = receiver.accept(there).catch((error: { code: string }) => ({ code: error.code }))
  return { here, served }
}

async function expectContent({ bulk, device }: Opened, seed: number): Promise<void> {
  await device.setState(DeviceState.STOP)
  const { sequence } = bulk
  const verdict = await verifyBulkWorkload(bulk.memory, { seed, workload: { seed }, sequence })
  expect(verdict).toEqual({ matches: true })
}

describe('one Receiver', () => {
  it('takes one migration after the other into the same device, each over a connection of its own', async () => {
    const target = await open()
    const receiver = new Receiver(target.device)
    for (const seed of [1, 2, 3]) {
      const source = await open(seed)
      const { here, served } = connectTo(receiver)
      const report = await migrate(source.device, here)
      expect(report.owner).toBe('destination')
      expect(await served).toMatchObject({ id: report.id, owner: 'destination' })
      await expectContent(target, seed)
    }
  })

  it.each(['arrived', 'been canceled'])(
    'refuses a further connection of a migration that has %s at once',
    async (outcome) => {
      const target = await open()
      // Whoever waits for this waits longer than the test may take.
      const receiver = new Receiver(target.device, { helloTimeoutMs: 2 ** 30 })
      const source = await open(1)
      const { here, served } = connectTo(receiver)
      const canceled = new AbortController()
      const migrating = migrate(source.device, here, {
        signal: canceled.signal,
        onEvent: (event) => {
          if (outcome !== 'arrived' && event.type === 'phase' && event.phase === 'drain') canceled.abort()
        },
      })
      const { id } =
        outcome === 'arrived'
          ? await migrating
          : ((await failureOf(() => migrating)) as MigrationError).report
      await served
      const [late, there] = memoryPair()
      const attaching = failureOf(() => receiver.accept(there))
      await new FrameWriter(late).message(id, { type: MessageType.ATTACH, index: 1 })
      expect(await attaching).toMatchObject({
        code: 'EPROTO',
        message: 'Cannot receive: a connection came to a migration that is over, migrate anew',
      })
    },
  )

  it('refuses a second migration while one is under way, which goes on and is not the last', async () => {
    const target = await open()
    const receiver = new Receiver(target.device)
    const [first, second] = [await open(1), await open(2)]
    const connection = connectTo(receiver)
    let refusal: Promise<unknown> | undefined
    const report = await migrate(first.device, connection.here, {
      onEvent: (event) => {
        if (event.type !== 'phase' || event.phase !== 'precopy') return
        const late = connectTo(receiver)
        refusal = migrate(second.device, late.here).then(
          () => 'it was taken',
          async (error: unknown) => [error, await late.served],
        )
      },
      // Long enough for the other to come and go.
      bandwidthLimit: 20 * MEMORY_BYTES,
    })
    const [error, served] = (await refusal) as [MigrationError, unknown]
    expect(error).toBeInstanceOf(MigrationError)
    expect(error).toMatchObject({ code: 'EBUSY', report: { owner: 'source' } })
    expect(error.message).toContain('another migration is under way')
    expect(served).toMatchObject({ code: 'EBUSY' })
    expect(await second.device.state()).toBe(DeviceState.RUNNING)
    expect(report.owner).toBe('destination')
    expect(await connection.served).toMatchObject({ owner: 'destination' })
    await expectContent(target, 1)

    const again = connectTo(receiver)
    expect(await migrate(second.device, again.here)).toMatchObject({ owner: 'destination' })
    await again.served
    await expectContent(target, 2)
  })

  it('takes a migration after one that was canceled half way', async () => {
    const target = await open()
    const receiver = new Receiver(target.device)
    const source = await open(1)
    const canceled = new AbortController()
    const broken = connectTo(receiver)
    const failed = migrate(source.device, broken.here, {
      signal: canceled.signal,
      onEvent: (event) => {
        if (event.type === 'phase' && event.phase === 'drain') canceled.abort()
      },
    })
    await expect(failed).rejects.toMatchObject({ code: 'ECANCELED', report: { owner: 'source' } })
    expect(await broken.served).toMatchObject({ code: 'ECANCELED' })
    expect(await target.device.state()).toBe(DeviceState.STOP)
    const again = connectTo(receiver)
    expect(await migrate(source.device, again.here)).toMatchObject({ owner: 'destination' })
    await again.served
    await expectContent(target, 1)
  })
})
