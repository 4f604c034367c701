/**
 * Two ends of a connection in one memory, with the backpressure of a real one.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteDuplex } from './byte-stream.ts'

/** Bytes that a direction holds by default after a write settled. */
export const MEMORY_PAIR_BYTES = 65_536

/**
 * Two connected ends: what is written to one is read from the other. A write settles when the other end
 * took all but the last `highWaterMark` bytes, which are copied; 0 means that all must have been taken.
 * What is leased out to the reader has not been taken before its release.
 *
 * When one end gives up (`abort`, `cancel`), the other's calls are EPIPE with the reason as their cause.
 *
 * @throws {@link VfioError} EINVAL when `highWaterMark` is no whole number
 * @example
 * ```ts
 * const [here, there] = memoryPair()
 * await Promise.all([save(source, here), restore(destination, there)])
 * ```
 */
export function memoryPair(options: { highWaterMark?: number } = {}): [ByteDuplex, ByteDuplex] {
  const { highWaterMark = MEMORY_PAIR_BYTES } = options
  if (!Number.isSafeInteger(highWaterMark) || highWaterMark < 0) {
    throw new VfioError(
      'EINVAL',
      `Cannot connect: a high water mark of ${highWaterMark}, use 0 or more bytes`,
    )
  }
  const there = new MemoryPipe(highWaterMark)
  const back = new MemoryPipe(highWaterMark)
  return [memoryEnd(there, back), memoryEnd(back, there)]
}

function memoryEnd(outgoing: MemoryPipe, incoming: MemoryPipe): ByteDuplex {
  return {
    write: (chunks) => outgoing.write(chunks),
    close: () => outgoing.close(),
    abort: (reason) => outgoing.abort(reason),
    read: (dst) => incoming.read(dst),
    lease: (maxBytes) => incoming.lease(maxBytes),
    release: () => incoming.release(),
    cancel: (reason) => incoming.cancel(reason),
  }
}

interface Writer {
  resolve(): void
  reject(reason: unknown): void
}

interface Reader {
  /** Gives what is there, or the end. */
  give(): void
  reject(reason: unknown): void
}

/** One direction. At most one read or lease and one write are under way. */
class MemoryPipe {
  readonly #highWaterMark: number
  /** What was written and not read; the writer's own chunks while its write is under way. */
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  /** How many of the last chunks of the queue are the writer's. */
  #borrowed = 0
  #reader: Reader | undefined
  /** Bytes of each lease that is out. */
  readonly #lent: number[] = []
  #writer: Writer | undefined
  #closed = false
  #readFailure: VfioError | undefined
  #writeFailure: VfioError | undefined

  constructor(highWaterMark: number) {
    this.#highWaterMark = highWaterMark
  }

  write(chunks: readonly Uint8Array[]): Awaitable<void> {
    if (this.#writeFailure !== undefined) throw this.#writeFailure
    if (this.#closed) throw new VfioError('EPIPE', 'Cannot write: this end was closed, open a new pair')
    if (this.#writer !== undefined) {
      throw new VfioError('EBUSY', 'Cannot write: a write is under way, wait for it')
    }
    for (const chunk of chunks) {
      if (chunk.length === 0) continue
      this.#queue.push(chunk)
      this.#queuedBytes += chunk.length
      this.#borrowed++
    }
    if (this.#queuedBytes > 0) this.#serveReader()
    if (this.#taken) return this.#own()
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject }
    })
  }

  read(dst: Uint8Array): Awaitable<number> {
    if (dst.length === 0 && this.#readFailure === undefined) return 0
    return this.#give(() => this.#take(dst))
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`)
    }
    return this.#give(() => this.#lend(maxBytes))
  }

  release(): void {
    if (this.#lent.shift() === undefined) {
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first')
    }
    this.#settleWriter()
  }

  close(): void {
    if (this.#writeFailure !== undefined) throw this.#writeFailure
    this.#closed = true
    this.#serveReader()
  }

  abort(reason: unknown): void {
    if (this.#closed) return
    this.#giveUp('read', 'write', reason)
  }

  cancel(reason: unknown): void {
    this.#giveUp('write', 'read', reason)
  }

  #giveUp(other: 'read' | 'write', own: 'read' | 'write', cause: unknown): void {
    if (this.#readFailure !== undefined) return
    const broken = new VfioError('EPIPE', `Cannot ${other}: the other end gave up, see the cause`, { cause })
    const given = new VfioError('ECANCELED', `Cannot ${own}: this end gave up, open a new pair`, { cause })
    this.#readFailure = other === 'read' ? broken : given
    this.#writeFailure = other === 'write' ? broken : given
    this.#queue = []
    this.#queuedBytes = 0
    this.#borrowed = 0
    this.#reader?.reject(this.#readFailure)
    this.#writer?.reject(this.#writeFailure)
    this.#reader = undefined
    this.#writer = undefined
  }

  /** What `call` gives, at once when there is something or the end. */
  #give<T>(call: () => T): Awaitable<T> {
    if (this.#readFailure !== undefined) throw this.#readFailure
    if (this.#queuedBytes > 0 || this.#closed) return call()
    if (this.#reader !== undefined) {
      throw new VfioError('EBUSY', 'Cannot read: a read is under way, wait for it')
    }
    return new Promise((resolve, reject) => {
      this.#reader = { give: () => resolve(call()), reject }
    })
  }

  #serveReader(): void {
    const reader = this.#reader
    this.#reader = undefined
    reader?.give()
  }

  #take(dst: Uint8Array): number {
    let filled = 0
    while (filled < dst.length && this.#queue.length > 0) {
      const part = this.#next(dst.length - filled)
      dst.set(part, filled)
      filled += part.length
    }
    this.#settleWriter()
    return filled
  }

  #lend(maxBytes: number): Uint8Array {
    if (this.#queue.length === 0) return new Uint8Array(0)
    const part = this.#next(maxBytes)
    this.#lent.push(part.length)
    return part
  }

  /** Takes the next 1 to `maxBytes` bytes off the queue. */
  #next(maxBytes: number): Uint8Array {
    const chunk = this.#queue[0] as Uint8Array
    const part = chunk.subarray(0, maxBytes)
    if (part.length === chunk.length) this.#queue.shift()
    else this.#queue[0] = chunk.subarray(part.length)
    this.#queuedBytes -= part.length
    this.#borrowed = Math.min(this.#borrowed, this.#queue.length)
    return part
  }

  get #taken(): boolean {
    return this.#queuedBytes <= this.#highWaterMark && this.#lent.length === 0
  }

  #settleWriter(): void {
    if (this.#writer === undefined || !this.#taken) return
    this.#own()
    this.#writer.resolve()
    this.#writer = undefined
  }

  /** The write settles now: its chunks go back to the writer, so what is left of them is copied. */
  #own(): void {
    for (let at = this.#queue.length - this.#borrowed; at < this.#queue.length; at++) {
      // Not `slice`: that of a Buffer is a view.
      this.#queue[at] = new Uint8Array(this.#queue[at] as Uint8Array)
    }
    this.#borrowed = 0
  }
}
