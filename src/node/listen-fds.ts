/**
 * Waits for connections over a UNIX socket, for file descriptors beside the bytes.
 *
 * @module
 */

import { canceled } from '../transport/index.ts'
import type { Listener } from './connection.ts'
import type { FdConnection, FdConnectionOptions } from './fd-connection.ts'
import { FdReadiness } from './fd-readiness.ts'
import { FdSocket } from './fd-socket.ts'
import { libc, type Libc } from './libc.ts'
import { systemFailure } from './system-failure.ts'
import { openUnixSocket, SOCKET_FLAGS, unixAddress, unixPath } from './unix-address.ts'
import { checkSocketPath, placeSocket, removeSocket, temporarySocket } from './unix-path.ts'

/** Options of {@link listenFds}; those of connections count for each one. */
export interface FdListenOptions extends FdConnectionOptions {
  /** Cancels listening; later it closes the listener. */
  readonly signal?: AbortSignal | undefined
}

const BACKLOG = 511
/** Connections taken in one turn of the event loop. */
const TURN_CALLS = 32
/** Without descriptors or memory for a connection, the next try is made after so long. */
const PAUSE_MS = 100
const EAGAIN = 11
/** ENFILE, EMFILE, ENOMEM, ENOBUFS: the connection waits until there is room. */
const NO_ROOM = new Set([23, 24, 12, 105])

/**
 * Listens on `unix:PATH` as {@link listen} does, and hands out connections that pass file descriptors by `fds`.
 * Clients that pass none are served, too.
 *
 * @throws {@link VfioError} EOPNOTSUPP no descriptors here, see {@link fdPassingObstacle}; EINVAL no URL of a
 * UNIX socket; EADDRINUSE somebody listens there; EEXIST the path is no socket; ECANCELED by the signal; else
 * the system's errno
 * @example
 * ```ts
 * import { fdPassingObstacle, listenFds } from 'stopcopy/node'
 * if (fdPassingObstacle() === undefined) {
 *   const listener = await listenFds('unix:/tmp/example.sock', (connection) => {
 *     for (const fd of connection.fds.take()) connection.fds.close(fd)
 *   })
 *   await listener.close()
 * }
 * ```
 */
export async function listenFds(
  url: string,
  onConnection: (connection: FdConnection) => void,
  options: FdListenOptions = {},
): Promise<Listener> {
  const calls = libc()
  const path = unixPath(url)
  const { signal } = options
  const action = `listen on "${url}"`
  if (signal?.aborted === true) throw canceled(action, signal)
  await checkSocketPath(path)
  const fd = openUnixSocket(calls, action)
  let placed: { path: string; inode: number }
  try {
    const temporary = temporarySocket(path)
    const address = unixAddress(temporary)
    const bound = calls.bind(fd, calls.addressOf(address), address.length)
    if (bound < 0) throw systemFailure(action, 'bind', bound)
    const listening = calls.listen(fd, BACKLOG)
    if (listening < 0) throw systemFailure(action, 'listen', listening)
    placed = await placeSocket(temporary, path)
  } catch (error) {
    calls.close(fd)
    throw error
  }
  const { idleTimeoutMs, timeoutMs, maxFds } = options
  const take = (accepted: number): void =>
    onConnection(new FdSocket(calls, accepted, url, { idleTimeoutMs, timeoutMs, maxFds }))
  const listener = new FdListener(calls, fd, url, take, () => removeSocket(placed))
  if (signal === undefined) return listener
  if (signal.aborted) {
    await listener.close()
    throw canceled(action, signal)
  }
  listener.closeOn(signal)
  return listener
}

class FdListener implements Listener {
  readonly url: string
  readonly #calls: Libc
  readonly #fd: number
  readonly #take: (fd: number) => void
  readonly #remove: () => Promise<void>
  readonly #readiness: FdReadiness
  #pause: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #forget: () => void = () => {}

  constructor(calls: Libc, fd: number, url: string, take: (fd: number) => void, remove: () => Promise<void>) {
    this.#calls = calls
    this.#fd = fd
    this.url = url
    this.#take = take
    this.#remove = remove
    this.#readiness = new FdReadiness(calls, fd, () => this.#accept())
    this.#readiness.want(true, false)
  }

  /** Closes itself when the signal is aborted. */
  closeOn(signal: AbortSignal): void {
    const close = (): void => void this.close()
    signal.addEventListener('abort', close, { once: true })
    this.#forget = () => signal.removeEventListener('abort', close)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#forget()
    clearTimeout(this.#pause)
    this.#readiness.close()
    this.#calls.close(this.#fd)
    await this.#remove()
  }

  #accept(): void {
    for (let call = 0; call < TURN_CALLS && this.#closing === undefined; call++) {
      const accepted = this.#calls.accept4(this.#fd, null, null, SOCKET_FLAGS)
      if (accepted === -EAGAIN) return
      if (NO_ROOM.has(-accepted)) {
        this.#readiness.want(false, false)
        this.#pause = setTimeout(() => this.#readiness.want(true, false), PAUSE_MS)
        return
      }
      // Such as ECONNABORTED: that one is lost, and the next one may not be.
      if (accepted >= 0) this.#take(accepted)
    }
  }
}
