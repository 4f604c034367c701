/**
 * Bytes of a connection to messages: a header, then its payload where it belongs, with nothing read ahead of the
 * message that is due, so that a payload can land in its last place at once.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ByteSource, ByteWindows } from '../transport/index.ts'
import { decodeHeader, HEADER_BYTES, type MessageHeader } from './header.ts'

/** A whole message. */
export interface IncomingMessage {
  readonly header: MessageHeader
  /** The bytes behind the header; in memory that {@link IntakeOptions.place} gave, or new memory. */
  readonly payload: Uint8Array
}

/** What a {@link MessageIntake} is told. */
export interface IntakeOptions {
  /** Most bytes of a message, its header included. A longer one ends the intake before memory is taken. */
  readonly maxBytes: number
  /**
   * Called when a header is complete, before it is checked and before its payload: a file descriptor came with
   * these bytes or not at all, and who answers a header that ends the intake has seen it.
   */
  readonly onHeader?: (header: MessageHeader) => void
  /** Memory for the payload of `header`: exactly its bytes. Absent or undefined: new memory. */
  readonly place?: (header: MessageHeader, payloadBytes: number) => Uint8Array | undefined
  /** Called with every message, in order. A throw ends the intake. */
  readonly onMessage: (message: IncomingMessage) => void
}

const NONE = new Uint8Array(0)

/**
 * Reads messages until the source ends. What `run` needs of memory is one message.
 *
 * {@link pause} takes effect before the next message: the rest of the one under way is read.
 */
export class MessageIntake implements ByteWindows {
  readonly #source: ByteSource
  readonly #options: IntakeOptions
  readonly #head = new Uint8Array(HEADER_BYTES)
  #header: MessageHeader | undefined
  /** What is being filled, and how far. */
  #target: Uint8Array = this.#head
  #filled = 0
  #isPaused = false
  #resumed: (() => void) | undefined

  constructor(source: ByteSource, options: IntakeOptions) {
    this.#source = source
    this.#options = options
  }

  /** Whether a message has begun and is not complete. */
  get isMidMessage(): boolean {
    return this.#header !== undefined || this.#filled > 0
  }

  /** No message after the one under way. */
  pause(): void {
    this.#isPaused = true
  }

  /** Goes on after {@link pause}. */
  resume(): void {
    this.#isPaused = false
    this.#resumed?.()
    this.#resumed = undefined
  }

  /**
   * Reads to the end.
   *
   * @throws {@link VfioError} EPROTO a header that announces less than itself; EMSGSIZE one that announces more
   * than is allowed; ECONNRESET the end in the middle of a message; the source's errors; what `onMessage` throws
   */
  async run(signal?: AbortSignal): Promise<void> {
    const source = this.#source
    for (let ended = false; !ended;) {
      if (this.#isPaused && !this.isMidMessage) {
        await new Promise<void>((resolve) => {
          this.#resumed = resolve
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      signal?.throwIfAborted()
      ended = source.readInto === undefined ? await this.#readOnce() : await source.readInto(this, signal)
    }
    if (!this.isMidMessage) return
    throw new VfioError(
      'ECONNRESET',
      'Cannot read a message: the connection ended in the middle of one, connect again',
      { syscall: 'vfio-user' },
    )
  }

  window(maxBytes: number): Uint8Array {
    if (this.#isPaused && !this.isMidMessage) return NONE
    const rest = this.#target.length - this.#filled
    return this.#target.subarray(this.#filled, this.#filled + Math.min(rest, maxBytes))
  }

  commit(byteLength: number): void {
    this.#filled += byteLength
    if (this.#filled < this.#target.length) return
    if (this.#header === undefined) this.#begin()
    else this.#deliver(this.#header)
  }

  async #readOnce(): Promise<boolean> {
    const window = this.window(this.#target.length)
    if (window.length === 0) return false
    const byteLength = await this.#source.read(window)
    if (byteLength === 0) return true
    this.commit(byteLength)
    return false
  }

  #begin(): void {
    const header = decodeHeader(this.#head)
    const { byteLength } = header
    const { maxBytes, onHeader, place } = this.#options
    onHeader?.(header)
    if (byteLength < HEADER_BYTES || byteLength > maxBytes) {
      const short = byteLength < HEADER_BYTES
      const reason = `its header says ${byteLength} bytes, send ${short ? 16 : `at most ${maxBytes}`}`
      throw new VfioError(short ? 'EPROTO' : 'EMSGSIZE', `Cannot read a message: ${reason}`, {
        syscall: 'vfio-user',
      })
    }
    const payloadBytes = byteLength - HEADER_BYTES
    this.#header = header
    this.#filled = 0
    this.#target = payloadBytes === 0 ? NONE : (place?.(header, payloadBytes) ?? new Uint8Array(payloadBytes))
    if (payloadBytes === 0) this.#deliver(header)
  }

  #deliver(header: MessageHeader): void {
    const payload = this.#target
    this.#header = undefined
    this.#target = this.#head
    this.#filled = 0
    this.#options.onMessage({ header, payload })
  }
}
