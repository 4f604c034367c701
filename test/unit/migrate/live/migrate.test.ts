import { afterEach, describe, expect, it } from 'vitest'
import type { MigrationDevice } from '../../../../src/device/migration-device.ts'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { type BulkDriver, createBulk, createMtty } from '../../../../src/devices/index.ts'
import { VfioError } from '../../../../src/errors.ts'
import { resolveHandover } from '../../../../src/migrate/handover/resolve-handover.ts'
import { migrate } from '../../../../src/migrate/live/migrate.ts'
import type { MigrateEvent, MigrateProgress } from '../../../../src/migrate/live/migrate-report.ts'
import { MigrationError } from '../../../../src/migrate/live/migration-error.ts'
import { receive } from '../../../../src/migrate/receive/receive.ts'
import { Receiver } from '../../../../src/migrate/receive/receiver.ts'
import { memoryPair } from '../../../../src/transport/index.ts'
import { DeviceState } from '../../../../src/uapi/state.ts'
import { ScriptedDriver } from '../../../support/scripted-driver.ts'

const { STOP, RUNNING } = DeviceState
const MIB = 2 ** 20
const opened: VfioDevice[] = []
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

async function open(driver: Parameters<typeof VfioDevice.open>[0]): Promise<VfioDevice> {
  const device = await VfioDevice.open(driver)
  opened.push(device)
  return device
}

function worker(pagesPerSecond = 5000, memoryBytes = 4 * MIB): BulkDriver {
  return createBulk({ memoryBytes, seed: 1, workload: { pagesPerSecond } })
}

function target(memoryBytes = 4 * MIB): BulkDriver {
  return createBulk({ memoryBytes })
}

function contentOf({ memory }: BulkDriver): Buffer {
  const bytes = Buffer.alloc(memory.byteLength)
  memory.read(0, bytes)
  return bytes
}

/** A guest's memory of 1 MiB at 4 GiB, behind bulk's DMA. */
function guest(): {
  bytes: Uint8Array
  ranges: { iova: bigint; length: bigint }[]
  at: (iova: bigint) => number
} {
  const base = 2n ** 32n
  return {
    bytes: new Uint8Array(MIB),
    ranges: [{ iova: base, length: BigInt(MIB) }],
    at: (iova) => Number(iova - base),
  }
}

