/**
 * Messages to bytes of a connection: one write each, in the order they were sent.
 *
 * @module
 */

import type { ByteSink } from '../transport/index.ts'
import type { FdPassing } from './fd-passing.ts'

/** Writes messages, one after the other. */
export class MessageOutlet {
  readonly #sink: ByteSink
  readonly #fds: FdPassing | undefined
  #last: Promise<void> | undefined
  #pending = 0

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
  send(chunks: Uint8Array[], fds: readonly number[] = []): Promise<void> {
    this.#pending++
    const write = async (): Promise<void> => {
      if (fds.length > 0 && this.#fds !== undefined) await this.#fds.write(chunks, fds)
      else await this.#sink.write(chunks)
    }
    const before = this.#last
    const written = (before === undefined ? write() : before.then(write)).finally(() => {
      this.#pending--
      if (this.#last === written) this.#last = undefined
    })
    this.#last = written
    // Who sent it is told; the next one is told by its own promise.
    written.catch(() => {})
    return written
  }
}
