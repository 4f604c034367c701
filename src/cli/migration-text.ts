/**
 * What a live migration did, as the closing tables of both ends.
 *
 * @module
 */

import type { MigrateReport, ReceiveReport } from '../migrate/index.ts'
import { formatBytes, formatCount, formatDuration, formatRate } from './byte-size.ts'
import { table } from './table.ts'
import type { Colors } from './terminal.ts'

const RIGHT = 'right' as const

/** What each phase of the source is about. */
const SOURCE_PHASES: readonly (readonly [keyof MigrateReport['phases'], string, string])[] = [
  ['setupMs', 'setup', 'both ends compared, the destination in RESUMING'],
  ['precopyMs', 'pre-copy', 'the device worked on'],
  ['stopMs', 'stop', 'into STOP_COPY; the downtime begins'],
  ['drainMs', 'drain', 'the rest of the stream'],
  ['loadMs', 'load', 'the destination verified and loaded all'],
  ['commitMs', 'commit', 'the destination started; the downtime ends'],
  ['cleanupMs', 'clean-up', 'the source in STOP, connections closed'],
]

const SWITCHOVERS: Readonly<Record<string, string>> = {
  converged: 'the expected downtime was within the limit',
  'max-iterations': 'it did not converge within the passes allowed',
  timeout: 'it did not converge in the time allowed',
  'no-precopy': 'there was no pre-copy',
}

/** Who has the device after a migration that went well or is undecided. */
export function ownerText(owner: MigrateReport['owner']): string {
  return {
    source: 'the source runs it',
    destination: 'the destination runs it',
    none: 'nobody runs it',
    undecided: 'undecided: nobody runs it until the ends meet again',
  }[owner]
}

/** Who has the device after a migration that failed or was canceled. */
export function ownedText(owner: MigrateReport['owner']): string {
  return owner === 'source' ? 'the source owns the device' : ownerText(owner)
}

/** The source's closing report; `at` is where the device says that it is. */
export function sourceLines(
  report: MigrateReport,
  name: string,
  to: string,
  colors: Colors,
  at?: string,
): string[] {
  const head = report.owner === 'destination' ? 'Migrated' : 'Sent'
  return [
    colors.bold(`${head} ${name} to ${to}: ${ownerText(report.owner)}`),
    '',
    ...passLines(report, colors),
    ...phaseLines(
      SOURCE_PHASES.map(([key, phase, text]) => [phase, report.phases[key], text]),
      colors,
    ),
    '',
    ...table([...summary(report), ...placeRows(at)]),
    ...(report.canceledTooLate === true
      ? ['', '  The cancellation came after COMMIT had begun: too late.']
      : []),
  ]
}

/** The destination's closing report; `at` as in {@link sourceLines}. */
export function destinationLines(
  report: ReceiveReport,
  name: string,
  peer: string,
  colors: Colors,
  at?: string,
): string[] {
  const { phases, bytes, elapsedMs, bytesPerSecond, id } = report
  return [
    colors.bold(`Received ${name} from ${peer}: ${ownerText(report.owner)}`),
    '',
    ...phaseLines(
      [
        ['prepare', phases.prepareMs, 'into RESUMING'],
        ['transfer', phases.transferMs, 'verified on the way into memory'],
        ['load', phases.loadMs, 'RESUMING to STOP, which validates'],
        ['wait', phases.waitMs, 'READY until COMMIT'],
        ['start', phases.startMs, 'STOP to RUNNING'],
      ],
      colors,
    ),
    '',
    ...table([
      ['received', `${formatCount(bytes)} bytes in ${formatDuration(elapsedMs)}, ${rate(bytesPerSecond)}`],
      ['id', id],
      ...placeRows(at),
    ]),
  ]
}

function placeRows(at: string | undefined): string[][] {
  return at === undefined ? [] : [['device', `at ${at}`]]
}

function passLines({ iterations }: MigrateReport, colors: Colors): string[] {
  if (iterations.length === 0) return []
  const rows = iterations.map((each) => [
    String(each.iteration),
    formatBytes(each.bytes),
    formatDuration(each.elapsedMs),
    rate(each.bytesPerSecond),
    rate(each.dirtyBytesPerSecond),
    formatBytes(each.remainingBytes),
  ])
  const heading = ['pass', 'bytes', 'time', 'rate', 'dirtied', 'left at its end']
  const align = [RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT]
  return [...table([heading, ...rows], { align, heading: colors.dim }), '']
}

function phaseLines(phases: readonly (readonly [string, number, string])[], colors: Colors): string[] {
  const rows = phases.map(([phase, ms, text]) => [phase, formatDuration(ms), text])
  return table([['phase', 'time', ''], ...rows], { align: ['left', RIGHT], heading: colors.dim })
}

function summary(report: MigrateReport): string[][] {
  const { downtimeMs, expectedDowntimeMs, downtimeLimitMs, downtimeBoundBy, switchover } = report
  const { bytes, elapsedMs, bytesPerSecond, connections, zeroBytesSaved, throttlePercent, id } = report
  const expected =
    expectedDowntimeMs === undefined ? '' : `, ${formatDuration(expectedDowntimeMs)} were expected`
  const bound = downtimeBoundBy === undefined ? '' : `, most of it ${downtimeBoundBy}`
  const over = connections === 1 ? '' : ` over ${connections} connections`
  return [
    ...(downtimeMs === undefined
      ? []
      : [
          [
            'downtime',
            `${formatDuration(downtimeMs)} of ${formatDuration(downtimeLimitMs)} allowed${expected}${bound}`,
          ],
        ]),
    ...(switchover === undefined ? [] : [['switchover', SWITCHOVERS[switchover] ?? switchover]]),
    ['sent', `${formatCount(bytes)} bytes${over} in ${formatDuration(elapsedMs)}, ${rate(bytesPerSecond)}`],
    ...(zeroBytesSaved === 0 ? [] : [['zero pages', `${formatBytes(zeroBytesSaved)} were not sent`]]),
    ...(throttlePercent === 0 ? [] : [['slowed', `by up to ${throttlePercent} %`]]),
    ['id', id],
  ]
}

function rate(bytesPerSecond: number): string {
  return formatRate(bytesPerSecond, 1000)
}
