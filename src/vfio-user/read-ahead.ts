/**
 * The saving half of a remote session: MIG_DATA_READs under way, and what they brought, until it is taken.
 *
 * Replies come in the order of the requests and land where they stay: a lease is the receive buffer itself. As long
 * as replies come full, several requests are under way; after a short one a single one, since its next may be the
 * last. As many replies again may wait for the reader.
 *
 * A reply of no bytes is the permanent end in STOP_COPY. Before, it says that there is nothing now (ENOMSG), and
 * somebody who waits for more has the server asked again from time to time.
 *
 * @module
 */

import { type Awaitable, type ErrnoName, VfioError } from '../errors.ts'
import { checkAttached } from '../session/attached.ts'
import type { SessionLife } from '../session/session-life.ts'
import { POLLIN, POLLRDNORM } from '../uapi/poll.ts'
import { VfioUserCommand } from './command.ts'
import { HEADER_BYTES } from './header.ts'
import { LentBuffers, type ReceiveBuffer } from './lent-buffers.ts'
import { broken } from './reply-error.ts'
import type { Requests } from './requests.ts'
import { MigData, readMigData, writeMigData } from './structs.ts'

/** What a {@link ReadAhead} is told. */
export interface ReadAheadOptions {
  /** Bytes of one request. */
  readonly chunkBytes: number
  /** Most requests under way. */
  readonly outstanding: number
  /** Most buffers, those lent out included. */
  readonly buffers: number
  /** Whether the device has stopped: STOP_COPY. */
  readonly stopped: boolean
}

/** Wait before a server that had nothing is asked again: the first, and the longest, milliseconds. */
const FIRST_WAIT_MS = 4
const LONGEST_WAIT_MS = 64
const HEAD = MigData.byteLength

/** A saving session's bytes. */
export class ReadAhead {
  readonly direction = 'save'
  readonly #life: SessionLife
  readonly #requests: Requests
  readonly #chunkBytes: number
  readonly #replyBytes: readonly [number, number]
  readonly #outstanding: number
  readonly #buffers: LentBuffers
  readonly #underWay: ReceiveBuffer[] = []
  #stopped: boolean
  #ended = false
  #over = false
  /** A change of state is under way: no requests. */
  #paused = false
  /** Why there was nothing at the last request. */
  #nothing: 'ENOMSG' | 'EAGAIN' | undefined
  #failure: VfioError | undefined
  /** The last reply was full, so more are asked for at once. */
  #flowing = false
  #turn: Promise<void> = Promise.resolve()
  #takers = 0
  readonly #waiting = new Set<() => void>()
  #watchers = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #waitMs = FIRST_WAIT_MS
  #askedMs = 0

  constructor(life: SessionLife, requests: Requests, options: ReadAheadOptions) {
    this.#life = life
    this.#requests = requests
    this.#chunkBytes = options.chunkBytes
    this.#replyBytes = [HEAD, HEAD + options.chunkBytes]
    this.#outstanding = options.outstanding
    this.#buffers = new LentBuffers(HEAD + options.chunkBytes, options.buffers)
    this.#stopped = options.stopped
  }

