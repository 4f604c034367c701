/**
 * The source's end of a migration's connections: requests and their answers, and when it is lost.
 *
 * A request is sent again while its answer does not come, since any message may get lost; the destination
 * answers a repeated one the same way.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { type ByteDuplex, settle } from '../../transport/index.ts'
import { within } from '../handover/deadline.ts'
import type { OutgoingMessage } from '../handover/frame.ts'
import { type Frame, FrameReader } from '../handover/frame-reader.ts'
import { FrameWriter, linkFailure } from '../handover/frame-writer.ts'
import { MessageType, messageName } from '../handover/message-type.ts'
import { decodeFailure } from '../handover/payloads.ts'

/** Times of a link, in milliseconds. */
export interface LinkTimes {
  /** For the answer to a request, and for one write. */
  readonly replyTimeoutMs: number
  /** Between two tries of a request. */
  readonly resendMs: number
}

interface Waiter {
  readonly types: readonly MessageType[]
  readonly isAnswer: (frame: Frame) => boolean
  readonly resolve: (frame: Frame) => void
}

/** One or more connections to a receiver; the first carries the hand-over. */
export class SourceLink {
  readonly id: string
  readonly writers: readonly FrameWriter[]
  readonly #duplexes: readonly ByteDuplex[]
  readonly #times: LinkTimes
  readonly #primary: FrameWriter
  readonly #waiters = new Set<Waiter>()
  readonly #lost: AbortController = new AbortController()
  readonly #reader: FrameReader
  #reading: Promise<void> | undefined
  #echo = 0

  constructor(id: string, duplexes: readonly ByteDuplex[], times: LinkTimes) {
    this.id = id
    this.#duplexes = duplexes
    this.#times = times
    this.writers = duplexes.map((duplex) => new FrameWriter(duplex))
    this.#primary = this.writers[0] as FrameWriter
    this.#reader = new FrameReader(duplexes[0] as ByteDuplex)
  }

  /** Aborted with the reason when the destination failed or a connection broke. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Starts to read answers and, with further connections, says to whom they belong. */
  async open(): Promise<void> {
    this.#reading = this.#read()
    const attach = this.writers
      .slice(1)
      .map((writer, index) => writer.message(this.id, { type: MessageType.ATTACH, index: index + 1 }))
    await within(Promise.all(attach), this.#times.replyTimeoutMs, () => this.#silent('take a connection'))
  }

  /** Sends a message that needs no answer, or whose answer comes by itself. */
  async send(message: OutgoingMessage): Promise<void> {
    await within(this.#primary.message(this.id, message), this.#times.replyTimeoutMs, () =>
      this.#silent(`take ${messageName(message.type)}`),
    )
  }

  /**
   * Sends a message until one of `types` comes back.
   *
   * @param onBegin - called just before the first byte of each try
   * @throws {@link VfioError} ETIMEDOUT no answer in time; the reason when the link is lost before
   */
  async request(
    message: OutgoingMessage,
    types: readonly MessageType[],
    isAnswer: (frame: Frame) => boolean = () => true,
    onBegin?: () => void,
  ): Promise<Frame> {
    const { replyTimeoutMs, resendMs } = this.#times
    let waiter: Waiter | undefined
    let onLost: (() => void) | undefined
    let again: ReturnType<typeof setInterval> | undefined
    const answered = new Promise<Frame>((resolve, reject) => {
      waiter = { types, isAnswer, resolve }
      this.#waiters.add(waiter)
      const fail = (): void => reject(this.lost.reason as Error)
      onLost = fail
      if (this.lost.aborted) fail()
      else this.lost.addEventListener('abort', fail)
      let isWaiting = false
      const send = async (): Promise<void> => {
        // A try that still waits behind data needs no second one.
        if (isWaiting) return
        isWaiting = true
        try {
          await this.#primary.message(this.id, message, onBegin)
        } catch (error) {
          this.#lose(error)
        }
        isWaiting = false
      }
      if (!this.lost.aborted) void send()
      again = setInterval(() => void send(), resendMs)
    })
    try {
      return await within(answered, replyTimeoutMs, () => this.#silent(`answer ${messageName(message.type)}`))
    } finally {
      clearInterval(again)
      this.#waiters.delete(waiter as Waiter)
      this.lost.removeEventListener('abort', onLost as () => void)
    }
  }

  /** Milliseconds until the destination answers, data under way included. */
  async ping(): Promise<number> {
    const position = ++this.#echo
    const startMs = performance.now()
    await this.request(
      { type: MessageType.PING, position },
      [MessageType.PONG],
      (frame) => frame.position === position,
    )
    return performance.now() - startMs
  }

  /** No more requests: ends the connections. Never rejects. */
  async close(): Promise<void> {
    const { replyTimeoutMs } = this.#times
    const ending = Promise.allSettled(this.writers.map((writer) => writer.close()))
    await within(ending, Math.min(replyTimeoutMs, CLOSE_MS), () => new Error('not taken')).catch(() => {})
    await this.abort(new VfioError('ECANCELED', 'Cannot use the migration link: the migration is over'))
  }

  /** Gives the connections up. Never rejects. */
  async abort(reason: VfioError): Promise<void> {
    this.#lose(reason)
    await Promise.all(this.writers.map((writer) => settle(() => writer.abort(reason))))
    await Promise.all(this.#duplexes.map((duplex) => settle(() => duplex.cancel(reason))))
    await this.#reading
  }

  /** Notes that a connection broke. */
  lose(error: unknown): void {
    this.#lose(error)
  }

  async #read(): Promise<void> {
    try {
      for (let frame = await this.#reader.next(); frame !== undefined; frame = await this.#reader.next())
        this.#take(frame)
      this.#lose(
        new VfioError('EPIPE', 'Cannot migrate: the destination closed the connection, connect again'),
      )
    } catch (error) {
      this.#lose(error)
    }
  }

  #take(frame: Frame): void {
    if (frame.id !== this.id || frame.type === MessageType.DATA)
      throw new VfioError('EPROTO', 'Cannot migrate: the destination sent what belongs to no request')
    let taken = false
    for (const waiter of this.#waiters) {
      if (!waiter.types.includes(frame.type) || !waiter.isAnswer(frame)) continue
      taken = true
      waiter.resolve(frame)
    }
    if (taken) return
    if (frame.type === MessageType.FAILED || frame.type === MessageType.DISCARDED)
      this.#lose(decodeFailure(frame.payload, 'migrate: the destination failed'))
    // Anything else is the answer to a request that was answered before.
  }

  #lose(error: unknown): void {
    if (!this.lost.aborted) this.#lost.abort(linkFailure(error, 'use'))
  }

  #silent(what: string): VfioError {
    const { replyTimeoutMs } = this.#times
    return new VfioError(
      'ETIMEDOUT',
      `Cannot migrate: the destination did not ${what} within ${replyTimeoutMs} ms, look whether it is alive`,
    )
  }
}

/** Longest wait for the end of a connection that nobody may read. */
const CLOSE_MS = 1000
