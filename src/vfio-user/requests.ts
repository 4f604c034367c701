/**
 * Commands to a server and their replies, matched by id; commands of the server are handed on.
 *
 * A reply is believed only when a command waits for it, it is of the same number, and it has as many bytes as that
 * command can have in return: anything else ends the connection, since nothing after it can be trusted. So does
 * silence, because whatever a late answer would say about the device was not known when it was needed.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ByteDuplex } from '../transport/index.ts'
import { settle } from '../transport/index.ts'
import { commandName } from './command.ts'
import { type FdPassing, fdPassingOf } from './fd-passing.ts'
import { commandHeader, HEADER_BYTES, type MessageHeader } from './header.ts'
import { type IncomingMessage, MessageIntake } from './message-intake.ts'
import { MessageOutlet } from './message-outlet.ts'
import { broken, replyError } from './reply-error.ts'

/** Most commands that wait for a reply; more wait for their turn here. */
const MOST_UNANSWERED = 64

/** How long a server that was left may take to close its side: from then on it takes the next client. */
const LEAVE_MS = 1000
const NOTHING: readonly [number, number] = [0, 0]
const NO_FDS: readonly number[] = []

/** What a {@link Requests} is told. */
export interface RequestsOptions {
  /** Most bytes of a message from the server, its header included. */
  readonly maxBytes: number
  /** How long a command may wait for its reply, milliseconds. */
  readonly timeoutMs: number
  /** A command of the server; no further message is read, and no command sent, before the result settles. */
  readonly onCommand: (message: IncomingMessage) => Promise<void>
  /** Called once, when the connection is gone; every call fails with `error` from then on. */
  readonly onLost: (error: VfioError) => void
}

/** How a command is sent, and what may come back. */
export interface CallOptions {
  /** What the caller does, for messages: "read region 7". */
  readonly action: string
  /** Fewest and most bytes behind the header of a reply that is no error. Default: 0 and as many. */
  readonly replyBytes?: readonly [least: number, most: number]
  /** Bytes that follow the message, not copied; they stay as they are until the reply. */
  readonly data?: Uint8Array
  /** Descriptors to go with it; they stay the caller's. */
  readonly fds?: readonly number[]
  /** Memory for a reply that is no error. */
  readonly place?: (payloadBytes: number) => Uint8Array
  /** Descriptors that come with the reply are the caller's; otherwise they are closed. */
  readonly takesFds?: boolean
}

/** What came back. */
export interface Reply {
  readonly payload: Uint8Array
  readonly fds: readonly number[]
}

interface Pending {
  readonly options: CallOptions
  readonly command: number
  readonly sinceMs: number
  resolve(reply: Reply): void
  reject(error: VfioError): void
}

/** A message with room for its header in front. */
export function messageOf(payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + payload.length)
  message.set(payload, HEADER_BYTES)
  return message
}

/** One connection to a server. */
export class Requests {
  readonly #duplex: ByteDuplex
  readonly #options: RequestsOptions
  readonly #intake: MessageIntake
  readonly #outlet: MessageOutlet
  readonly #fds: FdPassing | undefined
  readonly #pending = new Map<number, Pending>()
  /** Commands whose turn it is not yet. */
  readonly #queue: (() => void)[] = []
  #limit = MOST_UNANSWERED
  #nextId = 0
  #answering = false
  #arrivedFds: readonly number[] = NO_FDS
  #timer: ReturnType<typeof setTimeout> | undefined
  #failure: VfioError | undefined
  readonly #running: Promise<void>

