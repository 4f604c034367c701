/**
 * The receiving direction of a message duplex: what arrived and was not taken, never more than the credit.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import { messageCost } from './message-channel.ts'
import type { MessageLimits } from './message-control.ts'

/** A message that arrived. Its credit comes back when all of it was read or released. */
interface Message {
  /** What is left of it. */
  rest: Uint8Array
  readonly whole: Uint8Array
  readonly cost: number
  /** Its leases that are out. */
  leases: number
}

interface Reader {
  give(): void
  reject(reason: unknown): void
}

/** Received bytes, read or leased. At most one read or lease is under way. */
export class MessageInbox {
  readonly #limits: MessageLimits
  readonly #grant: (byteLength: number) => void
  readonly #recycle: ((message: Uint8Array) => void) | undefined
  #queue: Message[] = []
  /** Of each lease that is out, oldest first. */
  readonly #lent: Message[] = []
  #reader: Reader | undefined
  /** What the peer may still send. */
  #credit: number
  /** What was taken and not granted yet. */
  #taken = 0
  #isEnded = false
  #failure: VfioError | undefined

  /**
   * @param grant - tells the peer that it may send so many bytes more
   * @param recycle - takes the memory of messages that were taken whole
   */
  constructor(
    limits: MessageLimits,
    grant: (byteLength: number) => void,
    recycle?: (message: Uint8Array) => void,
  ) {
    this.#limits = limits
    this.#grant = grant
    this.#recycle = recycle
    this.#credit = limits.windowBytes
  }

  /** Whether nothing more can arrive. */
  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined
  }

  /** Whether all has arrived. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** A data message. @throws {@link VfioError} EPROTO when the peer may not send it */
  accept(bytes: Uint8Array): void {
    const cost = messageCost(bytes.length)
    if (this.#isEnded) throw refused('it came after the end')
    if (bytes.length === 0) throw refused('it is empty')
    if (bytes.length > this.#limits.maxMessageBytes) {
      throw refused(`it has more than the ${this.#limits.maxMessageBytes} bytes agreed on`)
    }
    if (cost > this.#credit) throw refused('it goes beyond the credit')
    this.#credit -= cost
    this.#queue.push({ rest: bytes, whole: bytes, cost, leases: 0 })
    this.#serve()
  }

  /** No more will come. @throws {@link VfioError} EPROTO when that is not the first end */
  end(): void {
    if (this.#isEnded) throw refused('the end came twice')
    this.#isEnded = true
    this.#serve()
  }

  /** Gives up what was not taken; a read under way settles. Leases stay as they are. */
  fail(failure: VfioError): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    this.#queue = []
    const reader = this.#reader
    this.#reader = undefined
    reader?.reject(failure)
  }

  read(dst: Uint8Array): Awaitable<number> {
    if (dst.length === 0 && this.#failure === undefined) return 0
    return this.#give(() => this.#take(dst))
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`)
    }
    return this.#give(() => this.#lend(maxBytes))
  }

  release(): void {
    const message = this.#lent.shift()
    if (message === undefined) {
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first')
    }
    message.leases--
    this.#giveBack(message)
  }

  #give<T>(call: () => T): Awaitable<T> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#reader !== undefined) {
      throw new VfioError('EBUSY', 'Cannot read: a read is under way, wait for it')
    }
    if (this.#queue.length > 0 || this.#isEnded) return call()
    return new Promise((resolve, reject) => {
      this.#reader = { give: () => resolve(call()), reject }
    })
  }

  #serve(): void {
    const reader = this.#reader
    this.#reader = undefined
    reader?.give()
  }

  #take(dst: Uint8Array): number {
    let filled = 0
    for (
      let message = this.#queue[0];
      message !== undefined && filled < dst.length;
      message = this.#queue[0]
    ) {
      const part = this.#part(message, dst.length - filled)
      dst.set(part, filled)
      filled += part.length
      this.#giveBack(message)
    }
    return filled
  }

  #lend(maxBytes: number): Uint8Array {
    const message = this.#queue[0]
    if (message === undefined) return new Uint8Array(0)
    message.leases++
    this.#lent.push(message)
    return this.#part(message, maxBytes)
  }

  /** Takes bytes off the first message. */
  #part(message: Message, maxBytes: number): Uint8Array {
    const part = message.rest.subarray(0, maxBytes)
    message.rest = message.rest.subarray(part.length)
    if (message.rest.length === 0) this.#queue.shift()
    return part
  }

  /** Grants in steps of a quarter of the window, so that there are few grants and the peer need not wait. */
  #giveBack(message: Message): void {
    if (message.rest.length > 0 || message.leases > 0 || this.isOver) return
    this.#recycle?.(message.whole)
    this.#taken += message.cost
    if (this.#taken * 4 < this.#limits.windowBytes) return
    const byteLength = this.#taken
    this.#taken = 0
    this.#credit += byteLength
    this.#grant(byteLength)
  }
}

function refused(reason: string): VfioError {
  return new VfioError('EPROTO', `Cannot take a message: ${reason}, check the other end`)
}