async function failure(work: Promise<unknown>): Promise<MigrationError> {
  const error: unknown = await work.then(
    () => expect.fail('it did not fail'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(MigrationError)
  return error as MigrationError
}

describe('migrate', () => {
  it('moves a working device: the source stops, the destination goes on from there', async () => {
    const [from, to] = [worker(), target()]
    const [source, destination] = [await open(from), await open(to)]
    const report = await migrate(source, destination)
    expect(report).toMatchObject({ owner: 'destination', switchover: 'converged', connections: 1 })
    expect([await source.state(), await destination.state()]).toEqual([STOP, RUNNING])
    const handed = from.sequence
    expect(to.sequence).toBeGreaterThanOrEqual(handed)
    await destination.setState(STOP)
    expect(to.sequence).toBeGreaterThan(0n)
    expect(report.devices).toEqual([{ type: 'bulk', bytes: report.bytes }])
    expect(report.downtimeMs).toBeGreaterThan(0)
    expect(report.iterations.length).toBeGreaterThan(1)
  })

  it('brings every byte of an idle device', async () => {
    const [from, to] = [createBulk({ memoryBytes: MIB + 17, seed: 3 }), target(MIB + 17)]
    await migrate(await open(from), await open(to))
    expect(contentOf(to).equals(contentOf(from))).toBe(true)
  })

  it('tells how many bytes of zero pages it saved', async () => {
    const from = createBulk({ memoryBytes: MIB })
    const source = await open(from)
    from.memory.write(5 * 4096, Uint8Array.of(1))
    const report = await migrate(source, await open(target(MIB)))
    expect(report.zeroBytesSaved).toBe(MIB - 4096)
    expect(report.bytes).toBeLessThan(10_000)
  })

  it.each(['strict', 'exact'] as const)(
    'moves an mtty of profile %s, whose stream is its own',
    async (profile) => {
      const [source, destination] = [await open(createMtty({ profile })), await open(createMtty({ profile }))]
      source.regions?.write(0, 7, Uint8Array.of(0xa5))
      expect(await migrate(source, destination)).toMatchObject({ owner: 'destination' })
      const scratch = new Uint8Array(1)
      destination.regions?.read(0, 7, scratch)
      expect(scratch[0]).toBe(0xa5)
    },
  )

  it('stops and copies where there is no PRE_COPY, or none is wanted', async () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, at) => at)
    const [from, to] = [new ScriptedDriver({ flags: 3, bytes }), new ScriptedDriver({ flags: 3 })]
    const report = await migrate(await open(from), await open(to))
    expect(report).toMatchObject({ owner: 'destination', switchover: 'no-precopy', iterations: [] })
    expect(to.resume?.taken).toEqual([...bytes])
    const [device, other] = [await open(worker()), await open(target())]
    expect(await migrate(device, other, { precopy: false })).toMatchObject({ switchover: 'no-precopy' })
  })

  it('leaves a stopped device stopped', async () => {
    const [source, destination] = [await open(worker()), await open(target())]
    await source.setState(STOP)
    const report = await migrate(source, destination)
    expect(report.owner).toBe('destination')
    expect(report).not.toHaveProperty('downtimeMs')
    expect([await source.state(), await destination.state()]).toEqual([STOP, STOP])
  })

  it('tells phases, iterations and the switchover as they happen, and how far it is', async () => {
    const events: MigrateEvent[] = []
    const seen: MigrateProgress[] = []
    await migrate(await open(worker()), await open(target()), {
      onEvent: (event) => events.push(event),
      onProgress: (progress) => seen.push(progress),
    })
    const phases = events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []))
    expect(phases).toEqual(['precopy', 'stop', 'drain', 'load', 'commit', 'done'])
    expect(events.some(({ type }) => type === 'iteration')).toBe(true)
    expect(events.find(({ type }) => type === 'switchover')).toMatchObject({ reason: 'converged' })
    expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['setup', ...phases]))
    const last = seen.at(-1)
    expect(last?.bytes).toBeGreaterThan(4 * MIB)
  })

  it('uses several connections at once, and the order is kept', async () => {
    const pairs = Array.from({ length: 3 }, () => memoryPair())
    const [from, to] = [createBulk({ memoryBytes: 8 * MIB, seed: 5 }), target(8 * MIB)]
    const [report, received] = await Promise.all([
      migrate(
        await open(from),
        pairs.map(([here]) => here),
      ),
      receive(
        await open(to),
        pairs.map(([, there]) => there),
      ),
    ])
    expect(report).toMatchObject({ owner: 'destination', connections: 3 })
    expect(received).toMatchObject({ id: report.id, bytes: report.bytes, owner: 'destination' })
    expect(contentOf(to).equals(contentOf(from))).toBe(true)
  })

  it('goes over a pair of WHATWG streams', async () => {
    const [there, back] = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()]
    const [from, to] = [createBulk({ memoryBytes: MIB, seed: 5 }), target(MIB)]
    const [report] = await Promise.all([
      migrate(await open(from), { readable: back.readable, writable: there.writable }),
      receive(await open(to), { readable: there.readable, writable: back.writable }),
    ])
    expect(report.owner).toBe('destination')
    expect(contentOf(to).equals(contentOf(from))).toBe(true)
  })

  it('keeps to a bandwidth', async () => {
    const from = createBulk({ memoryBytes: 4 * MIB, seed: 1 })
    const report = await migrate(await open(from), await open(target()), { bandwidthLimit: 16 * MIB })
    // The last write need not be waited for.
    expect(report.phases.precopyMs).toBeGreaterThan(150)
  })
})

