/**
 * The resuming half of a remote session: windows are gathered into messages, and several MIG_DATA_WRITEs may be
 * under way.
 *
 * What was gathered goes out when a message is full, before a `write`, and before RESUMING is left. An error reply
 * leaves a hole in the stream, so it is sticky, and RESUMING is not left with it; only the failure of a `write` of
 * one message that took nothing is not.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import { checkAttached } from '../session/attached.ts'
import type { SessionLife } from '../session/session-life.ts'
import { POLLOUT, POLLWRNORM } from '../uapi/poll.ts'
import { VfioUserCommand } from './command.ts'
import { HEADER_BYTES } from './header.ts'
import type { Requests } from './requests.ts'
import { MigData } from './structs.ts'

/** What a {@link WriteBehind} is told. */
export interface WriteBehindOptions {
  /** Most bytes of data of one message. */
  readonly chunkBytes: number
  /** Most messages under way. */
  readonly outstanding: number
}

const HEAD = MigData.byteLength
/** Room in front of the data: header and head go out in one piece with it. */
const FRONT: number = HEADER_BYTES + HEAD
/** Failures that took nothing, where nothing else was under way. */
const HARMLESS: ReadonlySet<string> = new Set(['EAGAIN', 'EBADF', 'EFAULT', 'EBUSY', 'ENOMEM'])
const ACTION = 'write the data session'

/** A resuming session's bytes. */
export class WriteBehind {
  readonly direction = 'resume'
  readonly #life: SessionLife
  readonly #requests: Requests
  readonly #chunkBytes: number
  readonly #outstanding: number
  readonly #spare: Uint8Array[] = []
  #made = 0
  #underWay = 0
  /** What windows fill, and how far. */
  #gathering: Uint8Array | undefined
  #filled = 0
  #window: Uint8Array | undefined
  /** A call that waits: no other one may go in between. */
  #busy = false
  #failure: VfioError | undefined
  /** Somebody was told of the failure itself. */
  #isTold = false
  readonly #waiting = new Set<() => void>()

  constructor(life: SessionLife, requests: Requests, options: WriteBehindOptions) {
    this.#life = life
    this.#requests = requests
    this.#chunkBytes = options.chunkBytes
    this.#outstanding = options.outstanding
  }

  async write(src: Uint8Array): Promise<number> {
    this.#enter('write')
    this.#checkNoWindow('write')
    this.#checkFailure()
    if (src.length === 0) {
      checkAttached(src, 'write')
      return 0
    }
    this.#busy = true
    try {
      await this.#flush()
      this.#checkFailure()
      await this.#writeThrough(src)
    } finally {
      this.#busy = false
    }
    return src.length
  }

