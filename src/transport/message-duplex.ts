/**
 * A byte duplex over any channel of whole messages: MessagePort, BroadcastChannel, RTCDataChannel, WebSocket.
 *
 * ```text
 * sent as   content            meaning
 * bytes     1 to M bytes       data; uses up max(1024, its length) of the credit
 * text      open 1 W M         version 1; the other end has W bytes of credit, and sends at most M at once
 * text      opened 1 W M       the same as the answer to "open": whoever listened late missed the first one
 * text      grant N            N bytes of credit come back: so much was taken by the reader
 * text      end                no more data in this direction
 * text      ended              the answer to "end": everything has arrived
 * text      abort REASON       the connection is given up; at most 200 characters
 *
 * A                           B
 * | open 1 W M ------------> |    each side: "open" at once, "opened" to the other's "open",
 * | <------------ open 1 W M |    data after either of the two
 * | opened, data, data ----> |
 * | <--------------- grant N |    as B's reader takes them: A never has more than W in flight
 * | data, end -------------> |
 * | <----------------- ended |    the channel is closed when both directions are over
 * ```
 *
 * Numbers are decimal, 1024 <= M <= W / 2. Data beyond the credit or longer than M, a grant of more than is in
 * flight, and everything that is not in the table is EPROTO: the duplex says "abort" and closes the channel.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteDuplex } from './byte-stream.ts'
import { MIN_MESSAGE_COST, messageBytes, type MessageChannelLike } from './message-channel.ts'
import {
  encodeControl,
  type MessageControl,
  type MessageLimits,
  parseControl,
  reasonText,
} from './message-control.ts'
import { MessageInbox } from './message-inbox.ts'
import { MessageOutbox } from './message-outbox.ts'
import { settle } from './settle.ts'

/** Bytes that are in flight at most, in each direction. */
export const MESSAGE_WINDOW_BYTES: number = 4 * 1024 * 1024

/** Options of {@link messageDuplex}. */
export interface MessageDuplexOptions {
  /** Most bytes in flight, in each direction, in bytes; by default 4 MiB. At least two of the largest messages. */
  readonly windowBytes?: number | undefined
  /** How long the other end may take to answer before the duplex fails with ETIMEDOUT, in milliseconds. */
  readonly connectTimeoutMs?: number | undefined
}

/**
 * Bytes over a channel of whole messages. A write settles when all its bytes were handed to the channel within
 * the credit of the other end, which gets it back as its reader takes them: so at most `windowBytes` are in
 * flight, whatever the channel holds by itself. Chunks are copied, leases are what arrived.
 *
 * `open` waits for the other end. `close` settles when everything has arrived there, read or not, and leaves
 * reading alone; the channel is closed when both directions have ended. `abort` and `cancel` give up both
 * directions, as far as they have not ended: the other end's calls are then EPIPE with the reason in their
 * message. Calls are EPIPE, too, when the channel ends, and EPROTO when the other end breaks the protocol.
 *
 * @throws {@link VfioError} EINVAL when `windowBytes` has no room for two messages
 */
export function messageDuplex(channel: MessageChannelLike, options: MessageDuplexOptions = {}): ByteDuplex {
  return new MessageDuplex(channel, messageLimits(channel.maxMessageBytes, options), options.connectTimeoutMs)
}

/** What an end receives. @throws {@link VfioError} EINVAL when there is no room for two messages */
export function messageLimits(maxMessageBytes: number, options: MessageDuplexOptions): MessageLimits {
  const { windowBytes = MESSAGE_WINDOW_BYTES } = options
  if (!Number.isSafeInteger(maxMessageBytes) || maxMessageBytes < MIN_MESSAGE_COST) {
    throw new VfioError('EINVAL', `Cannot connect: messages of ${maxMessageBytes} bytes, use 1,024 or more`)
  }
  if (!Number.isSafeInteger(windowBytes) || windowBytes < 2 * maxMessageBytes) {
    throw new VfioError(
      'EINVAL',
      `Cannot connect: a window of ${windowBytes} bytes, use ${2 * maxMessageBytes} or more`,
    )
  }
  return { windowBytes, maxMessageBytes }
}

class MessageDuplex implements ByteDuplex {
  readonly #channel: MessageChannelLike
  readonly #limits: MessageLimits
  readonly #inbox: MessageInbox
  readonly #outbox: MessageOutbox
  /** Settles with the first word of the other end. */
  readonly #connection: Promise<void>
  #connected!: () => void
  #disconnected!: (failure: VfioError) => void
  readonly #heard: Set<string> = new Set()
  #timer: ReturnType<typeof setTimeout> | undefined
  #closing: Promise<void> | undefined