describe('migrate with guest memory', () => {
  it('brings what devices wrote to it meanwhile, and stops logging', async () => {
    const [here, there] = [guest(), guest()]
    here.bytes.fill(0x11, 0, 5 * 4096)
    const from = createBulk({
      memoryBytes: 4 * MIB,
      seed: 1,
      workload: { pagesPerSecond: 5000 },
      hostMemory: {
        read: (iova, dst) => dst.set(here.bytes.subarray(here.at(iova), here.at(iova) + dst.length)),
        write: (iova, src) => here.bytes.set(src, here.at(iova)),
      },
    })
    const source = await open(from)
    let passes = 0
    const report = await migrate(source, await open(target()), {
      memory: {
        pageSize: 4096,
        ranges: here.ranges,
        read: (iova, dst) => dst.set(here.bytes.subarray(here.at(iova), here.at(iova) + dst.length)),
      },
      receive: {
        memory: {
          pageSize: 4096,
          ranges: there.ranges,
          write: (iova, src) => there.bytes.set(src, there.at(iova)),
        },
      },
      onEvent: (event) => {
        if (event.type !== 'iteration' || passes++ > 0) return
        // A DMA write behind the first pass: only the device's log knows of it.
        const iova = here.ranges[0]!.iova + 100n * 4096n
        here.bytes.fill(0x22, here.at(iova), here.at(iova) + 64)
        from.dirtyLog.mark(iova, 64)
      },
    })
    expect(report.devices.map(({ type }) => type)).toEqual(['bulk', 'guest-memory'])
    expect(Buffer.from(there.bytes).equals(Buffer.from(here.bytes))).toBe(true)
    expect(there.bytes[100 * 4096]).toBe(0x22)
    await expect(
      source.dmaLoggingReport({ iova: 2n ** 32n, length: 4096n, pageSize: 4096 }, new Uint8Array(8)),
    ).rejects.toMatchObject({ code: 'EINVAL' })
  })

  it('at one end only is refused', async () => {
    const memory = { pageSize: 4096, ranges: guest().ranges, read: () => {} }
    const error = await failure(migrate(await open(target(MIB)), await open(target(MIB)), { memory }))
    expect(error.message).toContain('pass memory at both ends')
  })
})

describe('migrate refuses', () => {
  it('another device, before the source leaves RUNNING', async () => {
    const driver = new ScriptedDriver({ flags: 7 })
    const source = await open(driver)
    const error = await failure(migrate(source, await open(createMtty())))
    expect(error.code).toBe('EINVAL')
    expect(error.message).toContain('the source\'s device is a "scripted" and the one here a "mtty"')
    expect(error.report.owner).toBe('source')
    expect(driver.calls).toEqual(['open'])
  })

  it('a device of another size, with what differs', async () => {
    const [source, destination] = [await open(target(MIB)), await open(target(2 * MIB))]
    const error = await failure(migrate(source, destination))
    expect(error.message).toContain('memory.0.bytes is 2097152 here and 1048576 at the source')
    expect([await source.state(), await destination.state()]).toEqual([RUNNING, RUNNING])
  })

  it('several devices without P2P states on every one', async () => {
    const sources = [await open(new ScriptedDriver()), await open(new ScriptedDriver({ flags: 5 }))]
    const error: unknown = await migrate(sources, sources).catch((reason: unknown) => reason)
    expect(VfioError.is(error, 'EOPNOTSUPP')).toBe(true)
    expect((error as Error).message).toContain('scripted (device 1) has no P2P states')
  })

  it.each([
    [{ bandwidthLimit: 0 }],
    [{ replyTimeoutMs: -1 }],
    [{ downtimeLimitMs: Number.NaN }],
    [{ onDowntimeExceeded: 'never' as 'abort' }],
    [{ maxIterations: 0 }],
  ])('options such as %o', async (options) => {
    const [source, destination] = [await open(target(MIB)), await open(target(MIB))]
    await expect(migrate(source, destination, options)).rejects.toMatchObject({ code: 'EINVAL' })
    expect(await source.state()).toBe(RUNNING)
  })

  it('no device, a device twice, no destination', async () => {
    const device = await open(target(MIB))
    await expect(migrate([], device)).rejects.toMatchObject({ code: 'EINVAL' })
    await expect(migrate([device, device], device)).rejects.toMatchObject({ code: 'EINVAL' })
    await expect(migrate(device, [] as MigrationDevice[])).rejects.toMatchObject({ code: 'EINVAL' })
  })
})

