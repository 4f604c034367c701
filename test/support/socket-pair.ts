/** Two connected ends over a real socket. @module */

import { connect, type ConnectOptions } from '../../src/node/connect.ts'
import { connectFds } from '../../src/node/connect-fds.ts'
import type { Connection } from '../../src/node/connection.ts'
import type { FdConnection, FdConnectionOptions } from '../../src/node/fd-connection.ts'
import { listen, type ListenOptions } from '../../src/node/listen.ts'
import { listenFds } from '../../src/node/listen-fds.ts'

/** Connects to a new listener, which is closed again; `fds:PATH` is a UNIX socket that carries descriptors. */
export async function socketPair(
  url: string,
  client: ConnectOptions = {},
  server: ListenOptions = {},
): Promise<{ here: Connection; there: Connection }> {
  if (url.startsWith('fds:')) return fdSocketPair(`unix:${url.slice(4)}`, client, server)
  let accept!: (connection: Connection) => void
  const accepted = new Promise<Connection>((resolve) => (accept = resolve))
  const listener = await listen(url, accept, server)
  try {
    const here = await connect(listener.url, client)
    return { here, there: await accepted }
  } finally {
    await listener.close()
  }
}

/** Connects to a new listener, both ends with descriptors; the listener is closed again. */
export async function fdSocketPair(
  url: string,
  client: FdConnectionOptions = {},
  server: FdConnectionOptions = {},
): Promise<{ here: FdConnection; there: FdConnection }> {
  let accept!: (connection: FdConnection) => void
  const accepted = new Promise<FdConnection>((resolve) => (accept = resolve))
  const listener = await listenFds(url, accept, server)
  try {
    const here = await connectFds(listener.url, client)
    return { here, there: await accepted }
  } finally {
    await listener.close()
  }
}

/** Resolves when nothing is left of a connection. */
export function gone(connection: Connection): Promise<void> {
  const { closed } = connection
  if (closed.aborted) return Promise.resolve()
  return new Promise((resolve) => closed.addEventListener('abort', () => resolve(), { once: true }))
}

/** Reads to the end by `read`. */
export async function readAll(connection: Connection, bufferBytes = 65_536): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  const buffer = new Uint8Array(bufferBytes)
  for (let n; (n = await connection.read(buffer)) > 0;) parts.push(buffer.slice(0, n))
  return Buffer.concat(parts)
}
