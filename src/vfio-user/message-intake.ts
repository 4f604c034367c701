/**
 * Bytes of a connection to messages: a header, then its payload where it belongs.
 *
 * A little is read ahead, so that small messages come many at a time, and of a large payload all but its first bytes
 * lands in its last place at once. Over a connection with descriptors nothing is read ahead of the message that is
 * due: what came with its first byte is known when its header is.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ByteSource, ByteWindows } from '../transport/index.ts'
import { fdPassingOf } from './fd-passing.ts'
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
/** Bytes read ahead of the message that is due. */
const AHEAD_BYTES = 4096

/**
 * Reads messages until the source ends. What `run` needs of memory is one message, and {@link AHEAD_BYTES}.
 *
 * {@link pause} takes effect before the next message: the rest of the one whose header came is read.
 */
export class MessageIntake implements ByteWindows {
  readonly #source: ByteSource
  readonly #options: IntakeOptions
  /** Bytes up to {@link #held} that belong to no payload yet. */
  readonly #ahead: Uint8Array
  #held = 0
  #header: MessageHeader | undefined
  /** The payload that is being filled, and how far. */
  #payload: Uint8Array = NONE
  #filled = 0
  #isPaused = false
  #resumed: (() => void) | undefined

  constructor(source: ByteSource, options: IntakeOptions) {
    this.#source = source
    this.#options = options
    this.#ahead = new Uint8Array(fdPassingOf(source) === undefined ? AHEAD_BYTES : HEADER_BYTES)
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
      if (this.#mustWait) {
        await new Promise<void>((resolve) => {
          this.#resumed = resolve
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      }
      signal?.throwIfAborted()
      ended = source.readInto === undefined ? await this.#readOnce() : await source.readInto(this, signal)
    }
    if (this.#header === undefined && this.#held === 0) return
    throw new VfioError(
      'ECONNRESET',
      'Cannot read a message: the connection ended in the middle of one, connect again',
      { syscall: 'vfio-user' },
    )
  }

  window(maxBytes: number): Uint8Array {
    // What was held back while it was paused comes first.
    if (this.#header === undefined && this.#held >= HEADER_BYTES) this.#takeMessages()
    if (this.#mustWait) return NONE
    if (this.#header === undefined) return this.#ahead.subarray(this.#held, this.#held + maxBytes)
    return this.#payload.subarray(this.#filled, this.#filled + maxBytes)
  }

  commit(byteLength: number): void {
    if (this.#header === undefined) {
      this.#held += byteLength
      this.#takeMessages()
      return
    }
    this.#filled += byteLength
    if (this.#filled === this.#payload.length) this.#deliver(this.#header)
  }

  get #mustWait(): boolean {
    return this.#isPaused && this.#header === undefined
  }

  async #readOnce(): Promise<boolean> {
    const window = this.window(Number.MAX_SAFE_INTEGER)
    if (window.length === 0) return false
    const byteLength = await this.#source.read(window)
    if (byteLength === 0) return true
    this.commit(byteLength)
    return false
  }

  /** Messages, and the beginning of one, of what was read ahead. */
  #takeMessages(): void {
    let at = 0
    try {
      while (this.#held - at >= HEADER_BYTES && !this.#mustWait) {
        const header = this.#begin(this.#ahead.subarray(at, at + HEADER_BYTES))
        at += HEADER_BYTES
        const came = Math.min(this.#payload.length, this.#held - at)
        this.#payload.set(this.#ahead.subarray(at, at + came))
        at += came
        this.#filled = came
        if (came < this.#payload.length) break
        this.#deliver(header)
      }
    } finally {
      this.#ahead.copyWithin(0, at, this.#held)
      this.#held -= at
    }
  }

  #begin(bytes: Uint8Array): MessageHeader {
    const header = decodeHeader(bytes)
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
    this.#payload =
      payloadBytes === 0 ? NONE : (place?.(header, payloadBytes) ?? new Uint8Array(payloadBytes))
    this.#header = header
    return header
  }

  #deliver(header: MessageHeader): void {
    const payload = this.#payload
    this.#header = undefined
    this.#payload = NONE
    this.#options.onMessage({ header, payload })
  }
}
