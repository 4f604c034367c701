/** What the fault matrix found, each by its symptom; and decisions that are left to the caller. */

import { describe, expect, it } from 'vitest'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createBulk } from '../../src/devices/index.ts'
import { VfioError } from '../../src/errors.ts'
import { encodeMessage } from '../../src/migrate/handover/frame.ts'
import { FrameReader } from '../../src/migrate/handover/frame-reader.ts'
import { MessageType } from '../../src/migrate/handover/message-type.ts'
import { encodeHello } from '../../src/migrate/handover/payloads.ts'
import { resolveHandover } from '../../src/migrate/handover/resolve-handover.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import type { MigratePhase } from '../../src/migrate/live/migrate-report.ts'
import { MigrationError } from '../../src/migrate/live/migration-error.ts'
import { Receiver } from '../../src/migrate/receive/receiver.ts'
import { FaultyDevice } from '../../src/testing/index.ts'
import { type ByteDuplex, memoryPair } from '../../src/transport/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { runCase } from '../support/migration-case.ts'

const QUICK = { replyTimeoutMs: 300, resendMs: 30 }

async function pairOfBulk(): Promise<[VfioDevice, VfioDevice]> {
  const workload = { pagesPerSecond: 1000 }
  return [
    await VfioDevice.open(createBulk({ memoryBytes: 65_536, seed: 1, workload })),
    await VfioDevice.open(createBulk({ memoryBytes: 65_536 })),
  ]
}

describe('the source', () => {
  it('goes on when COMMIT waited behind a message that nobody took: it was never begun', async () => {
    let ends = 0
    const stuck = (end: ByteDuplex): ByteDuplex => {
      let letGo: ((reason: unknown) => void) | undefined
      return {
        ...end,
        write: (chunks) => {
          // The second END is not taken; READY, the answer to the first, comes meanwhile.
          if (chunks[0]?.[6] !== MessageType.END || ++ends < 2) return end.write(chunks)
          return new Promise<void>((_resolve, reject) => (letGo = reject))
        },
        abort: async (reason) => {
          letGo?.(reason)
          await end.abort(reason)
        },
      }
    }
    const { outcome, link } = await runCase({
      name: 'COMMIT never begun',
      sourceEnd: stuck,
      fate: ({ name }) => (name === 'READY' ? { delayMs: 60 } : 'pass'),
      receive: { readyTimeoutMs: 400 },
    })
    expect(ends).toBe(2)
    expect(link.commitBegun).toBe(false)
    expect(outcome).toBe('source continues')
  })

  it.each(['precopy', 'stop', 'drain', 'load', 'commit', 'done'] as const)(
    'has one owner when its watcher throws in %s',
    async (phase: MigratePhase) => {
      const { outcome } = await runCase({
        name: `thrown in ${phase}`,
        migrate: {
          onEvent: (event) => {
            if (event.type === 'phase' && event.phase === phase) throw new Error('the watcher fell over')
          },
        },
      })
      // Too late to give up: nobody is to stay behind for a watcher.
      expect(outcome).toBe(phase === 'commit' || phase === 'done' ? 'migrated' : 'source continues')
    },
  )
})