  constructor(channel: MessageChannelLike, limits: MessageLimits, connectTimeoutMs: number | undefined) {
    this.#channel = channel
    this.#limits = limits
    this.#inbox = new MessageInbox(
      limits,
      (byteLength) => this.#tell({ kind: 'grant', byteLength }),
      (message) => channel.recycle?.(message),
    )
    this.#outbox = new MessageOutbox(channel, limits.windowBytes, (message) => this.#send(message))
    this.#connection = new Promise((resolve, reject) => {
      this.#connected = resolve
      this.#disconnected = reject
    })
    // Told by the calls, too; nobody has to wait for this one.
    this.#connection.catch(() => {})
    if (connectTimeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.#giveUp(timedOut(connectTimeoutMs)), connectTimeoutMs)
    }
    channel.open({
      message: (data) => this.#receive(data),
      drained: () => this.#outbox.drained(),
      closed: (cause) => {
        if (this.#closing === undefined) this.#broken(cause)
      },
    })
    this.#tell({ kind: 'open', ...limits })
  }

  open(): Promise<void> {
    return this.#connection
  }

  write(chunks: Uint8Array[]): Promise<void> {
    return this.#outbox.write(chunks)
  }

  async close(): Promise<void> {
    await this.#outbox.close()
    this.#closeWhenOver()
    await this.#closing
  }

  async abort(reason: unknown): Promise<void> {
    if (!this.#outbox.isDelivered) this.#giveUp(givenUp(reason), reason)
    await this.#closing
  }

  read(dst: Uint8Array): Awaitable<number> {
    return this.#inbox.read(dst)
  }

  lease(maxBytes: number): Awaitable<Uint8Array> {
    return this.#inbox.lease(maxBytes)
  }

  release(): void {
    this.#inbox.release()
  }

  async cancel(reason: unknown): Promise<void> {
    if (this.#inbox.isEnded) this.#inbox.fail(givenUp(reason))
    else this.#giveUp(givenUp(reason), reason)
    await this.#closing
  }

  #receive(data: unknown): void {
    if (this.#closing !== undefined) return
    try {
      if (typeof data === 'string') this.#obey(parseControl(data))
      else this.#accept(messageBytes(data))
    } catch (error) {
      if (!VfioError.is(error)) throw error
      this.#giveUp(error)
    }
    this.#closeWhenOver()
  }

  #accept(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) throw unexpected('a message is neither text nor bytes')
    if (this.#heard.size === 0) throw unexpected('data came before "open"')
    this.#inbox.accept(bytes)
  }

  #obey(control: MessageControl): void {
    if (this.#heard.size === 0 && !['open', 'opened', 'abort'].includes(control.kind)) {
      throw unexpected(`"${control.kind}" came before "open"`)
    }
    switch (control.kind) {
      case 'open':
      case 'opened':
        return this.#meet(control.kind, control)
      case 'grant':
        return this.#outbox.granted(control.byteLength)
      case 'end':
        this.#inbox.end()
        return this.#tell({ kind: 'ended' })
      case 'ended':
        return this.#outbox.ended()
      case 'abort':
        return this.#broken(otherGaveUp(control.reason))
    }
  }

  #meet(kind: 'open' | 'opened', limits: MessageLimits): void {
    if (this.#heard.has(kind)) throw unexpected(`"${kind}" came twice`)
    const isFirst = this.#heard.size === 0
    this.#heard.add(kind)
    if (kind === 'open') this.#tell({ kind: 'opened', ...this.#limits })
    if (!isFirst) return
    clearTimeout(this.#timer)
    this.#outbox.open(limits)
    this.#connected()
  }

  #tell(control: MessageControl): void {
    this.#send(encodeControl(control))
  }

  #send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#closing !== undefined) return
    try {
      this.#channel.send(message)
    } catch (error) {
      this.#broken(error)
    }
  }

  /** Gives up both directions and says so. */
  #giveUp(failure: VfioError, reason: unknown = failure): void {
    this.#inbox.fail(failure)
    this.#tell({ kind: 'abort', reason: reasonText(reason) })
    this.#over(failure)
  }

  #broken(cause: unknown): void {
    const failure = VfioError.is(cause)
      ? cause
      : new VfioError('EPIPE', 'Cannot use the connection: the channel was closed, open a new one', { cause })
    // What has arrived completely stays readable.
    if (!this.#inbox.isEnded) this.#inbox.fail(failure)
    this.#over(failure)
  }

  #over(failure: VfioError): void {
    this.#outbox.fail(failure)
    this.#disconnected(failure)
    // What the other end ended in order was not cut, whatever it does next.
    void this.#shut(this.#inbox.isEnded ? undefined : failure)
  }

  #closeWhenOver(): void {
    if (this.#inbox.isOver && this.#outbox.isOver) void this.#shut()
  }

  #shut(failure?: VfioError): Promise<void> {
    clearTimeout(this.#timer)
    this.#closing ??= settle(() => this.#channel.close(failure))
    return this.#closing
  }
}

function unexpected(reason: string): VfioError {
  return new VfioError('EPROTO', `Cannot take a message: ${reason}, check the other end`)
}

function givenUp(cause: unknown): VfioError {
  return new VfioError('ECANCELED', 'Cannot use the connection: this end gave up, open a new one', { cause })
}

function otherGaveUp(reason: string): VfioError {
  const why = reason === '' ? 'without a reason' : `("${reason}")`
  return new VfioError('EPIPE', `Cannot use the connection: the other end gave up ${why}, open a new one`)
}

function timedOut(connectTimeoutMs: number): VfioError {
  return new VfioError(
    'ETIMEDOUT',
    `Cannot connect: no answer within ${connectTimeoutMs} ms, check that the other end listens`,
  )
}
