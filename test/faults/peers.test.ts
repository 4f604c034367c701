/** Devices that reach each other's memory (P2P), migrated together: none is stopped while one could start. */

import { afterAll, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import {
  type BulkDriver,
  type BulkP2pEvent,
  createBulk,
  createMtty,
  linkBulkPeers,
  verifyBulkWorkload,
} from '../../src/devices/index.ts'
import { VfioError } from '../../src/errors.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import type { MigrateOptions } from '../../src/migrate/live/migrate-options.ts'
import type { MigratePhase } from '../../src/migrate/live/migrate-report.ts'
import { MigrationError } from '../../src/migrate/live/migration-error.ts'
import { type ArcName, FaultyDevice, type Faults } from '../../src/testing/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { DeviceRecorder } from '../support/device-recorder.ts'
import { IS_LONG, sampled, Tally } from '../support/fault-matrix.ts'

const MEMORY_BYTES = 256 * 1024
const tally = new Tally('peers')
afterAll(() => tally.print())

const ARCS: readonly ArcName[] = [
  'RUNNING->PRE_COPY',
  'PRE_COPY->PRE_COPY_P2P',
  'PRE_COPY_P2P->STOP_COPY',
  'STOP_COPY->STOP',
  'STOP->RUNNING_P2P',
  'RUNNING_P2P->RUNNING',
  'PRE_COPY->RUNNING',
  'PRE_COPY_P2P->RUNNING_P2P',
]

interface Side {
  readonly bulks: readonly BulkDriver[]
  readonly devices: readonly VfioDevice[]
  readonly events: BulkP2pEvent[]
}

function workloadOf(index: number): { pagesPerSecond: number; p2pPagesPerSecond: number; seed: number } {
  return { pagesPerSecond: 1000, p2pPagesPerSecond: 4000, seed: index + 1 }
}

async function openSide(
  side: 'source' | 'destination',
  count: number,
  recorder: DeviceRecorder,
  faults: readonly (Faults | undefined)[] = [],
): Promise<Side> {
  const events: BulkP2pEvent[] = []
  const bulks = Array.from({ length: count }, (_, index) =>
    createBulk({
      memoryBytes: MEMORY_BYTES,
      ...(side === 'source'
        ? { seed: 100 + index, workload: workloadOf(index) }
        : { reservedBytes: MEMORY_BYTES / 16 }),
    }),
  )
  const devices: VfioDevice[] = []
  for (const [index, bulk] of bulks.entries())
    devices.push(await VfioDevice.open(recorder.wrap(side, new FaultyDevice(bulk, faults[index]))))
  linkBulkPeers(bulks, { onP2p: (event) => events.push(event) })
  return { bulks, devices, events }
}

/** All of a side to STOP, by its barriers, and what peers wrote into each other is whole. */
async function verifySide({ bulks, devices }: Side): Promise<void> {
  for (const device of devices) await device.setState(DeviceState.RUNNING_P2P)
  for (const device of devices) await device.setState(DeviceState.STOP)
  const writers = bulks.map((bulk, index) => ({
    seed: workloadOf(index).seed,
    p2pSequence: bulk.p2pSequence,
  }))
  for (const [index, bulk] of bulks.entries()) {
    const verdict = await verifyBulkWorkload(bulk.memory, {
      seed: 100 + index,
      workload: workloadOf(index),
      sequence: bulk.sequence,
      reservedBytes: bulk.reservedBytes,
      p2p: { index, devices: writers },
    })
    expect(verdict, `device ${index}`).toEqual({ matches: true })
  }
}

interface PeerCase {
  readonly kind: string
  readonly name: string
  readonly count: number
  readonly sourceFaults?: readonly (Faults | undefined)[]
  readonly destinationFaults?: readonly (Faults | undefined)[]
  readonly cancelIn?: MigratePhase
}

async function runPeers({
  name,
  count,
  sourceFaults,
  destinationFaults,
  cancelIn,
}: PeerCase): Promise<string> {
  const recorder = new DeviceRecorder()
  const source = await openSide('source', count, recorder, sourceFaults)
  const destination = await openSide('destination', count, recorder, destinationFaults)
  const canceler = new AbortController()
  const options: MigrateOptions = {
    signal: canceler.signal,
    downtimeLimitMs: 200,
    replyTimeoutMs: 5000,
    onEvent: (event) => {
      if (event.type !== 'phase') return
      if (event.phase === 'commit') recorder.mayStart = true
      if (event.phase === cancelIn) canceler.abort()
    },
  }
  // Some P2P DMA before anything else.
  while (!source.events.some(({ kind }) => kind === 'accepted'))
    await new Promise((resolve) => setTimeout(resolve, 1))
  let outcome: string
  try {
    const report = await migrate(source.devices, destination.devices, options)
    outcome = report.owner
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error
    outcome = error.report.owner
  }
  recorder.isChecking = false
  // What reached a stopped device was refused: a peer was not quiet.
  const refused = [...source.events, ...destination.events].filter(({ kind }) => kind === 'refused')
  expect(refused, name).toEqual([])
  expect(recorder.violations, name).toEqual([])
  const isWhole = recorder.of('source').every(({ holds }) => holds)
  expect(
    source.events.some(({ kind }) => kind === 'accepted'),
    'peers did reach each other',
  ).toBe(true)
  if (outcome === 'undecided')
    for (const side of ['source', 'destination'] as const)
      expect(
        recorder.of(side).some(({ runs }) => runs),
        'nobody runs before it is decided',
      ).toBe(false)
  if (outcome === 'destination') await verifySide(destination)
  else if (outcome === 'source' && isWhole) await verifySide(source)
  else if (outcome === 'source') outcome = 'source, a device was reset'
  for (const device of [...source.devices, ...destination.devices]) await device.close()
  return outcome
}

describe('devices that are peers', () => {
  for (const count of [2, 8])
    it(`${count} of them stop and start together, and nothing of their P2P DMA is lost`, async () => {
      for (let round = 0; round < (IS_LONG ? 10 : 2); round++) {
        const outcome = await runPeers({ kind: '', name: `${count} devices`, count })
        tally.add(`${count} devices, migrated`, outcome)
        expect(outcome).toBe('destination')
      }
    }, 60_000)

  it('come back together when it is canceled in any phase', async () => {
    for (const count of [2, 8])
      for (const cancelIn of ['precopy', 'stop', 'drain', 'load', 'commit'] as const) {
        const outcome = await runPeers({ kind: '', name: `canceled in ${cancelIn}`, count, cancelIn })
        tally.add(`${count} devices, canceled`, outcome)
        expect(outcome).toBe(cancelIn === 'commit' ? 'destination' : 'source')
      }
  }, 60_000)

  it('come back together when one of them fails at any arc', async () => {
    const cases: PeerCase[] = []
    const late: Faults = { failAt: 'RESUMING->STOP' }
    for (const count of [2, 8])
      for (const index of [0, count - 1])
        for (const failAt of ARCS)
          for (const [way, faults] of Object.entries({
            once: { times: 1 },
            always: {},
            error: { toError: true },
          })) {
            const list = Array.from({ length: count }, (_, at) =>
              at === index ? { failAt, ...faults } : undefined,
            )
            const name = `${count} devices, ${index}: ${failAt} ${way}`
            cases.push({ kind: `${count} devices, one fails`, name, count, sourceFaults: list })
            cases.push({ kind: `${count} devices, one fails there`, name, count, destinationFaults: list })
            // The source's arcs back are walked when the destination fails.
            cases.push({
              kind: `${count} devices, one fails on the way back`,
              name: `${name}, on the way back`,
              count,
              sourceFaults: list,
              destinationFaults: [late],
            })
          }
    for (const each of sampled(cases, 24)) tally.add(each.kind, await runPeers(each))
  }, 600_000)

  it('are refused without P2P states, with the reason, and nothing is touched', async () => {
    const one = createBulk({ memoryBytes: 4096 })
    const flags = 5
    const without = new Proxy(createMtty(), {
      get: (target, name) => {
        if (name === 'flags') return flags
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
    const recorder = new DeviceRecorder()
    const devices = [
      await VfioDevice.open(recorder.wrap('source', one)),
      await VfioDevice.open(recorder.wrap('source', without)),
    ]
    const there = [
      await VfioDevice.open(createBulk({ memoryBytes: 4096 })),
      await VfioDevice.open(createMtty()),
    ]
    const failure = await migrate(devices, there).catch((error: unknown) => error)
    expect(VfioError.is(failure, 'EOPNOTSUPP')).toBe(true)
    expect(String(failure)).toMatch(/Cannot migrate 2 devices: mtty \(device 1\) has no P2P states/)
    expect(recorder.log).toEqual([])
    for (const device of [...devices, ...there]) await device.close()
  })
})