  constructor(duplex: ByteDuplex, options: RequestsOptions) {
    this.#duplex = duplex
    this.#options = options
    this.#fds = fdPassingOf(duplex)
    this.#outlet = new MessageOutlet(duplex, this.#fds)
    this.#intake = new MessageIntake(duplex, {
      maxBytes: options.maxBytes,
      onHeader: (header) => this.#check(header),
      place: (header, payloadBytes) => this.#place(header, payloadBytes),
      onMessage: (message) => this.#deliver(message),
    })
    this.#running = this.#run()
  }

  /** Why the connection is gone. */
  get failure(): VfioError | undefined {
    return this.#failure
  }

  /** Whether descriptors can go along. */
  get passesFds(): boolean {
    return this.#fds !== undefined
  }

  /** One command at a time: for servers that take the next message for the answer to their own command. */
  set alone(alone: boolean) {
    this.#limit = alone ? 1 : MOST_UNANSWERED
    this.#startQueued()
  }

  /**
   * Sends a command.
   *
   * @param message - with {@link HEADER_BYTES} of room in front, where the header is written
   * @throws {@link VfioError} the errno of an error reply (EINVAL for one that is none); ETIMEDOUT no reply;
   * EPROTO one that cannot be; ECONNRESET the connection is gone
   */
  call(command: number, message: Uint8Array, options: CallOptions): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      const start = (): void => {
        if (this.#failure !== undefined) reject(this.#failure)
        else this.#start({ options, command, sinceMs: performance.now(), resolve, reject }, message)
      }
      if (this.#mayStart) start()
      else this.#queue.push(start)
    })
  }

  /** Sends an answer to a command of the server. */
  async answer(chunks: Uint8Array[]): Promise<void> {
    await this.#outlet.send(chunks)
  }

  /** Ends the connection in order, after the server has; what waits fails with `reason`. */
  async close(reason: VfioError): Promise<void> {
    if (this.#failure !== undefined) return
    this.#lose(reason)
    await settle(() => this.#duplex.close())
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise((resolve) => (timer = setTimeout(resolve, LEAVE_MS)))
    await Promise.race([this.#running, late])
    clearTimeout(timer)
    await settle(() => this.#duplex.cancel(reason))
  }

  /** Gives the connection up; every call fails with `error` from now on. */
  giveUp(error: VfioError): void {
    if (this.#failure !== undefined) return
    this.#lose(error)
    void settle(() => this.#duplex.abort(error))
    void settle(() => this.#duplex.cancel(error))
  }

  get #mayStart(): boolean {
    if (this.#failure !== undefined) return true
    return this.#pending.size < this.#limit && !this.#answering && this.#queue.length === 0
  }

  #startQueued(): void {
    while (this.#queue.length > 0) {
      const isReady = this.#failure !== undefined || (this.#pending.size < this.#limit && !this.#answering)
      if (!isReady) return
      this.#queue.shift()?.()
    }
  }

  #start(pending: Pending, message: Uint8Array): void {
    const { command } = pending
    const { data, fds } = pending.options
    while (this.#pending.has(this.#nextId)) this.#nextId = (this.#nextId + 1) & 0xffff
    const id = this.#nextId
    this.#nextId = (id + 1) & 0xffff
    const payloadBytes = message.length - HEADER_BYTES + (data?.length ?? 0)
    message.set(commandHeader({ id, command, payloadBytes }))
    this.#pending.set(id, pending)
    this.#timer ??= this.#startTimer(this.#options.timeoutMs)
    this.#outlet
      .send(data === undefined ? [message] : [message, data], fds)
      .catch((error: unknown) => this.giveUp(lost(error)))
  }

  /** Replies come in the order of the commands, so the oldest is the one that waited longest. */
  #expire(): void {
    this.#timer = undefined
    const [oldest] = this.#pending.values()
    if (oldest === undefined) return
    const { timeoutMs } = this.#options
    const leftMs = oldest.sinceMs + timeoutMs - performance.now()
    if (leftMs > 0) {
      this.#timer = this.#startTimer(leftMs)
      return
    }
    const { command } = oldest
    const { action } = oldest.options
    const reason = `the server did not answer ${commandName(command)} for ${timeoutMs} ms`
    this.giveUp(new VfioError('ETIMEDOUT', `Cannot ${action}: ${reason}, connect again or allow more`))
  }

  /** One for many commands: to make and clear one for each would cost more than the rest of a small command. */
  #startTimer(waitMs: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => this.#expire(), waitMs)
    // The connection is what keeps a program alive while it waits.
    ;(timer as { unref?: () => void }).unref?.()
    return timer
  }

  async #run(): Promise<void> {
    try {
      await this.#intake.run()
      throw new VfioError('ECONNRESET', 'Cannot use the server: it closed the connection, connect again')
    } catch (error) {
      this.giveUp(lost(error))
    }
  }

  #check(header: MessageHeader): void {
    this.#closeFds()
    this.#arrivedFds = this.#fds?.take() ?? NO_FDS
    const { id, command, byteLength, type, isError } = header
    if (type === 'command') return
    const pending = this.#pending.get(id)
    const [least, most] = pending?.options.replyBytes ?? NOTHING
    const payloadBytes = byteLength - HEADER_BYTES
    const fits = isError || (payloadBytes >= least && payloadBytes <= most)
    if (type === 'reply' && pending?.command === command && fits) return
    const name = commandName(command)
    if (type === 'other') throw broken(`a message of ${name} that is neither command nor reply`)
    if (pending === undefined) throw broken(`a reply to ${name} number ${id}, which was not asked`)
    if (pending.command !== command)
      throw broken(`a reply to ${name} where one to ${commandName(pending.command)} was due`)
    throw broken(`${payloadBytes} bytes in reply to ${name}, which has ${least} to ${most}`)
  }

  #place(header: MessageHeader, payloadBytes: number): Uint8Array | undefined {
    if (header.type !== 'reply' || header.isError) return undefined
    return this.#pending.get(header.id)?.options.place?.(payloadBytes)
  }

  #deliver(message: IncomingMessage): void {
    const { header, payload } = message
    if (header.type === 'command') {
      this.#handOn(message)
      return
    }
    const pending = this.#pending.get(header.id) as Pending
    this.#pending.delete(header.id)
    if (header.isError) {
      pending.reject(replyError(header, pending.options.action))
    } else {
      const fds = pending.options.takesFds === true ? this.#arrivedFds : NO_FDS
      if (fds.length > 0) this.#arrivedFds = NO_FDS
      pending.resolve({ payload, fds })
    }
    this.#closeFds()
    this.#startQueued()
  }

  #handOn(message: IncomingMessage): void {
    this.#closeFds()
    this.#intake.pause()
    this.#answering = true
    void this.#settleCommand(message)
  }

  async #settleCommand(message: IncomingMessage): Promise<void> {
    try {
      await this.#options.onCommand(message)
    } catch (error) {
      this.giveUp(lost(error))
    }
    this.#answering = false
    this.#intake.resume()
    this.#startQueued()
  }

  #closeFds(): void {
    for (const fd of this.#arrivedFds) this.#fds?.close(fd)
    this.#arrivedFds = NO_FDS
  }

  #lose(error: VfioError): void {
    this.#failure = error
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#closeFds()
    this.#intake.resume()
    const waiting = [...this.#pending.values()]
    this.#pending.clear()
    for (const pending of waiting) pending.reject(error)
    this.#startQueued()
    this.#options.onLost(error)
  }
}

/** What a failed connection is to who waits: ECONNRESET, unless the server broke the protocol. */
function lost(cause: unknown): VfioError {
  for (const code of ['EPROTO', 'EMSGSIZE', 'ECONNRESET', 'ETIMEDOUT'] as const)
    if (VfioError.is(cause, code)) return code === 'EMSGSIZE' ? broken('more than was asked for') : cause
  return new VfioError('ECONNRESET', 'Cannot use the server: the connection is gone, connect again', {
    cause,
  })
}