describe('the destination', () => {
  it('takes data that END overtook on another connection', async () => {
    // The last piece of a stream stands still on a further connection, and END on the first does not.
    let held = 0
    const { outcome, link } = await runCase({
      name: 'END overtakes DATA',
      connections: 3,
      migrate: { replyTimeoutMs: 5000 },
      receive: { idleTimeoutMs: 5000 },
      fate: ({ name, connection }) => {
        if (name !== 'DATA' || connection === 0) return 'pass'
        held++
        return { delayMs: 100 }
      },
    })
    expect(held).toBeGreaterThan(0)
    const names = link.frames.map(({ name }) => name)
    expect(names.indexOf('END')).toBeLessThan(names.indexOf('READY'))
    expect(outcome).toBe('migrated')
  })

  it.each(['prepare', 'transfer', 'load', 'ready', 'start', 'running'] as const)(
    'is free again, or has the devices, when its watcher throws in %s',
    async (phase) => {
      const { outcome } = await runCase({
        name: `thrown in ${phase}`,
        receive: {
          onProgress: (progress) => {
            if (progress.phase === phase) throw new Error('the watcher fell over')
          },
        },
      })
      expect(outcome).toBe(['transfer', 'load'].includes(phase) ? 'source continues' : 'migrated')
    },
  )

  it('says nothing of a hand-over whose device it could not reset, until it could', async () => {
    const [source, destination] = await pairOfBulk()
    let mayReset = false
    const stubborn: MigrationDevice = new Proxy(destination, {
      get: (target, name) => {
        if (name === 'reset' && !mayReset)
          return () => Promise.reject(new VfioError('EIO', 'Cannot reset: not now'))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
    const receiver = new Receiver(stubborn, { readyTimeoutMs: 50, lingerMs: 10 })
    const [here, there] = memoryPair()
    const receiving = receiver.accept(there).catch((error: VfioError) => error.code)
    // READY comes through, and COMMIT does not.
    const lossy: ByteDuplex = {
      ...here,
      write: (chunks) => (chunks[0]?.[6] === MessageType.COMMIT ? undefined : here.write(chunks)),
    }
    const report = await migrate(source, lossy, QUICK)
    expect([report.owner, await receiving]).toEqual(['undecided', 'ETIMEDOUT'])
    const ask = async (): Promise<string> => {
      const [ours, theirs] = memoryPair()
      const serving = receiver.accept(theirs).catch(() => {})
      try {
        return (await resolveHandover(report.ticket!, ours, QUICK)).owner
      } finally {
        await serving
      }
    }
    await expect(ask()).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    expect(await source.state()).toBe(DeviceState.STOP_COPY)
    mayReset = true
    expect(await ask()).toBe('source')
    expect([await source.state(), await destination.state()]).toEqual([DeviceState.RUNNING, DeviceState.STOP])
    await source.close()
    await destination.close()
  })

  it('serves the next one after a hand-over that was stuck is decided', async () => {
    const workload = { pagesPerSecond: 1000 }
    const faulty = new FaultyDevice(createBulk({ memoryBytes: 65_536 }), { failAt: 'RUNNING_P2P->RUNNING' })
    const destination = await VfioDevice.open(faulty)
    const receiver = new Receiver(destination, { lingerMs: 10 })
    const attempt = async (): Promise<[VfioDevice, string, VfioError | undefined]> => {
      const source = await VfioDevice.open(createBulk({ memoryBytes: 65_536, seed: 1, workload }))
      const [here, there] = memoryPair()
      const receiving = receiver.accept(there)
      const [migrated, received] = await Promise.allSettled([migrate(source, here, QUICK), receiving])
      if (migrated.status === 'rejected') return [source, 'source', migrated.reason as MigrationError]
      const ticket = received.status === 'fulfilled' ? received.value?.ticket : undefined
      if (ticket !== undefined) await resolveHandover(ticket, { verdict: 'discard' })
      if (migrated.value.ticket !== undefined)
        await resolveHandover(migrated.value.ticket, { verdict: 'run' })
      return [source, migrated.value.owner, undefined]
    }
    const [first, undecided] = await attempt()
    expect(undecided).toBe('undecided')
    expect([await first.state(), await destination.state()]).toEqual([DeviceState.RUNNING, DeviceState.STOP])
    faulty.faults.failAt = undefined
    const [second, owner] = await attempt()
    expect(owner).toBe('destination')
    // What runs here now is not written over by a third.
    const [third, kept, refusal] = await attempt()
    expect(kept).toBe('source')
    expect(refusal?.code).toBe('EBUSY')
    expect(refusal?.message).toMatch(/the bulk here runs what was received before/)
    expect(await destination.state()).toBe(DeviceState.RUNNING)
    for (const device of [first, second, third, destination]) await device.close()
  })

  it('does not begin again what was here before: a repeated HELLO on a new connection is refused', async () => {
    const [source, destination] = await pairOfBulk()
    const receiver = new Receiver(destination, { lingerMs: 10 })
    const [here, there] = memoryPair()
    const [report] = await Promise.all([migrate(source, here, QUICK), receiver.accept(there)])
    expect(report.owner).toBe('destination')
    const [ours, theirs] = memoryPair()
    const serving = receiver.accept(theirs).catch((error: VfioError) => error.message)
    const payload = encodeHello({
      versions: [1, 1],
      streams: [{ identity: destination.identity }],
      memory: false,
      connections: 1,
      finalState: 'RUNNING',
    })
    await ours.write(encodeMessage(report.id, { type: MessageType.HELLO, payload }))
    expect((await new FrameReader(ours).next())?.type).toBe(MessageType.REFUSED)
    await ours.close()
    expect(await serving).toMatch(/a migration of this id was here before/)
    expect(await destination.state()).toBe(DeviceState.RUNNING)
    await source.close()
    await destination.close()
  })
})