  window(maxBytes: number): Awaitable<Uint8Array> {
    this.#enter('window')
    this.#checkNoWindow('window')
    this.#checkFailure()
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1)
      throw new VfioError('EINVAL', `Cannot open a window of ${maxBytes} bytes: ask for one or more`, {
        syscall: 'window',
      })
    const buffer = this.#room()
    return buffer === undefined ? this.#windowLater(maxBytes) : this.#open(buffer, maxBytes)
  }

  commit(byteLength: number): void {
    this.#enter('commit')
    const window = this.#window
    if (window === undefined)
      throw new VfioError('EINVAL', 'Cannot commit: no window is out, open one', { syscall: 'commit' })
    if (!Number.isSafeInteger(byteLength) || byteLength < 0 || byteLength > window.length) {
      const reason = `the window has ${window.length}, commit that many or fewer`
      throw new VfioError('EINVAL', `Cannot commit ${byteLength} bytes: ${reason}`, { syscall: 'commit' })
    }
    this.#window = undefined
    this.#checkFailure()
    this.#filled += byteLength
    this.#sendFull()
  }

  poll(): number {
    const hasRoom = this.#gathering === undefined ? this.#hasSpare : this.#filled < this.#chunkBytes
    const isReady = hasRoom || this.#failure !== undefined
    return isReady ? POLLOUT | POLLWRNORM : 0
  }

  /**
   * Before RESUMING is left: all bytes are with the server.
   *
   * @throws {@link VfioError} EBUSY a window is out; the failure of a write nobody was told of yet, EINVAL after
   */
  async finish(): Promise<void> {
    const isFilling = this.#window !== undefined && !this.#life.closed
    if (isFilling || this.#busy)
      throw new VfioError('EBUSY', 'Cannot leave RESUMING: a window is out, commit it first')
    const wasTold = this.#isTold
    await this.#flush()
    const cause = this.#failure
    if (cause === undefined) return
    this.#isTold = true
    if (!wasTold) throw cause
    throw new VfioError('EINVAL', 'Cannot leave RESUMING: a write failed, reset the device', { cause })
  }

  /** What was gathered is not wanted any more; resolves when nothing is under way. */
  async abandon(): Promise<void> {
    this.#filled = 0
    await this.#drain()
  }

  end(): void {
    this.#window = undefined
    this.#gathering = undefined
    this.#spare.length = 0
    this.#changed()
  }

  /** A window dies with the session. */
  reclaim(): void {}

  #enter(syscall: string): void {
    this.#life.checkOpen(syscall, 'resume')
    this.#life.checkLive(syscall)
  }

  #checkNoWindow(syscall: string): void {
    if (this.#window === undefined && !this.#busy) return
    throw new VfioError('EBUSY', `Cannot ${syscall}: a window is out, commit it`, { syscall })
  }

  #checkFailure(): void {
    if (this.#failure === undefined) return
    this.#isTold = true
    throw this.#failure
  }

  get #hasSpare(): boolean {
    return this.#spare.length > 0 || this.#made < this.#outstanding + 1
  }

  #take(): Uint8Array | undefined {
    const spare = this.#spare.pop()
    if (spare !== undefined || !this.#hasSpare) return spare
    this.#made++
    return new Uint8Array(FRONT + this.#chunkBytes)
  }

  /** A buffer that is not full. */
  #room(): Uint8Array | undefined {
    this.#gathering ??= this.#take()
    return this.#filled < this.#chunkBytes ? this.#gathering : undefined
  }

  #open(buffer: Uint8Array, maxBytes: number): Uint8Array {
    const from = FRONT + this.#filled
    this.#window = buffer.subarray(from, from + Math.min(maxBytes, this.#chunkBytes - this.#filled))
    return this.#window
  }

  async #windowLater(maxBytes: number): Promise<Uint8Array> {
    this.#busy = true
    try {
      for (;;) {
        this.#enter('window')
        this.#checkFailure()
        const buffer = this.#room()
        if (buffer !== undefined) return this.#open(buffer, maxBytes)
        await this.#change()
      }
    } finally {
      this.#busy = false
    }
  }

  /** A full message goes out as soon as it may. */
  #sendFull(): void {
    if (this.#filled === this.#chunkBytes && this.#underWay < this.#outstanding) this.#send()
  }

  #send(): void {
    const buffer = this.#gathering
    if (buffer === undefined || this.#filled === 0) return
    const size = this.#filled
    this.#gathering = undefined
    this.#filled = 0
    MigData.encodeInto(buffer, HEADER_BYTES, { argsz: HEAD + size, size })
    const giveBack = (): void => {
      this.#spare.push(buffer)
      this.#changed()
    }
    this.#call(buffer.subarray(0, FRONT + size)).then(giveBack, (error: unknown) => {
      this.#failure ??= error as VfioError
      giveBack()
    })
  }

  async #call(message: Uint8Array, data?: Uint8Array): Promise<void> {
    this.#underWay++
    // Nothing by the protocol; what servers send back without need is what they got.
    const replyBytes = [0, HEAD + this.#chunkBytes] as const
    const options = { action: ACTION, replyBytes, ...(data === undefined ? {} : { data }) }
    try {
      await this.#requests.call(VfioUserCommand.MIG_DATA_WRITE, message, options)
    } finally {
      this.#underWay--
      this.#sendFull()
      this.#changed()
    }
  }

  /** Sends `src` as it lies, in as many messages as it needs, and waits for the replies. */
  async #writeThrough(src: Uint8Array): Promise<void> {
    const isOne = src.length <= this.#chunkBytes
    const writes: Promise<void>[] = []
    for (let at = 0; at < src.length && this.#failure === undefined; at += this.#chunkBytes) {
      while (this.#underWay >= this.#outstanding) await this.#change()
      const data = src.subarray(at, at + this.#chunkBytes)
      const message = new Uint8Array(FRONT)
      MigData.encodeInto(message, HEADER_BYTES, { argsz: HEAD + data.length, size: data.length })
      const write = this.#call(message, data).catch((error: unknown) => {
        const failure = error as VfioError
        if (isOne && HARMLESS.has(failure.code)) throw failure
        this.#failure ??= failure
      })
      // All are waited for below; until then the first failure must not count as unhandled.
      write.catch(() => {})
      writes.push(write)
    }
    await Promise.all(writes)
    this.#checkFailure()
  }

  /** All that was gathered is answered. */
  async #flush(): Promise<void> {
    while (this.#filled > 0 && this.#failure === undefined) {
      if (this.#underWay < this.#outstanding) this.#send()
      else await this.#change()
    }
    await this.#drain()
  }

  async #drain(): Promise<void> {
    while (this.#underWay > 0) await this.#change()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #changed(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
    this.#life.wake()
  }
}
