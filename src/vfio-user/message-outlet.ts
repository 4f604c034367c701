/**
 * Messages to bytes of a connection, in the order they were sent; those that wait for a write are written together.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ByteSink } from '../transport/index.ts'
import type { FdPassing } from './fd-passing.ts'

/** Most chunks of one write: what one `writev` takes on Linux. */
const MOST_CHUNKS = 1024

interface Outgoing {
  readonly chunks: readonly Uint8Array[]
  readonly fds: readonly number[]
  resolve(): void
  reject(error: unknown): void
}

/** Writes messages, one after the other. */
export class MessageOutlet {
  readonly #sink: ByteSink
  readonly #fds: FdPassing | undefined
  #waiting: Outgoing[] = []
  #isWriting = false
  #pending = 0
  #failure: { readonly error: unknown } | undefined

  constructor(sink: ByteSink, fds?: FdPassing) {
    this.#sink = sink
    this.#fds = fds
  }

  /** Messages that were sent and not yet written: what a sender bounds. */
  get pending(): number {
    return this.#pending
  }

  /**
   * Writes a message, header and payload in one write, so that no peer sees half a header. The chunks must
   * stay as they are until the promise settles.
   *
   * @param fds - descriptors to go with it; they stay the caller's. Only where the connection can carry them
   * @throws {@link VfioError} as the sink does; every message after a failed one fails with the same
   */
  send(chunks: readonly Uint8Array[], fds: readonly number[] = []): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending++
      this.#waiting.push({ chunks, fds, resolve, reject })
      if (!this.#isWriting) void this.#writeAll()
    })
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    while (this.#waiting.length > 0) {
      const messages = this.#next()
      try {
        if (this.#failure === undefined) await this.#write(messages)
      } catch (error) {
        this.#failure = { error }
      }
      this.#pending -= messages.length
      for (const { resolve, reject } of messages) {
        if (this.#failure === undefined) resolve()
        else reject(this.#failure.error)
      }
    }
    this.#isWriting = false
  }

  /** The next message, and those behind it that can go in the same write: descriptors go with its first byte. */
  #next(): Outgoing[] {
    if (this.#waiting.length === 1) return this.#waiting.splice(0)
    let [count, chunks] = [0, 0]
    for (const message of this.#waiting) {
      chunks += message.chunks.length
      if (count > 0 && (message.fds.length > 0 || chunks > MOST_CHUNKS)) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  #write(messages: readonly Outgoing[]): Awaitable<void> {
    const [first] = messages as readonly [Outgoing]
    const chunks = messages.length === 1 ? [...first.chunks] : messages.flatMap((message) => message.chunks)
    if (first.fds.length > 0 && this.#fds !== undefined) return this.#fds.write(chunks, first.fds)
    return this.#sink.write(chunks)
  }
}
