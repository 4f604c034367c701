/**
 * Options of a migration's source and their defaults.
 *
 * @module
 */

import type { ConvergenceOptions } from '../convergence-policy.ts'
import { VfioError } from '../../errors.ts'
import type { GuestMemorySource } from '../guest-memory.ts'
import type { SessionWorker } from '../../session/session-end.ts'
import type { ReceiveOptions } from '../receive/receive-options.ts'
import type { MigrateEvent, MigrateProgress } from './migrate-report.ts'

/** Options of {@link migrate}; times in milliseconds. */
export interface MigrateOptions extends Omit<ConvergenceOptions, 'precopyTimeoutMs'> {
  /** Cancels until COMMIT begins: the source runs on, the destination is reset. Later it is too late. */
  readonly signal?: AbortSignal | undefined
  /** Called every 50 ms or so, and when the phase changes; when it throws, the migration fails. */
  readonly onProgress?: ((progress: MigrateProgress) => void) | undefined
  /** Called for what happens once: phases, iterations, throttling, the switchover. */
  readonly onEvent?: ((event: MigrateEvent) => void) | undefined
  /** Pre-copy where the devices can, default true. */
  readonly precopy?: boolean | undefined
  /** For pre-copy, from its start; then `onNonConverging` decides. Default none. */
  readonly timeoutMs?: number | undefined
  /**
   * When the devices have been stopped for longer than `downtimeLimitMs` before COMMIT: go on (default), or
   * give up and let the source run again.
   */
  readonly onDowntimeExceeded?: 'continue' | 'abort' | undefined
  /** Bytes per second at the most; default no limit. It holds during the downtime, too. */
  readonly bandwidthLimit?: number | undefined
  /** For an answer of the destination, and for one write; default 10,000. Past it the link is lost. */
  readonly replyTimeoutMs?: number | undefined
  /** A message without an answer is sent again after this time; default 1000. */
  readonly resendMs?: number | undefined
  /** The guest's memory, which the devices write by DMA, to be migrated beside them. */
  readonly memory?: GuestMemorySource | undefined
  /** A second thread for checksums, as for `save`. */
  readonly worker?: SessionWorker | undefined
  /**
   * Hands stand-ins of the devices over in memory first, once per process, so that the downtime is not spent on
   * compiling code that never ran before; default true. Takes 50 to 150 ms, during which the devices run, as far as
   * the thread lets them.
   */
  readonly rehearse?: boolean | undefined
  /** For a destination that is a device of this process: options of its side. */
  readonly receive?: ReceiveOptions | undefined
}

/** Options with defaults in place. */
export interface MigrateSettings extends MigrateOptions {
  readonly downtimeLimitMs: number
  readonly bandwidthLimit: number
  readonly replyTimeoutMs: number
  readonly resendMs: number
}

/** @throws {@link VfioError} EINVAL a number out of range, or a word that is no choice */
export function migrateSettings(options: MigrateOptions): MigrateSettings {
  const settings = {
    ...options,
    downtimeLimitMs: options.downtimeLimitMs ?? 300,
    bandwidthLimit: options.bandwidthLimit ?? Number.POSITIVE_INFINITY,
    replyTimeoutMs: options.replyTimeoutMs ?? 10_000,
    resendMs: options.resendMs ?? 1_000,
  }
  for (const name of ['bandwidthLimit', 'replyTimeoutMs', 'resendMs'] as const) {
    if (typeof settings[name] === 'number' && settings[name] > 0) continue
    throw new VfioError('EINVAL', `Cannot migrate: ${name} is ${settings[name]}, use a number above 0`)
  }
  const { onDowntimeExceeded } = options
  if (onDowntimeExceeded !== undefined && !['continue', 'abort'].includes(onDowntimeExceeded))
    throw new VfioError(
      'EINVAL',
      `Cannot migrate: onDowntimeExceeded is "${onDowntimeExceeded}", use "continue" or "abort"`,
    )
  return settings
}
