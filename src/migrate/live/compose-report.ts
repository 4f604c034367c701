/**
 * The report of a migration, from what its parts know.
 *
 * @module
 */

import { PAGE_BYTES } from '../../format/index.ts'
import type { HandoverTicket } from '../handover/ticket.ts'
import { throughput } from '../report.ts'
import type { MigrateReport, SwitchoverReason } from './migrate-report.ts'
import type { ProgressMeter } from './progress-meter.ts'
import type { SourceDevices } from './source-devices.ts'

/** What the migration itself has to say. */
export interface Outcome {
  readonly id: string
  readonly owner: MigrateReport['owner']
  readonly ticket: HandoverTicket | undefined
  readonly undecidedBecause: string | undefined
  readonly downtimeMs: number | undefined
  readonly downtimeLimitMs: number
  readonly expectedDowntimeMs: number | undefined
  readonly switchover: SwitchoverReason | undefined
  readonly canceledTooLate: boolean
  readonly connections: number
}

export function composeReport(
  { bytes, elapsedMs, phases, iterations, mostThrottlePercent }: ProgressMeter,
  { streams }: SourceDevices,
  outcome: Outcome,
): MigrateReport {
  const { id, owner, ticket, undecidedBecause, downtimeMs, expectedDowntimeMs, switchover } = outcome
  return {
    id,
    bytes,
    elapsedMs,
    bytesPerSecond: throughput(bytes, phases.precopyMs + phases.drainMs),
    owner,
    ...(ticket === undefined ? {} : { ticket }),
    ...(undecidedBecause === undefined ? {} : { undecidedBecause }),
    iterations,
    ...(downtimeMs === undefined ? {} : { downtimeMs, downtimeBoundBy: longestPart(phases) }),
    ...(expectedDowntimeMs === undefined ? {} : { expectedDowntimeMs }),
    downtimeLimitMs: outcome.downtimeLimitMs,
    ...(switchover === undefined ? {} : { switchover }),
    zeroBytesSaved: streams.reduce((total, { zeroPages }) => total + zeroPages.pages * PAGE_BYTES, 0),
    throttlePercent: mostThrottlePercent,
    ...(outcome.canceledTooLate ? { canceledTooLate: true as const } : {}),
    connections: outcome.connections,
    devices: streams.map(({ device, position }) => ({ type: device.identity.type, bytes: position })),
    phases: { ...phases },
  }
}

function longestPart(phases: MigrateReport['phases']): 'stop' | 'drain' | 'load' | 'commit' {
  const parts = ['stop', 'drain', 'load', 'commit'] as const
  return parts.reduce((longest, part) => (phases[`${part}Ms`] > phases[`${longest}Ms`] ? part : longest))
}
