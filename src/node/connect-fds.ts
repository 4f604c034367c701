/**
 * Connects to a UNIX socket, for file descriptors beside the bytes.
 *
 * @module
 */

import { setTimeout as delay } from 'node:timers/promises'
import { VfioError } from '../errors.ts'
import { canceled } from '../transport/index.ts'
import type { FdConnection, FdConnectionOptions } from './fd-connection.ts'
import { FdSocket } from './fd-socket.ts'
import { giveUpOn } from './give-up-on.ts'
import { libc, type Libc } from './libc.ts'
import { systemFailure } from './system-failure.ts'
import { openUnixSocket, unixAddress, unixPath } from './unix-address.ts'

/** Options of {@link connectFds}. */
export interface FdConnectOptions extends FdConnectionOptions {
  /** Cancels connecting; later it gives up the connection. */
  readonly signal?: AbortSignal | undefined
  /** Until a listener that has too many others waiting takes us. Default: 10,000. */
  readonly connectTimeoutMs?: number | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
/** A full listener is asked again after so long: nothing tells when it has room. */
const RETRY_MS = 10
const EAGAIN = 11

/**
 * Connects to `unix:PATH` as {@link connect} does, and passes file descriptors both ways by `fds`. What was
 * received goes from the kernel straight to where it is read, so no `receiveMemory` is needed.
 *
 * @throws {@link VfioError} EOPNOTSUPP no descriptors here, see {@link fdPassingObstacle}; EINVAL no URL of a
 * UNIX socket; ECONNREFUSED or ENOENT nobody listens; ETIMEDOUT; ECANCELED by the signal; else the system's errno
 * @example
 * ```ts
 * import { connectFds, fdPassingObstacle, listenFds } from 'stopcopy/node'
 * if (fdPassingObstacle() === undefined) {
 *   const listener = await listenFds('unix:/tmp/example.sock', (connection) => void connection.cancel())
 *   const connection = await connectFds(listener.url)
 *   const event = connection.fds.createEvent()
 *   await connection.fds.write([new Uint8Array(1)], [event])
 *   connection.fds.close(event)
 *   await connection.cancel()
 *   await listener.close()
 * }
 * ```
 */
export async function connectFds(url: string, options: FdConnectOptions = {}): Promise<FdConnection> {
  const calls = libc()
  const path = unixPath(url)
  const { signal } = options
  if (signal?.aborted === true) throw canceled(`connect to "${url}"`, signal)
  const fd = openUnixSocket(calls, `connect to "${url}"`)
  try {
    await connected(calls, fd, path, url, options)
  } catch (error) {
    calls.close(fd)
    throw error
  }
  const connection = new FdSocket(calls, fd, url, options)
  if (signal !== undefined) giveUpOn(signal, connection)
  return connection
}

async function connected(
  calls: Libc,
  fd: number,
  path: string,
  url: string,
  { signal, connectTimeoutMs = CONNECT_TIMEOUT_MS }: FdConnectOptions,
): Promise<void> {
  const action = `connect to "${url}"`
  const address = unixAddress(path)
  const start = performance.now()
  for (;;) {
    const result = calls.connect(fd, calls.addressOf(address), address.length)
    if (result >= 0) return
    if (result !== -EAGAIN) throw systemFailure(action, 'connect', result)
    if (performance.now() - start >= connectTimeoutMs) {
      throw new VfioError('ETIMEDOUT', `Cannot ${action}: no answer for ${connectTimeoutMs} ms, check it`)
    }
    try {
      await delay(RETRY_MS, undefined, { signal })
    } catch {
      throw canceled(action, signal as AbortSignal)
    }
  }
}
