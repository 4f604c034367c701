/** A migration over a UNIX socket, canceled at 50 random moments; and what is left of it: nothing. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { type BulkWorkload, createBulk, verifyBulkWorkload } from '../../src/devices/index.ts'
import { VfioError } from '../../src/errors.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import type { MigratePhase } from '../../src/migrate/live/migrate-report.ts'
import { MigrationError } from '../../src/migrate/live/migration-error.ts'
import { Receiver } from '../../src/migrate/receive/receiver.ts'
import { connect, listen } from '../../src/node/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { DeviceRecorder } from '../support/device-recorder.ts'
import { activeResources, expectResources, random, Tally } from '../support/fault-matrix.ts'
import { watchWrites } from '../support/faulty-link.ts'

const MOMENTS = 50
const PHASES: readonly MigratePhase[] = ['precopy', 'stop', 'drain', 'load', 'commit', 'done']
const WORKLOAD: BulkWorkload = { pagesPerSecond: 5000 }
const tally = new Tally('cancel')
afterAll(() => tally.print())

function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}

async function canceledAt(
  path: string,
  moment: { delayMs: number } | { phase: MigratePhase; delayMs: number },
): Promise<string> {
  const recorder = new DeviceRecorder()
  const bulk = createBulk({ memoryBytes: 256 * 1024, seed: 3, workload: WORKLOAD })
  const theirs = createBulk({ memoryBytes: 256 * 1024, seed: 4 })
  const source = await VfioDevice.open(recorder.wrap('source', bulk))
  const destination = await VfioDevice.open(recorder.wrap('destination', theirs))
  const receiver = new Receiver(destination, { lingerMs: 200 })
  const serving: Promise<unknown>[] = []
  const listener = await listen(`unix:${path}`, (connection) => {
    serving.push(receiver.accept(connection))
  })
  const canceler = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const arm = (): void => {
    if (moment.delayMs === 0) canceler.abort()
    else timer = setTimeout(() => canceler.abort(), moment.delayMs)
  }
  if (!('phase' in moment)) arm()
  let canceledBeforeCommit = false
  // Whoever cancels when he is told of the phase is too late by that.
  let isCommitting = false
  const connection = watchWrites(await connect(listener.url), (name) => {
    if (name !== 'COMMIT') return
    recorder.mayStart = true
    canceledBeforeCommit = canceler.signal.aborted && !isCommitting
  })
  const options = {
    signal: canceler.signal,
    downtimeLimitMs: 100,
    onEvent: (event: { type: string; phase?: MigratePhase }) => {
      if (event.phase === 'commit') isCommitting = true
      if (event.type === 'phase' && 'phase' in moment && event.phase === moment.phase) arm()
    },
  }
  let how: string
  try {
    const report = await migrate(source, connection, options)
    expect(report.owner).toBe('destination')
    how = report.canceledTooLate === true ? 'too late: the destination runs' : 'after the end'
    expect(canceledBeforeCommit).toBe(false)
  } catch (error) {
    expect(error).toBeInstanceOf(MigrationError)
    const failure = error as MigrationError
    expect([failure.code, failure.report.owner]).toEqual(['ECANCELED', 'source'])
    expect(recorder.mayStart, 'COMMIT had not begun').toBe(false)
    how = `in ${'phase' in moment ? moment.phase : 'time'}: the source runs`
  }
  clearTimeout(timer)
  const outcomes = await Promise.allSettled(serving)
  const [running, stopped] = recorder.mayStart ? [destination, source] : [source, destination]
  expect(await running.state()).toBe(DeviceState.RUNNING)
  // A destination that HELLO never reached still has its power-on content and runs, which holds nothing.
  if (recorder.mayStart || recorder.of('destination')[0]?.moved === true)
    expect(await stopped.state()).toBe(DeviceState.STOP)
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') expect(VfioError.is(outcome.reason)).toBe(true)
  recorder.isChecking = false
  await running.setState(DeviceState.STOP)
  const { memory, sequence } = recorder.mayStart ? theirs : bulk
  expect(sequence > 0n).toBe(true)
  expect(await verifyBulkWorkload(memory, { seed: 3, sequence })).toEqual({
    matches: true,
  })
  expect(recorder.violations).toEqual([])
  await source.close()
  await destination.close()
  await listener.close()
  return how
}

describe('a cancellation', () => {
  it(`at ${MOMENTS} random moments leaves one side that runs, and nothing open`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cancel-'))
    const path = join(folder, 'socket')
    // The first one opens what the process keeps.
    await canceledAt(path, { delayMs: 5 })
    const resources = activeResources()
    const files = openFiles()
    const next = random(50)
    for (let at = 0; at < MOMENTS; at++) {
      const phase = PHASES[at % (PHASES.length + 2)]
      const delayMs = phase === undefined ? Math.floor(next() * 80) : Math.floor(next() * 3)
      tally.add(
        phase ?? 'by time',
        await canceledAt(path, phase === undefined ? { delayMs } : { phase, delayMs }),
      )
    }
    rmSync(folder, { recursive: true })
    await expectResources(resources)
    expect(openFiles()).toBeLessThanOrEqual(files)
  }, 120_000)
})