describe('migrate gives up', () => {
  it('when it is canceled: the source runs on, the destination is stopped and empty', async () => {
    const [from, to] = [worker(20_000, 32 * MIB), target(32 * MIB)]
    const [source, destination] = [await open(from), await open(to)]
    const controller = new AbortController()
    const error = await failure(
      migrate(source, destination, {
        signal: controller.signal,
        onProgress: ({ bytes }) => bytes > 4 * MIB && controller.abort(new Error('enough')),
      }),
    )
    expect(error).toMatchObject({ code: 'ECANCELED', report: { owner: 'source' } })
    expect((error.cause as Error).message).toBe('enough')
    expect([await source.state(), await destination.state()]).toEqual([RUNNING, STOP])
    expect(contentOf(to).every((byte) => byte === 0)).toBe(true)
    expect(from.sequence).toBeGreaterThan(0n)
  })

  it('not any more when COMMIT has begun: too late, says the report', async () => {
    const controller = new AbortController()
    const report = await migrate(await open(worker()), await open(target()), {
      signal: controller.signal,
      onEvent: (event) => event.type === 'phase' && event.phase === 'commit' && controller.abort(),
    })
    expect(report).toMatchObject({ owner: 'destination', canceledTooLate: true })
  })

  it('when it does not converge and the caller wants no longer downtime', async () => {
    const source = await open(worker(50_000, 8 * MIB))
    const error = await failure(
      migrate(source, await open(target(8 * MIB)), {
        downtimeLimitMs: 1,
        bandwidthLimit: 50 * MIB,
        maxIterations: 3,
        onNonConverging: 'abort',
      }),
    )
    expect(error.code).toBe('ETIMEDOUT')
    expect(error.message).toMatch(/does not converge \(max-iterations\).*bulk is in RUNNING again/)
    expect(await source.state()).toBe(RUNNING)
  })

  it('when the devices have been stopped for too long', async () => {
    const from = new ScriptedDriver({ flags: 1 })
    const source = await open(from)
    from.onArc = (arc) =>
      arc === 'STOP>STOP_COPY' ? new Promise((resolve) => setTimeout(resolve, 30)) : undefined
    const error = await failure(
      migrate(source, await open(new ScriptedDriver({ flags: 1 })), {
        downtimeLimitMs: 10,
        onDowntimeExceeded: 'abort',
      }),
    )
    expect(error.code).toBe('ETIMEDOUT')
    expect(await source.state()).toBe(RUNNING)
  })

  it('when the destination is silent', async () => {
    const [here] = memoryPair()
    const source = await open(target(MIB))
    const error = await failure(migrate(source, here, { replyTimeoutMs: 50 }))
    expect(error.message).toContain('the destination did not answer HELLO within 50 ms')
    expect(await source.state()).toBe(RUNNING)
  })
})

describe('migrate and auto-converge', () => {
  it('slows a device down that dirties too fast, and lets it go again', async () => {
    const from = worker(100_000, 8 * MIB)
    const asked: number[] = []
    const source = await open(from)
    const watched = new Proxy(source, {
      get: (device, name) => {
        const value: unknown = Reflect.get(device, name, device)
        if (name !== 'throttle') return typeof value === 'function' ? value.bind(device) : value
        return (percent: number) => {
          asked.push(percent)
          return device.throttle(percent)
        }
      },
    })
    const report = await migrate(watched, await open(target(8 * MIB)), {
      autoConverge: true,
      downtimeLimitMs: 5,
      bandwidthLimit: 100 * MIB,
    })
    expect(report.owner).toBe('destination')
    expect(asked.slice(0, 2)).toEqual([20, 30])
    expect(asked.at(-1)).toBe(0)
    expect(report.throttlePercent).toBe(Math.max(...asked))
  })
})

