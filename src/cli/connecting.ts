/**
 * Connections that outlive the signal which cancels connecting: what is at their other end must be told, and what
 * became of it asked.
 *
 * @module
 */

import { connect, type Connection, type ConnectOptions } from '../node/index.ts'

/** Connects. @throws the signal's reason, and as `connect` */
export async function connectUntil(
  signal: AbortSignal,
  url: string,
  options: Omit<ConnectOptions, 'signal'> = {},
): Promise<Connection> {
  const connecting = new AbortController()
  const cancel = (): void => connecting.abort(signal.reason)
  signal.addEventListener('abort', cancel)
  try {
    signal.throwIfAborted()
    return await connect(url, { ...options, signal: connecting.signal })
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