  read(dst: Uint8Array): Awaitable<number> {
    this.#enter('read')
    if (this.#buffers.lent > 0)
      throw new VfioError('EBUSY', 'Cannot read: a lease is out, release it', { syscall: 'read' })
    if (dst.length > 0) return this.#give('read', () => this.#buffers.copy(dst))
    checkAttached(dst, 'read')
    return 0
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    this.#enter('lease')
    if (Number.isSafeInteger(maxBytes) && maxBytes >= 1)
      return this.#give('lease', () => this.#buffers.lend(maxBytes))
    throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`, {
      syscall: 'lease',
    })
  }

  /** Works after the end, too: bytes on their way to a socket are given back late. */
  release(): void {
    if (!this.#buffers.release()) {
      this.#life.checkOpen('release')
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first', { syscall: 'release' })
    }
    if (this.#flowing) this.#ask()
    this.#changed()
  }

  poll(): number {
    const isReady = this.#buffers.filled > 0 || this.#ended || this.#failure !== undefined
    const mayAsk = this.#nothing === undefined && (this.#buffers.hasSpare || this.#underWay.length > 0)
    return isReady || mayAsk ? POLLIN | POLLRDNORM : 0
  }

  /** Somebody waits for bytes: a server that has none is asked from time to time, until the result is called. */
  watch(): () => void {
    this.#watchers++
    this.#schedule()
    return () => {
      this.#watchers--
      if (this.#watchers === 0) this.#stopTimer()
    }
  }

  /** No request from now on; resolves when none is under way. */
  async drain(): Promise<void> {
    this.#paused = true
    while (this.#underWay.length > 0) await this.#change()
  }

  /** Goes on after {@link drain}. */
  resume(): void {
    this.#paused = false
    this.#changed()
  }

  /** STOP_COPY was entered: the stream goes on to its end. */
  stop(): void {
    this.#stopped = true
    this.#nothing = undefined
  }

  end(): void {
    this.#over = true
    this.#stopTimer()
    this.#buffers.drop()
    this.#changed()
  }

  /** Nobody releases any more. */
  reclaim(): void {
    if (this.#over) this.#buffers.reclaim()
  }

  #enter(syscall: string): void {
    this.#life.checkOpen(syscall, 'save')
    this.#life.checkLive(syscall)
  }

  /** What `take` gives, at once when it is there; those who wait take turns. */
  #give<T>(syscall: string, take: () => T): Awaitable<T> {
    if (this.#takers > 0 || this.#buffers.filled === 0) return this.#giveLater(syscall, take)
    const taken = take()
    if (this.#flowing) this.#ask()
    return taken
  }

  async #giveLater<T>(syscall: string, take: () => T): Promise<T> {
    const before = this.#turn
    let hand!: () => void
    this.#turn = new Promise((resolve) => (hand = resolve))
    this.#takers++
    try {
      await before
      return await this.#awaitBytes(syscall, take)
    } finally {
      this.#takers--
      hand()
    }
  }

  async #awaitBytes<T>(syscall: string, take: () => T): Promise<T> {
    let mayAsk = true
    for (;;) {
      if (this.#buffers.filled > 0 && !this.#over) {
        const taken = take()
        if (this.#flowing) this.#ask()
        return taken
      }
      this.#life.checkOpen(syscall)
      this.#life.checkNotEnded(syscall)
      if (this.#failure !== undefined) throw this.#failure
      if (this.#ended) return take()
      if (!this.#paused && this.#underWay.length === 0) {
        if (!mayAsk || !this.#buffers.hasSpare) throw this.#nothingNow(syscall)
        mayAsk = false
        this.#ask()
      } else if (!mayAsk && this.#nothing !== undefined) {
        throw this.#nothingNow(syscall)
      }
      await this.#change()
    }
  }

  #nothingNow(syscall: string): VfioError {
    const code: ErrnoName = this.#nothing ?? 'EAGAIN'
    const remedy = code === 'ENOMSG' ? 'wait or enter STOP_COPY' : 'wait or release a lease'
    return new VfioError(code, `Cannot ${syscall}: nothing to read now, ${remedy}`, { syscall })
  }

  /** Asks for as much as may be ahead. */
  #ask(): void {
    const isOver = this.#ended || this.#failure !== undefined || this.#over || this.#life.closed
    if (isOver || this.#paused) return
    const depth = this.#flowing ? this.#outstanding : 1
    while (this.#underWay.length < depth && this.#underWay.length + this.#buffers.filled < 2 * depth) {
      const buffer = this.#buffers.take()
      if (buffer === undefined) return
      this.#nothing = undefined
      this.#request(buffer)
    }
  }

  #request(buffer: ReceiveBuffer): void {
    this.#underWay.push(buffer)
    this.#askedMs = performance.now()
    const message = new Uint8Array(HEADER_BYTES + HEAD)
    writeMigData(message, HEADER_BYTES, this.#chunkBytes)
    const options = {
      action: 'read the data session',
      replyBytes: this.#replyBytes,
      place: (payloadBytes: number) => buffer.bytes.subarray(0, payloadBytes),
    }
    this.#requests.call(VfioUserCommand.MIG_DATA_READ, message, options).then(
      ({ payload }) => this.#arrived(buffer, payload),
      (error: unknown) => this.#refused(buffer, error as VfioError),
    )
  }

  #arrived(buffer: ReceiveBuffer, payload: Uint8Array): void {
    const { size } = readMigData(payload)
    const isNext = this.#underWay.shift() === buffer
    const isWhole = size <= payload.length - HEAD
    if (!isNext) this.#requests.giveUp(broken('data in another order than it was asked for'))
    else if (!isWhole) this.#requests.giveUp(broken(`${size} bytes of data in a shorter message`))
    else if (this.#ended && size > 0) this.#requests.giveUp(broken('data after the end'))
    const isLost = !isNext || !isWhole || this.#over || this.#failure !== undefined
    if (size === 0 || isLost) {
      this.#buffers.giveBack(buffer)
      this.#flowing = false
      if (size === 0 && !isLost) this.#without()
    } else {
      this.#nothing = undefined
      this.#waitMs = FIRST_WAIT_MS
      this.#flowing = size === this.#chunkBytes
      this.#buffers.fill(buffer, HEAD, HEAD + size)
      if (this.#flowing) this.#ask()
    }
    this.#changed()
  }

  #without(): void {
    if (this.#stopped) this.#ended = true
    else this.#nothing = 'ENOMSG'
  }

  #refused(buffer: ReceiveBuffer, error: VfioError): void {
    this.#underWay.splice(this.#underWay.indexOf(buffer), 1)
    this.#buffers.giveBack(buffer)
    this.#flowing = false
    if (VfioError.is(error, 'EAGAIN')) this.#nothing = 'EAGAIN'
    else if (VfioError.is(error, 'ENOMSG') && !this.#stopped) this.#nothing = 'ENOMSG'
    else this.#failure ??= error
    this.#changed()
  }

  /** Resolves at the next change of what there is. */
  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #changed(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
    this.#schedule()
    this.#life.wake()
  }

  /** The next question to a server that had nothing, while somebody waits. */
  #schedule(): void {
    const isIdle = this.#nothing !== undefined && this.#underWay.length === 0 && !this.#over
    if (!isIdle || this.#watchers === 0 || this.#timer !== undefined) return
    const wait = Math.max(0, this.#askedMs + this.#waitMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#waitMs = Math.min(this.#waitMs * 2, LONGEST_WAIT_MS)
      if (this.#nothing !== undefined && this.#underWay.length === 0 && !this.#paused) this.#askAgain()
    }, wait)
  }

  /** What is said to whoever polls stays as it is until the answer. */
  #askAgain(): void {
    const buffer = this.#buffers.take()
    if (buffer !== undefined) this.#request(buffer)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
