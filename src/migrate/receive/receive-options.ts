/**
 * Options of the receiving end and their defaults.
 *
 * @module
 */

import type { SessionWorker } from '../../session/session-end.ts'
import type { GuestMemoryDestination } from '../guest-memory.ts'
import type { HandoverTicket } from '../handover/ticket.ts'
import type { ReceiveProgress } from './receive-report.ts'

/** Options of {@link receive} and {@link Receiver}; times in milliseconds. */
export interface ReceiveOptions {
  /** Gives up until COMMIT came; later it has no effect. */
  readonly signal?: AbortSignal | undefined
  /** Called as the migration goes on. */
  readonly onProgress?: ((progress: ReceiveProgress) => void) | undefined
  /** For the first message of a connection; default 5000. */
  readonly helloTimeoutMs?: number | undefined
  /** A source that sends nothing for so long is given up, until READY; default 30,000. */
  readonly idleTimeoutMs?: number | undefined
  /** For all of it until READY; default none. */
  readonly timeoutMs?: number | undefined
  /**
   * After READY the devices stay stopped, whatever happens to the connection; for so long. Then they are
   * reset, and the source is told so when it asks. Default 60,000; Infinity waits for a decision.
   */
  readonly readyTimeoutMs?: number | undefined
  /** After RUNNING the connection is served for so long at most, default 10,000. */
  readonly lingerMs?: number | undefined
  /**
   * Keeps a ticket where it survives this process, such as a file: called and waited for before READY is
   * said, again before the devices start, and with undefined when the hand-over is settled.
   */
  readonly onTicket?: ((ticket: HandoverTicket | undefined) => unknown) | undefined
  /**
   * The ticket that an earlier process left behind, which has ended: its devices are gone with it. Had COMMIT
   * not come, sources that ask are told DISCARDED.
   */
  readonly leftTicket?: HandoverTicket | undefined
  /** Where the guest's memory goes, when the source sends it beside its devices. */
  readonly memory?: GuestMemoryDestination | undefined
  /** Hands stand-ins over in memory before the first migration of this process, as for `migrate`; default true. */
  readonly rehearse?: boolean | undefined
  /** A second thread for checksums, as for `restore`. */
  readonly worker?: SessionWorker | undefined
}

/** The options with defaults in place. */
export function receiveDefaults(
  options: ReceiveOptions,
): ReceiveOptions &
  Required<Record<'helloTimeoutMs' | 'idleTimeoutMs' | 'timeoutMs' | 'readyTimeoutMs' | 'lingerMs', number>> {
  return {
    ...options,
    helloTimeoutMs: options.helloTimeoutMs ?? 5_000,
    idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    timeoutMs: options.timeoutMs ?? Number.POSITIVE_INFINITY,
    readyTimeoutMs: options.readyTimeoutMs ?? 60_000,
    lingerMs: options.lingerMs ?? 10_000,
  }
}

/** Those that concern one migration, from HELLO on. */
export type IncomingOptions = Pick<
  ReturnType<typeof receiveDefaults>,
  'idleTimeoutMs' | 'timeoutMs' | 'readyTimeoutMs' | 'onProgress' | 'onTicket'
>
