/**
 * A connected UNIX socket that carries file descriptors, as a connection.
 *
 * Bytes go from the kernel straight to where they are read, and nothing is read ahead: so the descriptors that
 * came with some bytes are known when those bytes are. What is written stays where it lies until the kernel
 * took it.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteWindows } from '../transport/index.ts'
import type { FdConnection, FdConnectionOptions } from './fd-connection.ts'
import { FdSocketPassing } from './fd-socket-passing.ts'
import { FdReceiver, FdSender, MAX_FDS } from './fd-message.ts'
import { FdReadiness } from './fd-readiness.ts'
import { IdleClock } from './idle-clock.ts'
import type { Libc } from './libc.ts'
import { systemFailure } from './system-failure.ts'

const EAGAIN = 11
const ENOTCONN = 107
const SHUT_WR = 1
const SOL_SOCKET = 1
const SO_SNDBUF = 7
/** What the kernel holds of what is written, where it may: a reply of 1 MiB goes in one call. */
const SEND_BYTES = 1024 * 1024
/** Most bytes of one read, and of one lease. */
const WINDOW_BYTES = 1024 * 1024
const LEASE_BYTES = 64 * 1024
/** Calls of the system in one turn of the event loop, each way: a peer that floods us is not all we do. */
const TURN_CALLS = 32

interface Reader {
  /** Goes on; whether it is done. */
  proceed(): boolean
  reject(reason: unknown): void
}

interface Writer {
  resolve(): void
  reject(reason: unknown): void
}

/** A connection over the descriptor of a connected socket. At most one read and one write are under way. */
export class FdSocket implements FdConnection {
  readonly peer: string
  readonly fds: FdSocketPassing
  readonly #libc: Libc
  readonly #fd: number
  readonly #readiness: FdReadiness
  readonly #receiver: FdReceiver
  readonly #sender: FdSender
  readonly #clock: IdleClock
  readonly #closed = new AbortController()
  readonly #maxFds: number
  #pendingFds: number[] = []
  #reader: Reader | undefined
  #writer: Writer | undefined
  #leases = 0
  /** Calls left in this turn. */
  #readCalls = TURN_CALLS
  #writeCalls = TURN_CALLS
  #turn: NodeJS.Immediate | undefined
  #readEnded = false
  #isClosing = false
  #failure: VfioError | undefined

  /** @param fd becomes this connection's: it is closed with it */
  constructor(libc: Libc, fd: number, peer: string, options: FdConnectionOptions = {}) {
    this.peer = peer
    this.#libc = libc
    this.#fd = fd
    this.#maxFds = options.maxFds ?? MAX_FDS
    const sendBytes = new Uint8Array(new Int32Array([SEND_BYTES]).buffer)
    // Its limit is the system's; less is slower and no fault.
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, libc.addressOf(sendBytes), 4)
    this.#receiver = new FdReceiver(libc)
    this.#sender = new FdSender(libc)
    this.fds = new FdSocketPassing(libc, {
      take: () => this.#take(),
      write: (chunks, fds) => this.#write(chunks, fds),
    })
    this.#clock = new IdleClock(options, (what) => this.#expire(what))
    this.#readiness = new FdReadiness(libc, fd, ({ readable, writable }) => this.#proceed(readable, writable))
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  write(chunks: Uint8Array[]): Awaitable<void> {
    return this.#write(chunks, [])
  }

