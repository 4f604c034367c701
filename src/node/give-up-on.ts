/**
 * A signal that ends a connection.
 *
 * @module
 */

import type { Connection } from './connection.ts'

/** Gives up the connection when the signal is aborted. */
export function giveUpOn(signal: AbortSignal, connection: Connection): void {
  const giveUp = (): void => void connection.cancel(signal.reason)
  signal.addEventListener('abort', giveUp, { once: true })
  connection.closed.addEventListener('abort', () => signal.removeEventListener('abort', giveUp), {
    once: true,
  })
}
