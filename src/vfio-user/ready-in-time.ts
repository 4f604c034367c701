/**
 * Waits for a device's session, but not for ever: while a command waits, those behind it are not answered, and a
 * client that has gone may not be noticed.
 *
 * @module
 */

import type { MigrationSession } from '../session/migration-session.ts'

/** How long a device is waited for. */
export interface Patience {
  readonly waitMs: number
  /** Nobody waits any more: the client is gone. */
  readonly signal: AbortSignal
}

/** Between two looks at a device that says it is ready and then is not, milliseconds. */
const NOT_READY_MS = 5

/** The waits of one command: all of them together take no longer than it has patience. */
export class ReadyInTime {
  readonly #session: MigrationSession
  readonly #events: number
  readonly #patience: Patience
  #sinceMs: number | undefined

  constructor(session: MigrationSession, events: number, patience: Patience) {
    this.#session = session
    this.#events = events
    this.#patience = patience
  }

  /** Whether one of the events came in time. Rejects with the signal's reason, or as the session does. */
  async wait(): Promise<boolean> {
    const { signal, waitMs } = this.#patience
    const isFirst = this.#sinceMs === undefined
    this.#sinceMs ??= performance.now()
    const leftMs = this.#sinceMs + waitMs - performance.now()
    if (leftMs <= 0) return false
    if (!isFirst) await new Promise((resolve) => setTimeout(resolve, NOT_READY_MS))
    const late = AbortSignal.timeout(Math.ceil(leftMs))
    try {
      await this.#session.ready(this.#events, { signal: AbortSignal.any([signal, late]) })
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (late.aborted) return false
      throw error
    }
  }
}
