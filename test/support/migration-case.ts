/**
 * One migration with something in its way, and what must hold after it.
 *
 * @module
 */

import { expect } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import {
  type BulkDriver,
  type BulkWorkload,
  createBulk,
  createMtty,
  type Mtty,
  verifyBulkWorkload,
} from '../../src/devices/index.ts'
import { createEngine, type Engine } from '../../src/engine/index.ts'
import { VfioError } from '../../src/errors.ts'
import { resolveHandover } from '../../src/migrate/handover/resolve-handover.ts'
import type { HandoverTicket } from '../../src/migrate/handover/ticket.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import type { MigrateOptions } from '../../src/migrate/live/migrate-options.ts'
import type { MigrateReport } from '../../src/migrate/live/migrate-report.ts'
import { MigrationError } from '../../src/migrate/live/migration-error.ts'
import type { ReceiveOptions } from '../../src/migrate/receive/receive-options.ts'
import type { ReceiveReport } from '../../src/migrate/receive/receive-report.ts'
import { Receiver } from '../../src/migrate/receive/receiver.ts'
import { FaultyDevice, type Faults } from '../../src/testing/index.ts'
import { type ByteDuplex, memoryPair } from '../../src/transport/index.ts'
import { DeviceState, deviceStateName } from '../../src/uapi/state.ts'
import { DeviceRecorder, type RecordedDriver } from './device-recorder.ts'
import { type Fate, faultyLink, type FaultyLink, type PassingFrame } from './faulty-link.ts'

/** Seeds of the power-on content of both sides. */
const SOURCE_SEED = 7
const DESTINATION_SEED = 9
const SCRATCH = { region: 0, offset: 7 }
/** No case may take longer; far above every timeout in it. */
const HARD_LIMIT_MS = 20_000
const { RUNNING, STOP } = DeviceState

/** What a case is made of. */
export interface MigrationCase {
  readonly name: string
  /** Default one bulk. */
  readonly devices?: readonly ('bulk' | 'mtty')[]
  readonly memoryBytes?: number
  readonly workload?: BulkWorkload
  readonly sourceFaults?: readonly (Faults | undefined)[]
  readonly destinationFaults?: readonly (Faults | undefined)[]
  readonly connections?: number
  readonly fate?: (frame: PassingFrame) => Fate
  /** Wraps an end of a connection. */
  readonly sourceEnd?: (end: ByteDuplex, connection: number) => ByteDuplex
  readonly destinationEnd?: (end: ByteDuplex, connection: number) => ByteDuplex
  readonly migrate?: MigrateOptions
  readonly receive?: ReceiveOptions
  /** How an undecided hand-over is settled. Default: the source asks the receiver. */
  readonly settleBy?: 'ask' | 'both-tickets' | 'timeout'
  /** Called with both sides' devices before the migration starts. */
  readonly before?: (sources: readonly TestDevice[], destinations: readonly TestDevice[]) => void
}

/** How a case ended. */
export interface CaseResult {
  readonly outcome:
    | 'migrated'
    | 'source continues'
    | 'source was reset'
    | 'settled: destination'
    | 'settled: source'
    | 'decided: source'
    | 'lost with its device'
  readonly report: MigrateReport
  readonly error?: MigrationError
  readonly received: PromiseSettledResult<ReceiveReport | undefined>[]
  readonly recorder: DeviceRecorder
  readonly link: FaultyLink
  readonly elapsedMs: number
}

/** A device with what is around it. */
export interface TestDevice {
  readonly bulk?: BulkDriver
  readonly mtty?: Mtty
  readonly faulty: FaultyDevice
  readonly recorded: RecordedDriver
  readonly device: VfioDevice
}

/** Runs a case, checks every rule, and tells how it ended. */
export async function runCase(options: MigrationCase): Promise<CaseResult> {
  const run = new Run(options)
  try {
    return await withinLimit(run.run(), options.name)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const log = run.recorder.log.slice(-12).join('\n    ')
    throw new Error(`case "${options.name}": ${message}\n    ${log}`, { cause: error })
  }
}

