/**
 * How far a live migration is, in one line at each end.
 *
 * @module
 */

import type { MigratePhase, MigrateProgress, ReceivePhase, ReceiveProgress } from '../migrate/index.ts'
import { formatBytes, formatDuration, formatRate } from './byte-size.ts'
import { LiveBar } from './live-bar.ts'

const BAR_SIZE = 12

const SOURCE_PHASES: Readonly<Record<MigratePhase, string>> = {
  setup: 'setting up',
  precopy: 'pre-copy',
  stop: 'stopping',
  drain: 'draining',
  load: 'loading',
  commit: 'committing',
  done: 'done',
}

const DESTINATION_PHASES: Readonly<Record<ReceivePhase, string>> = {
  prepare: 'preparing',
  transfer: 'receiving',
  load: 'loading',
  ready: 'ready',
  start: 'starting',
  running: 'running',
}

/** What the source's bar shows besides the bar. */
export function sourceTexts(progress: MigrateProgress): Readonly<Record<string, string>> {
  const { phase, bytes, iteration, bytesPerSecond, remainingBytes, dirtyBytesPerSecond } = progress
  const { expectedDowntimeMs, etaMs, throttlePercent } = progress
  const parts = [
    `pass ${iteration}`,
    formatBytes(bytes),
    ...(bytesPerSecond === undefined ? [] : [formatRate(bytesPerSecond, 1000)]),
    ...(remainingBytes === undefined ? [] : [`${formatBytes(remainingBytes)} left`]),
    ...(dirtyBytesPerSecond === undefined ? [] : [`dirty ${formatRate(dirtyBytesPerSecond, 1000)}`]),
    ...(expectedDowntimeMs === undefined ? [] : [`downtime ${formatDuration(expectedDowntimeMs)}`]),
    ...(throttlePercent === 0 ? [] : [`slowed ${throttlePercent}%`]),
    ...(etaMs === undefined ? [] : [`ETA ${formatDuration(etaMs)}`]),
  ]
  return { phase: SOURCE_PHASES[phase].padEnd(10), texts: parts.join('  ') }
}

/** The source's line; there is one only on a terminal. */
export class SourceBar {
  readonly #bar: LiveBar

  constructor(stream?: NodeJS.WriteStream) {
    this.#bar = new LiveBar('{phase} {bar} {percentage}%  {texts}', stream, BAR_SIZE)
  }

  /** An arrow, to be passed on. */
  readonly update = (progress: MigrateProgress): void => {
    const { bytes, remainingBytes } = progress
    this.#bar.show(bytes, bytes + (remainingBytes ?? Math.max(1, bytes)), sourceTexts(progress))
  }

  stop(): void {
    this.#bar.stop()
  }
}

/** The destination's line. */
export class DestinationBar {
  readonly #bar: LiveBar

  constructor(stream?: NodeJS.WriteStream) {
    this.#bar = new LiveBar('{phase} {bar}  {bytes}  {rate}', stream, BAR_SIZE)
  }

  /** @param memoryBytes - of the device; pages may come more than once */
  update({ phase, bytes, elapsedMs }: ReceiveProgress, memoryBytes: number): void {
    this.#bar.show(bytes, memoryBytes, {
      phase: DESTINATION_PHASES[phase].padEnd(10),
      bytes: formatBytes(bytes),
      rate: formatRate(bytes, elapsedMs),
    })
  }

  stop(): void {
    this.#bar.stop()
  }
}