  read(dst: Uint8Array): Awaitable<number> {
    if (dst.length === 0) return 0
    return this.#reading(() => this.#receive(dst))
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`)
    }
    const memory = new Uint8Array(Math.min(maxBytes, LEASE_BYTES))
    return this.#reading(() => {
      const byteLength = this.#receive(memory)
      if (byteLength === undefined) return undefined
      if (byteLength > 0) this.#leases++
      return memory.subarray(0, byteLength)
    })
  }

  release(): void {
    if (this.#leases === 0) throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first')
    this.#leases--
  }

  readInto(windows: ByteWindows, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#checkRead()
      signal?.throwIfAborted()
      const settle = (call: () => void): void => {
        signal?.removeEventListener('abort', onAbort)
        this.#reader = undefined
        call()
      }
      const onAbort = (): void => settle(() => reject((signal as AbortSignal).reason))
      const reader: Reader = {
        proceed: () => {
          try {
            const ended = this.#fill(windows, reader)
            if (ended === undefined) return false
            settle(() => resolve(ended))
          } catch (error) {
            if (this.#reader === reader) settle(() => reject(error))
          }
          return true
        },
        reject: (reason) => settle(() => reject(reason)),
      }
      signal?.addEventListener('abort', onAbort)
      this.#begin(reader)
    })
  }

  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#checkWrite('close')
    const result = this.#libc.shutdown(this.#fd, SHUT_WR)
    // The other end is gone, which a read tells.
    if (result < 0 && result !== -ENOTCONN) {
      throw this.#fail(systemFailure(`close ${this.peer}`, 'shutdown', result))
    }
    this.#isClosing = true
    this.#endWhenDone()
  }

  async abort(reason?: unknown): Promise<void> {
    if (!this.#isClosing) this.#giveUp(reason)
  }

  async cancel(reason?: unknown): Promise<void> {
    this.#giveUp(reason)
  }

  #take(): number[] {
    const fds = this.#pendingFds
    this.#pendingFds = []
    return fds
  }

  #write(chunks: readonly Uint8Array[], fds: readonly number[]): Awaitable<void> {
    this.#checkWrite('write to')
    const filled = chunks.filter(({ length }) => length > 0)
    if (fds.length > MAX_FDS || (fds.length > 0 && filled.length === 0)) {
      throw new VfioError(
        'EINVAL',
        `Cannot write to ${this.peer}: ${fds.length} descriptors go with a byte or more and are at most ${MAX_FDS}`,
      )
    }
    if (filled.length === 0) return
    this.#sender.begin(filled, fds)
    if (--this.#writeCalls > 0 && this.#send()) return
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject }
      this.#clock.start()
      this.#watch()
    })
  }

  /** Whether all was sent. */
  #send(): boolean {
    const sent = this.#sender.send(this.#fd)
    if (sent >= 0) return sent === 1
    throw this.#fail(systemFailure(`write to ${this.peer}`, 'sendmsg', sent))
  }

  /** What `attempt` gives, as soon as it is something. */
  #reading<T>(attempt: () => T | undefined): Awaitable<T> {
    this.#checkRead()
    if (this.#failure !== undefined) throw this.#failure
    if (--this.#readCalls > 0) {
      const result = attempt()
      if (result !== undefined) return result
    }
    return new Promise((resolve, reject) => {
      const proceed = (): boolean => {
        // A failure has rejected it.
        const result = attempt()
        if (result === undefined) return false
        this.#reader = undefined
        resolve(result)
        return true
      }
      this.#reader = { proceed, reject }
      this.#clock.start()
      this.#watch()
    })
  }

  #begin(reader: Reader): void {
    this.#reader = reader
    this.#clock.start()
    if (this.#failure !== undefined) this.#reject(this.#failure)
    else if (!reader.proceed()) this.#watch()
  }

  /** Whether the end came, or undefined when there is nothing now. */
  #fill(windows: ByteWindows, reader: Reader): boolean | undefined {
    while (this.#reader === reader) {
      if (--this.#readCalls < 0) return undefined
      const window = windows.window(WINDOW_BYTES)
      if (window.length === 0) return false
      // Asking for a window may have ended all.
      if (this.#reader !== reader) return undefined
      const byteLength = this.#receive(window)
      if (byteLength === undefined) return undefined
      if (byteLength === 0) return true
      windows.commit(byteLength)
      // That was all there is, or a message with descriptors begins behind it.
      if (byteLength < window.length) return undefined
    }
    return undefined
  }

  /** The bytes, 0 at the end, undefined when there is nothing now. */
  #receive(dst: Uint8Array): number | undefined {
    if (this.#readEnded) return 0
    const fds = this.#pendingFds
    const byteLength = this.#receiver.receive(this.#fd, dst, fds)
    if (byteLength === -EAGAIN) return undefined
    if (byteLength < 0) throw this.#fail(systemFailure(`read from ${this.peer}`, 'recvmsg', byteLength))
    if (this.#receiver.truncated) throw this.#fail(this.#lostFds())
    if (fds.length > this.#maxFds) throw this.#fail(this.#tooManyFds(fds.length))
    this.#clock.moved()
    if (byteLength === 0) {
      this.#readEnded = true
      this.#endWhenDone()
    }
    return byteLength
  }

  /** A turn of the event loop in which something can go on. */
  #proceed(readable: boolean, writable: boolean): void {
    this.#readCalls = TURN_CALLS
    this.#writeCalls = TURN_CALLS
    try {
      if (readable && this.#reader?.proceed() === true) this.#settleIdle()
      if (writable && this.#writer !== undefined) this.#proceedWriting(this.#writer)
    } catch (error) {
      // Whoever waited was told of it.
      if (error !== this.#failure) throw error
    }
    this.#watch()
  }

  #proceedWriting(writer: Writer): void {
    this.#clock.moved()
    if (!this.#send()) return
    this.#writer = undefined
    this.#settleIdle()
    writer.resolve()
  }

  /** Has the event loop tell when it goes on; at once where only this turn's calls were used up. */
  #watch(): void {
    if (this.#failure !== undefined || this.#closed.signal.aborted) return
    this.#readiness.want(this.#reader !== undefined && !this.#readEnded, this.#writer !== undefined)
    if (this.#reader === undefined || !this.#readEnded) return
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.#proceed(true, false)
    })
  }

  #settleIdle(): void {
    if (this.#reader === undefined && this.#writer === undefined) this.#clock.stop()
  }

  #checkRead(): void {
    if (this.#reader === undefined) return
    throw new VfioError('EBUSY', `Cannot read from ${this.peer}: a read is under way, wait for it`)
  }

  #checkWrite(action: string): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isClosing) {
      throw new VfioError('EPIPE', `Cannot ${action} ${this.peer}: this end was closed, connect again`)
    }
    if (this.#writer !== undefined) {
      throw new VfioError('EBUSY', `Cannot ${action} ${this.peer}: a write is under way, wait for it`)
    }
  }

  #giveUp(cause: unknown): void {
    if (this.#closed.signal.aborted) return
    this.#fail(
      new VfioError('ECANCELED', `Cannot use ${this.peer}: this end gave up, connect again`, { cause }),
    )
  }

  #expire(what: string): void {
    this.#fail(
      new VfioError('ETIMEDOUT', `Cannot use ${this.peer}: ${what}, check the other end or allow more`),
    )
  }

  #lostFds(): VfioError {
    return new VfioError(
      'EMFILE',
      `Cannot read from ${this.peer}: not all of its descriptors could be taken, close some or raise \`ulimit -n\``,
    )
  }

  #tooManyFds(count: number): VfioError {
    return new VfioError(
      'EMSGSIZE',
      `Cannot read from ${this.peer}: ${count} descriptors came and nobody took them, send at most ${this.#maxFds}`,
    )
  }

  /** Ends all with the first failure. */
  #fail(failure: VfioError): VfioError {
    if (this.#failure !== undefined) return this.#failure
    this.#failure = failure
    this.#release()
    this.#reject(failure)
    this.#closed.abort(failure)
    return failure
  }

  #reject(failure: VfioError): void {
    const { reader, writer } = { reader: this.#reader, writer: this.#writer }
    this.#reader = undefined
    this.#writer = undefined
    reader?.reject(failure)
    writer?.reject(failure)
  }

  /** Both directions have ended. */
  #endWhenDone(): void {
    if (!this.#readEnded || !this.#isClosing || this.#closed.signal.aborted) return
    this.#release()
    this.#closed.abort(
      new VfioError('ENOTCONN', `Cannot use ${this.peer}: both ends have closed it, connect again`),
    )
  }

  #release(): void {
    this.#clock.end()
    clearImmediate(this.#turn)
    this.#readiness.close()
    this.#libc.close(this.#fd)
    for (const fd of this.#take()) this.#libc.close(fd)
  }
}
