/**
 * A client that sends what it is told, right or wrong, and says what came back.
 *
 * @module
 */

import { type ByteDuplex, settle } from '../../transport/index.ts'
import { VfioUserCommand } from '../command.ts'
import { errorHeader, HEADER_BYTES, type MessageHeader } from '../header.ts'
import { type IncomingMessage, MessageIntake } from '../message-intake.ts'
import { MessageOutlet } from '../message-outlet.ts'
import type { Answer, RawMessage } from './answer.ts'

/** Replies that wait to be taken; a server that floods is cut off. */
const MAX_WAITING = 4096
/** Most bytes of a message: 1 MiB of data and heads, with room. */
const MAX_BYTES = 1024 * 1024 + 65_536
/** What a DMA command of the server is told: there is no memory behind this client. */
const ENODEV = 19

/** One connection, with nothing negotiated. */
export class RawPeer {
  readonly #duplex: ByteDuplex
  readonly #outlet: MessageOutlet
  readonly #timeoutMs: number
  readonly #waiting: IncomingMessage[] = []
  #isClosed = false
  #wake: (() => void) | undefined
  #id = 0

  /** @param timeoutMs - how long an answer is waited for */
  constructor(duplex: ByteDuplex, timeoutMs: number) {
    this.#duplex = duplex
    this.#outlet = new MessageOutlet(duplex)
    this.#timeoutMs = timeoutMs
    const intake = new MessageIntake(duplex, {
      maxBytes: MAX_BYTES,
      onMessage: (message) => this.#take(message),
    })
    void intake.run().then(
      () => this.#end(),
      () => this.#end(),
    )
  }

  /** Whether the server ended the connection, or sent what is no message. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Sends a message; returns its id. A connection that is gone shows in the answer. */
  async send(message: RawMessage): Promise<number> {
    const id = message.id ?? this.nextId()
    await settle(() => this.#outlet.send([encodeRaw(message, id), message.payload]))
    return id
  }

  /** Sends bytes as they are, in one write. */
  async sendBytes(bytes: Uint8Array): Promise<void> {
    await settle(() => this.#outlet.send([bytes]))
  }

  /** The next id. */
  nextId(): number {
    this.#id = (this.#id + 1) & 0xffff
    return this.#id
  }

  /** Sends a message and takes the next that comes. */
  async call(message: RawMessage): Promise<Answer> {
    const id = await this.send(message)
    return this.next(id, message.command)
  }

  /** The next message that comes, as the answer to `id` and `command`. */
  async next(id: number, command: number, timeoutMs: number = this.#timeoutMs): Promise<Answer> {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      const message = this.#waiting.shift()
      if (message !== undefined) return answerOf(message, id, command)
      if (this.#isClosed) return { kind: 'closed' }
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return { kind: 'silent' }
      await this.#wakened(leftMs)
    }
  }

  /** Gives the connection up. */
  async close(): Promise<void> {
    this.#isClosed = true
    await settle(() => this.#duplex.cancel(undefined))
    await settle(() => this.#duplex.abort(undefined))
  }

  #take(message: IncomingMessage): void {
    const { header } = message
    const isDma = header.command === VfioUserCommand.DMA_READ || header.command === VfioUserCommand.DMA_WRITE
    if (header.type === 'command' && isDma) {
      const { id, command } = header
      void settle(() => this.#outlet.send([errorHeader({ id, command, payloadBytes: 0 }, ENODEV)]))
      return
    }
    if (this.#waiting.length >= MAX_WAITING) throw new Error('Cannot read on: the server floods')
    this.#waiting.push(message)
    this.#wake?.()
  }

  #end(): void {
    this.#isClosed = true
    this.#wake?.()
  }

  async #wakened(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(resolve, timeoutMs)
    })
    clearTimeout(timer)
    this.#wake = undefined
  }
}

/** The header of a message as it is told, true or not. */
export function encodeRaw(message: RawMessage, id: number): Uint8Array<ArrayBuffer> {
  const { command, payload, flags = 0, byteLength = HEADER_BYTES + payload.length } = message
  const bytes = new Uint8Array(HEADER_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, id, true)
  view.setUint16(2, command, true)
  view.setUint32(4, byteLength, true)
  view.setUint32(8, flags, true)
  return bytes
}

function answerOf({ header, payload }: IncomingMessage, id: number, command: number): Answer {
  if (!answers(header, id, command)) return { kind: 'stray', header }
  return header.isError
    ? { kind: 'error', header, payload, errno: header.errno }
    : { kind: 'reply', header, payload }
}

function answers(header: MessageHeader, id: number, command: number): boolean {
  return header.type === 'reply' && header.id === id && header.command === command
}