describe('a hand-over that is cut after COMMIT', () => {
  it('is undecided, nobody runs it twice, and is settled when the ends meet again', async () => {
    const [from, to] = [worker(), target()]
    const [source, destination] = [await open(from), await open(to)]
    const [here, there] = memoryPair()
    const receiver = new Receiver(destination, { readyTimeoutMs: 60_000 })
    const receiving = receiver.accept(there)
    receiving.catch(() => {})
    const report = await migrate(source, here, {
      // The connection breaks with the first byte of COMMIT.
      onEvent: (event) => event.type === 'phase' && event.phase === 'commit' && here.abort(new Error('cut')),
    })
    expect(report).toMatchObject({ owner: 'undecided', ticket: { role: 'source', phase: 'committed' } })
    expect([await source.state(), await destination.state()]).toEqual([DeviceState.STOP_COPY, STOP])
    const ticket = JSON.parse(JSON.stringify(report.ticket))
    const [again, back] = memoryPair()
    const serving = receiver.accept(back)
    expect(await resolveHandover(ticket, again)).toEqual({ id: report.id, owner: 'destination' })
    await serving
    expect((await receiving)?.owner).toBe('destination')
    expect([await source.state(), await destination.state()]).toEqual([STOP, RUNNING])
  })

  it('lets the source run when the destination has discarded', async () => {
    const [from, to] = [worker(), target()]
    const [source, destination] = [await open(from), await open(to)]
    const [here, there] = memoryPair()
    const receiver = new Receiver(destination, { readyTimeoutMs: 30 })
    const receiving = receiver.accept(there)
    const report = await migrate(source, here, {
      onEvent: (event) => event.type === 'phase' && event.phase === 'commit' && here.abort(new Error('cut')),
    })
    await expect(receiving).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    expect(await destination.state()).toBe(STOP)
    const [again, back] = memoryPair()
    void receiver.accept(back).catch(() => {})
    expect(await resolveHandover(report.ticket!, again)).toEqual({ id: report.id, owner: 'source' })
    expect(await source.state()).toBe(RUNNING)
  })

  it('is settled by the caller, who has made sure', async () => {
    const [from, to] = [worker(), target()]
    const [source, destination] = [await open(from), await open(to)]
    const [here, there] = memoryPair()
    const receiving = new Receiver(destination).accept(there)
    receiving.catch(() => {})
    const { ticket } = await migrate(source, here, {
      onEvent: (event) => event.type === 'phase' && event.phase === 'commit' && here.abort(new Error('cut')),
    })
    const other = { ...ticket!, role: 'destination' as const }
    expect(await resolveHandover(other, { verdict: 'discard' })).toMatchObject({ owner: 'none' })
    await expect(receiving).rejects.toMatchObject({ code: 'ECANCELED' })
    expect(await resolveHandover(ticket!, { verdict: 'run' })).toMatchObject({ owner: 'source' })
    expect([await source.state(), await destination.state()]).toEqual([RUNNING, STOP])
    await expect(resolveHandover(ticket!, { verdict: 'run' })).rejects.toMatchObject({ code: 'EINVAL' })
  })

  it('stays undecided where nobody knows it', async () => {
    const ticket = {
      version: 1,
      id: 'f'.repeat(32),
      role: 'source',
      phase: 'committed',
      devices: [],
    } as const
    const [here, there] = memoryPair()
    const serving = new Receiver(await open(target(MIB))).accept(there)
    expect(await resolveHandover(ticket, here)).toMatchObject({ owner: 'undecided' })
    await serving
  })
})