async function withinLimit<T>(work: Promise<T>, name: string, limitMs = HARD_LIMIT_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} hangs`)), limitMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

class Run {
  readonly #case: MigrationCase
  readonly recorder: DeviceRecorder = new DeviceRecorder()
  #sources: TestDevice[] = []
  #destinations: TestDevice[] = []
  #destinationTicket: HandoverTicket | undefined
  /** The devices' memory, of this case alone: what is not given back shows. */
  #engine!: Engine

  constructor(options: MigrationCase) {
    this.#case = options
  }

  async run(): Promise<CaseResult> {
    const { connections = 1, fate = () => 'pass' as const, before } = this.#case
    const kinds = this.#case.devices ?? ['bulk']
    this.#engine = await createEngine({ memoryBytes: 8 * 2 ** 20 })
    for (const [at, kind] of kinds.entries()) {
      this.#sources.push(await this.#open('source', kind, this.#case.sourceFaults?.[at]))
      this.#destinations.push(await this.#open('destination', kind, this.#case.destinationFaults?.[at]))
    }
    const openBytes = this.#engine.allocatedBytes
    before?.(this.#sources, this.#destinations)
    const begin = (): void => {
      this.recorder.note('COMMIT begins')
      this.recorder.mayStart = true
    }
    const { sourceEnd, destinationEnd } = this.#case
    const link = faultyLink(connections, fate, begin, sourceEnd, destinationEnd)
    const startMs = performance.now()
    const receiver = new Receiver(
      this.#destinations.map(({ device }) => device),
      {
        helloTimeoutMs: 250,
        idleTimeoutMs: 600,
        readyTimeoutMs: this.#case.settleBy === 'timeout' ? 300 : 1500,
        lingerMs: 100,
        onTicket: (ticket) => {
          this.#destinationTicket = ticket ?? this.#destinationTicket
        },
        ...this.#case.receive,
      },
    )
    const receiving = link.there.map((end) => receiver.accept(end))
    const all = Promise.allSettled(receiving)
    let report: MigrateReport
    let error: MigrationError | undefined
    try {
      report = await withinLimit(
        migrate(
          this.#sources.map(({ device }) => device),
          link.here,
          { replyTimeoutMs: 200, resendMs: 30, downtimeLimitMs: 300, ...this.#case.migrate },
        ),
        'migrate',
      )
    } catch (failure) {
      if (!(failure instanceof MigrationError)) throw failure
      error = failure
      report = failure.report
    }
    this.recorder.note(`migrate: ${report.owner} ${error?.message ?? report.undecidedBecause ?? ''}`)
    expect(report.owner === 'undecided', 'a ticket, and only when undecided').toBe(
      report.ticket !== undefined,
    )
    const outcome = await this.#settle(report, error, receiver, link)
    const received = await withinLimit(all, 'receive', 4000)
    for (const each of received)
      this.recorder.note(`receive: ${each.status === 'rejected' ? String(each.reason) : each.value?.owner}`)
    await link.end()
    this.recorder.isChecking = false
    // What the test does by itself from here on works.
    for (const { faulty } of [...this.#sources, ...this.#destinations]) faulty.faults.failAt = undefined
    await this.#check(outcome, link)
    // A device that cannot leave STOP_COPY keeps its session, until it is closed.
    const isStuck = this.#sources.some(({ recorded }) => recorded.state === DeviceState.STOP_COPY)
    if (!isStuck)
      expect(this.#engine.allocatedBytes, 'memory of sessions and leases is given back').toBe(openBytes)
    expect(this.recorder.violations).toEqual([])
    await this.#close()
    return {
      outcome,
      report,
      ...(error === undefined ? {} : { error }),
      received,
      recorder: this.recorder,
      link,
      elapsedMs: performance.now() - startMs,
    }
  }

  async #settle(
    report: MigrateReport,
    error: MigrationError | undefined,
    receiver: Receiver,
    link: FaultyLink,
  ): Promise<CaseResult['outcome']> {
    if (report.owner === 'destination') return 'migrated'
    if (report.owner === 'source') {
      expect(error, 'the source owns its devices: the migration failed').toBeDefined()
      return this.#sources.every(({ recorded }) => recorded.holds) ? 'source continues' : 'source was reset'
    }
    expect(report.owner).toBe('undecided')
    expect(link.commitBegun, 'undecided only after COMMIT').toBe(true)
    const { settleBy = 'ask' } = this.#case
    const ticket = JSON.parse(JSON.stringify(report.ticket)) as HandoverTicket
    if (settleBy === 'timeout') await new Promise((resolve) => setTimeout(resolve, 350))
    const [here, there] = memoryPair()
    const theirs =
      settleBy === 'both-tickets' && this.#destinationTicket !== undefined
        ? resolveHandover(this.#destinationTicket, there, { replyTimeoutMs: 500 })
        : receiver.accept(there)
    const theirEnd = Promise.allSettled([theirs])
    try {
      const { owner } = await resolveHandover(ticket, here, { replyTimeoutMs: 500, resendMs: 50 })
      await withinLimit(theirEnd, 'settling at the destination')
      this.recorder.note(`settled: ${owner}`)
      if (owner === 'destination') return 'settled: destination'
      expect(owner).toBe('source')
      return this.#sources.every(({ recorded }) => recorded.holds) ? 'settled: source' : 'source was reset'
    } catch (failure) {
      await withinLimit(theirEnd, 'settling at the destination')
      // The devices of the destination can not start, and had begun to: the caller decides.
      if (!VfioError.is(failure, 'ETIMEDOUT') || this.#destinationTicket === undefined) throw failure
      this.recorder.note(`decision: ${failure.message}`)
      await resolveHandover(this.#destinationTicket, { verdict: 'discard' })
      const { owner } = await resolveHandover(ticket, { verdict: 'run' })
      expect(owner).toBe('source')
      return this.#sources.every(({ recorded }) => recorded.holds) ? 'decided: source' : 'source was reset'
    }
  }

  /** Who runs is whole, and who does not has nothing. */
  async #check(outcome: CaseResult['outcome'], link: FaultyLink): Promise<void> {
    if (outcome === 'migrated' || outcome === 'settled: destination') {
      for (const each of this.#destinations) await this.#checkRunning(each)
      for (const { device, recorded } of this.#sources) {
        expect([RUNNING, DeviceState.RUNNING_P2P], 'the source is stopped').not.toContain(
          await device.state(),
        )
        expect(recorded.runs).toBe(false)
      }
      return
    }
    for (const each of this.#sources) if (each.recorded.holds) await this.#checkRunning(each)
    if (outcome === 'source was reset') {
      const isFaulty = this.#case.sourceFaults?.some((faults) => faults !== undefined)
      expect(isFaulty, 'a source without faults is never reset').toBe(true)
    }
    if (!link.commitBegun)
      expect(outcome, 'before COMMIT the source goes on').toMatch(/^source (continues|was reset)$/)
    for (const each of this.#destinations) await this.#checkPowerOn(each)
  }

  async #checkRunning({ device, recorded, bulk, mtty }: TestDevice): Promise<void> {
    expect(deviceStateName(await device.state())).toBe('RUNNING')
    expect(recorded.holds).toBe(true)
    expect(recorded.lastThrottle, 'at full speed again').toBe(0)
    if (bulk !== undefined) {
      const { sequence } = bulk
      const end = performance.now() + 2000
      while (bulk.sequence === sequence && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 1))
      expect(bulk.sequence > sequence, 'the workload goes on').toBe(true)
      await device.setState(STOP)
      const verdict = await verifyBulkWorkload(bulk.memory, {
        seed: SOURCE_SEED,
        workload: bulk.workload,
        sequence: bulk.sequence,
      })
      expect(verdict).toEqual({ matches: true })
    }
    if (mtty !== undefined) expect(scratchOf(device)).toBe(0xa5)
  }

  /** An mtty's content outlives its reset, as in Linux: there only the state tells. */
  async #checkPowerOn({ device, recorded, bulk, faulty }: TestDevice): Promise<void> {
    expect(recorded.holds).toBe(false)
    if (faulty.faults.failReset === true) return
    const state = await device.state()
    if (recorded.moved && this.#case.destinationFaults?.some((faults) => faults !== undefined) !== true)
      expect(deviceStateName(state)).toBe('STOP')
    if (bulk !== undefined && state === STOP) {
      expect(bulk.sequence).toBe(0n)
      expect(await verifyBulkWorkload(bulk.memory, { seed: DESTINATION_SEED, sequence: 0n })).toEqual({
        matches: true,
      })
    }
  }

  async #open(
    side: 'source' | 'destination',
    kind: 'bulk' | 'mtty',
    faults: Faults | undefined,
  ): Promise<TestDevice> {
    const { memoryBytes = 64 * 1024, workload = { pagesPerSecond: 2000 } } = this.#case
    const isSource = side === 'source'
    const bulk =
      kind === 'bulk'
        ? createBulk({
            memoryBytes,
            seed: isSource ? SOURCE_SEED : DESTINATION_SEED,
            engine: this.#engine,
            ...(isSource ? { workload } : {}),
          })
        : undefined
    const mtty = kind === 'mtty' ? createMtty() : undefined
    const faulty = new FaultyDevice((bulk ?? mtty) as BulkDriver | Mtty, faults)
    const recorded = this.recorder.wrap(side, faulty)
    const device = await VfioDevice.open(recorded)
    if (isSource && mtty !== undefined)
      device.regions?.write(SCRATCH.region, SCRATCH.offset, Uint8Array.of(0xa5))
    return {
      ...(bulk === undefined ? {} : { bulk }),
      ...(mtty === undefined ? {} : { mtty }),
      faulty,
      recorded,
      device,
    }
  }

  async #close(): Promise<void> {
    for (const { device } of [...this.#sources, ...this.#destinations]) {
      expect(device.fds.size ?? 0).toBe(0)
      await device.close()
    }
    expect(this.#engine.allocatedBytes, 'all memory is given back').toBe(0)
  }
}

function scratchOf(device: VfioDevice): number {
  const byte = new Uint8Array(1)
  device.regions?.read(SCRATCH.region, SCRATCH.offset, byte)
  return byte[0] as number
}
