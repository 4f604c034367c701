/**
 * The demo: a device that works moves from one process to another, and what arrives is proven to be what left.
 *
 * The source alone is given random numbers: the seeds of its memory and of its workload, and a nonce that it
 * writes to its device in PRE_COPY. The destination gets the seeds when all is over, to check its memory; the
 * nonce never, but through the device.
 *
 * @module
 */

import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VfioError } from '../../errors.ts'
import type { MigrateReport, ReceiveReport } from '../../migrate/index.ts'
import { pause } from '../pause.ts'
import { DemoChild } from './child.ts'
import { type DemoNews, type DemoSecrets, NONCE_BYTES } from './messages.ts'

/** Time in which the device works at the destination before it is looked at. */
const ABROAD_MS = 500
const MAX_SEED = 2 ** 32

/** Who told something. */
export type DemoSide = 'source' | 'destination'

/** What the demo is about. */
export interface LiveDemoOptions {
  readonly memoryBytes: number
  readonly pagesPerSecond: number
  readonly downtimeLimitMs: number
  readonly signal: AbortSignal
  readonly onNews?: (side: DemoSide, news: DemoNews) => void
}

/** What the demo found. */
export interface LiveDemoReport {
  readonly memoryBytes: number
  readonly pagesPerSecond: number
  readonly processes: Readonly<Record<DemoSide, number | undefined>>
  /** Records are numbered from 0. */
  readonly records: {
    /** The next one when the source had stopped. */
    readonly atStop: bigint
    /** The next one when the destination had loaded the device, before it ran. */
    readonly atStart: bigint
    /** The next one when the destination was stopped to look at it. */
    readonly atEnd: bigint
  }
  /** Every byte at the destination is what these records, and no others, must have left. */
  readonly memoryMatches: true
  readonly nonce: {
    readonly written: Uint8Array
    readonly writtenIn: string
    /** Read from the device at the destination. */
    readonly read: Uint8Array
    readonly equal: true
  }
  readonly sent: MigrateReport
  readonly received: ReceiveReport
  readonly elapsedMs: number
}

/** Runs the demo; no process and no file of it is left. Rejects when anything is not as it must be. */
export async function runLiveDemo(options: LiveDemoOptions): Promise<LiveDemoReport> {
  const directory = await mkdtemp(join(tmpdir(), 'stopcopy-demo-'))
  const child = (side: DemoSide): DemoChild => new DemoChild(side, (news) => options.onNews?.(side, news))
  const children = { source: child('source'), destination: child('destination') }
  try {
    return await migrateBetween(children, `unix:${join(directory, 'destination')}`, options)
  } finally {
    await Promise.all(Object.values(children).map((each) => each.end()))
    await rm(directory, { recursive: true, force: true })
  }
}

async function migrateBetween(
  { source, destination }: Readonly<Record<DemoSide, DemoChild>>,
  address: string,
  { memoryBytes, pagesPerSecond, downtimeLimitMs, signal }: LiveDemoOptions,
): Promise<LiveDemoReport> {
  const startMs = performance.now()
  const nonceBytes = randomBytes(NONCE_BYTES)
  const secrets: DemoSecrets = {
    seed: randomInt(MAX_SEED),
    workloadSeed: randomInt(MAX_SEED),
    nonce: nonceBytes,
  }
  await Promise.all([source.news('started', signal), destination.news('started', signal)])
  destination.order({ type: 'receive', url: address })
  const { url } = await destination.news('listening', signal)
  source.order({ type: 'send', url, memoryBytes, pagesPerSecond, downtimeLimitMs, secrets })
  const [sent, received] = await Promise.all([
    source.news('sent', signal),
    destination.news('received', signal),
  ])
  const [nonce, loaded] = await Promise.all([
    source.news('nonce', signal),
    destination.news('loaded', signal),
  ])
  await pause(ABROAD_MS, signal)
  const { seed, workloadSeed } = secrets
  destination.order({ type: 'check', seed, workloadSeed })
  const checked = await destination.news('checked', signal)
  const records = { atStop: sent.sequence, atStart: loaded.sequence, atEnd: checked.sequence }
  must(sent.report.owner === 'destination', `the migration ended with owner ${sent.report.owner}`)
  must(records.atStart === records.atStop, `record ${records.atStop} was next, and ${records.atStart} came`)
  must(records.atEnd > records.atStart || pagesPerSecond === 0, 'the destination did not work on')
  must(checked.matches, `memory differs at byte ${checked.offset}`)
  must(nonceBytes.equals(checked.nonce), 'the nonce did not arrive')
  return {
    memoryBytes,
    pagesPerSecond,
    processes: { source: source.pid, destination: destination.pid },
    records,
    memoryMatches: true,
    nonce: {
      written: Uint8Array.from(nonceBytes),
      writtenIn: nonce.state,
      read: Uint8Array.from(checked.nonce),
      equal: true,
    },
    sent: sent.report,
    received: received.report,
    elapsedMs: performance.now() - startMs,
  }
}

function must(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new VfioError('EIO', `Cannot trust this migration: ${otherwise}, report it`)
}
