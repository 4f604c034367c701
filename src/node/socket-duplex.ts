/**
 * A connected socket as a connection.
 *
 * What is written stays where it lies until the kernel took it; nothing is held here. What is received is held
 * until it was read, in memory of one size; while that is full, the socket does not read.
 *
 * @module
 */

import type { Socket } from 'node:net'
import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteWindows } from '../transport/index.ts'
import type { Connection, ConnectionOptions } from './connection.ts'
import type { Receiver } from './receiver.ts'
import { socketError } from './socket-error.ts'
import { resetOnClose } from './socket-handle.ts'

interface Reader {
  /** Gives what is there, or the end. */
  give(): void
  reject(reason: unknown): void
}

/** A connection over a socket that is connected. At most one read or lease and one write are under way. */
export class SocketDuplex implements Connection {
  readonly peer: string
  readonly #socket: Socket
  readonly #receiver: Receiver
  readonly #closed = new AbortController()
  readonly #idleTimeoutMs: number
  #timer: NodeJS.Timeout | undefined
  #reader: Reader | undefined
  /** Of the write or close under way. */
  #settleWrite: ((error?: Error | null) => void) | undefined
  #readEnded = false
  #isClosing = false
  #isFinished = false
  #failure: VfioError | undefined

  constructor(socket: Socket, receiver: Receiver, peer: string, options: ConnectionOptions) {
    this.peer = peer
    this.#socket = socket
    this.#receiver = receiver
    this.#idleTimeoutMs = options.idleTimeoutMs ?? 0
    receiver.wake = () => this.#serveReader()
    socket.on('end', () => {
      this.#readEnded = true
      this.#serveReader()
    })
    socket.on('error', (error) => this.#fail(socketError(error, `use ${peer}`)))
    socket.on('close', () => this.#end())
    socket.on('timeout', () => this.#idle())
    if (options.timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.#expire(`it took ${options.timeoutMs} ms`), options.timeoutMs)
    }
    receiver.attach(socket)
    if (socket.destroyed) this.#end()
  }

  get #held(): Receiver['held'] {
    return this.#receiver.held
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  write(chunks: Uint8Array[]): Awaitable<void> {
    this.#checkWrite('write to')
    const filled = chunks.filter(({ length }) => length > 0)
    const last = filled.pop()
    if (last === undefined) return
    return this.#writing((settle) => {
      // One `writev` of the memory as it lies; called back when the kernel took all of it.
      this.#socket.cork()
      for (const chunk of filled) this.#socket.write(chunk)
      this.#socket.write(last, settle)
      this.#socket.uncork()
    })
  }

  read(dst: Uint8Array): Awaitable<number> {
    if (dst.length === 0) return 0
    return this.#give(() => (this.#held.byteLength > 0 ? this.#resuming(this.#held.take(dst)) : 0))
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`)
    }
    return this.#give(() => (this.#held.byteLength > 0 ? this.#held.lend(maxBytes) : new Uint8Array(0)))
  }

  release(): void {
    this.#held.release()
    this.#resuming(undefined)
  }

  readInto(windows: ByteWindows, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#reader !== undefined) throw this.#busy()
      signal?.throwIfAborted()
      const settle = (call: () => void): void => {
        signal?.removeEventListener('abort', onAbort)
        this.#reader = undefined
        call()
      }
      const onAbort = (): void => {
        this.#receiver.withdraw()
        settle(() => reject((signal as AbortSignal).reason))
      }
      const stopped = (error?: unknown): void =>
        settle(() => (error === undefined ? resolve(false) : reject(error)))
      this.#reader = {
        give: () => {
          this.#receiver.withdraw()
          settle(() => resolve(true))
        },
        reject: (reason) => settle(() => reject(reason)),
      }
      signal?.addEventListener('abort', onAbort)
      this.#watchIdle()
      this.#receiver.fill(windows, stopped)
      if (this.#reader === undefined) return
      if (this.#readEnded) this.#serveReader()
      else if (this.#failure !== undefined) this.#rejectReader(this.#failure)
    })
  }

  async close(): Promise<void> {
    if (this.#isFinished) return
    this.#checkWrite('close')
    this.#isClosing = true
    await this.#writing((settle) => this.#socket.end(settle))
    this.#isFinished = true
  }

  async abort(reason?: unknown): Promise<void> {
    if (!this.#isFinished) await this.#giveUp(reason)
  }

  async cancel(reason?: unknown): Promise<void> {
    await this.#giveUp(reason)
  }

  async #giveUp(cause: unknown): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#held.clear()
    if (!this.#isClosing) resetOnClose(this.#socket)
    this.#fail(
      new VfioError('ECANCELED', `Cannot use ${this.peer}: this end gave up, connect again`, { cause }),
    )
    if (!this.#closed.signal.aborted) {
      await new Promise((resolve) => this.#closed.signal.addEventListener('abort', resolve, { once: true }))
    }
  }

  /** One write, or the end of writing, under way. */
  #writing(start: (settle: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error | null): void => {
        if (this.#settleWrite !== settle) return
        this.#settleWrite = undefined
        if (error instanceof Error) this.#fail(socketError(error, `write to ${this.peer}`))
        if (this.#failure === undefined) resolve()
        else reject(this.#failure)
      }
      this.#settleWrite = settle
      this.#watchIdle()
      start(settle)
    })
  }

  #checkWrite(action: string): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosing) {
      throw new VfioError('EPIPE', `Cannot ${action} ${this.peer}: this end was closed, connect again`)
    }
    if (this.#settleWrite !== undefined) {
      throw new VfioError('EBUSY', `Cannot ${action} ${this.peer}: a write is under way, wait for it`)
    }
  }

  /** What `call` gives, at once when there is something or the end. */
  #give<T>(call: () => T): Awaitable<T> {
    if (this.#reader !== undefined) throw this.#busy()
    if (this.#held.byteLength > 0) return call()
    if (this.#readEnded) return call()
    if (this.#failure !== undefined) throw this.#failure
    return new Promise((resolve, reject) => {
      this.#reader = { give: () => resolve(call()), reject }
      this.#watchIdle()
    })
  }

  #serveReader(): void {
    const reader = this.#reader
    this.#reader = undefined
    reader?.give()
  }

  #rejectReader(failure: VfioError): void {
    const reader = this.#reader
    this.#reader = undefined
    // Nothing is written any more to where it reads.
    this.#receiver.withdraw()
    reader?.reject(failure)
  }

  #busy(): VfioError {
    return new VfioError('EBUSY', `Cannot read from ${this.peer}: a read is under way, wait for it`)
  }

  /** Receives on when there is room again. */
  #resuming<T>(result: T): T {
    if (!this.#readEnded && this.#failure === undefined) this.#receiver.resume()
    return result
  }

  /** Remembers the first failure and gives up the socket; the calls under way settle when it is gone. */
  #fail(failure: VfioError): VfioError {
    if (this.#failure === undefined) {
      this.#failure = failure
      this.#stopTimer()
      if (!this.#socket.destroyed) this.#socket.destroy()
      this.#rejectReader(failure)
    }
    return this.#failure
  }

  #end(): void {
    this.#stopTimer()
    if (this.#failure === undefined && !(this.#readEnded && this.#socket.writableFinished)) {
      this.#fail(
        new VfioError('ECONNRESET', `Cannot use ${this.peer}: the connection is gone, connect again`),
      )
    }
    this.#settleWrite?.()
    if (this.#closed.signal.aborted) return
    this.#closed.abort(
      this.#failure ??
        new VfioError('ENOTCONN', `Cannot use ${this.peer}: both ends have closed it, connect again`),
    )
  }

  #watchIdle(): void {
    if (this.#idleTimeoutMs > 0) this.#socket.setTimeout(this.#idleTimeoutMs)
  }

  #idle(): void {
    if (this.#reader === undefined && this.#settleWrite === undefined) return
    this.#expire(`nothing moved for ${this.#idleTimeoutMs} ms`)
  }

  #expire(what: string): void {
    this.#held.clear()
    this.#fail(
      new VfioError('ETIMEDOUT', `Cannot use ${this.peer}: ${what}, check the other end or allow more`),
    )
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
