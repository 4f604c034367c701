/**
 * The sending end of the command: its connections, and what becomes of a hand-over that was cut.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { type HandoverTicket, type MigrateReport, resolveHandover } from '../migrate/index.ts'
import type { Connection, TlsOptions } from '../node/index.ts'
import { connectUntil } from './connecting.ts'
import { pause } from './pause.ts'

/** Between two tries to reach a destination that vanished. */
const RETRY_MS = 250
/** For one answer. */
const ASK_MS = 2000

/** A way to the destination. */
export class Route {
  readonly #url: string
  readonly #tls: TlsOptions

  constructor(url: string, tls: TlsOptions) {
    this.#url = url
    this.#tls = tls
  }

  /** Opens all connections of a migration. The signal cancels only connecting. */
  async connect(count: number, signal: AbortSignal): Promise<Connection[]> {
    const opened: Connection[] = []
    try {
      for (let index = 0; index < count; index++)
        opened.push(await connectUntil(signal, this.#url, { tls: this.#tls }))
      return opened
    } catch (error) {
      for (const connection of opened) await connection.cancel(error)
      throw error
    }
  }

  /**
   * Asks the destination what became of a hand-over, until it is settled, `forMs` have passed, or the signal
   * is aborted.
   */
  async resolve(ticket: HandoverTicket, forMs: number, signal: AbortSignal): Promise<MigrateReport['owner']> {
    const endMs = performance.now() + forMs
    while (performance.now() < endMs && !signal.aborted) {
      try {
        const [connection] = await this.connect(1, signal)
        const { owner } = await resolveHandover(ticket, connection as Connection, { replyTimeoutMs: ASK_MS })
        if (owner !== 'undecided') return owner
      } catch (error) {
        if (!VfioError.is(error)) throw error
      }
      await pause(RETRY_MS, signal).catch(() => {})
    }
    return 'undecided'
  }
}
