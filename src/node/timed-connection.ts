/**
 * Time limits for a connection whose transport has none of its own.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { Connection, ConnectionOptions } from './connection.ts'

/** The connection itself, or one that gives up when nothing moves, or when it has lasted for too long. */
export function timedConnection(connection: Connection, options: ConnectionOptions): Connection {
  const { idleTimeoutMs, timeoutMs } = options
  if (idleTimeoutMs === undefined && timeoutMs === undefined) return connection
  return new TimedConnection(connection, idleTimeoutMs, timeoutMs)
}

class TimedConnection implements Connection {
  readonly peer: string
  readonly closed: AbortSignal
  readonly #connection: Connection
  readonly #idleTimeoutMs: number | undefined
  #failure: VfioError | undefined

  constructor(connection: Connection, idleTimeoutMs: number | undefined, timeoutMs: number | undefined) {
    this.peer = connection.peer
    this.closed = connection.closed
    this.#connection = connection
    this.#idleTimeoutMs = idleTimeoutMs
    if (timeoutMs === undefined) return
    const timer = setTimeout(() => this.#expire(`it took ${timeoutMs} ms`), timeoutMs)
    this.closed.addEventListener('abort', () => clearTimeout(timer), { once: true })
    if (this.closed.aborted) clearTimeout(timer)
  }

  write(chunks: Uint8Array[]): Awaitable<void> {
    return this.#watched(() => this.#connection.write(chunks))
  }

  read(dst: Uint8Array): Awaitable<number> {
    return this.#watched(() => this.#connection.read(dst))
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    return this.#watched(() => this.#connection.lease(maxBytes))
  }

  release(): void {
    this.#connection.release()
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  abort(reason?: unknown): Promise<void> {
    return this.#connection.abort(reason)
  }

  cancel(reason?: unknown): Promise<void> {
    return this.#connection.cancel(reason)
  }

  async #watched<T>(call: () => Awaitable<T>): Promise<T> {
    const timer =
      this.#idleTimeoutMs === undefined
        ? undefined
        : setTimeout(() => this.#expire(`nothing moved for ${this.#idleTimeoutMs} ms`), this.#idleTimeoutMs)
    try {
      return await call()
    } catch (error) {
      throw this.#failure ?? error
    } finally {
      clearTimeout(timer)
    }
  }

  #expire(what: string): void {
    this.#failure ??= new VfioError(
      'ETIMEDOUT',
      `Cannot use ${this.peer}: ${what}, check the other end or allow more`,
    )
    void this.#connection.abort(this.#failure)
  }
}
