/**
 * Writes of a migration's data: one under way on each connection, the next one's leases gathered meanwhile.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { BandwidthMeter } from '../bandwidth-meter.ts'
import { Watchdog } from '../handover/deadline.ts'
import type { FrameWriter } from '../handover/frame-writer.ts'
import { pause } from './abortable.ts'
import type { OutgoingStream } from './outgoing-stream.ts'
import type { RateLimit } from './rate-limit.ts'
import type { SourceLink } from './source-link.ts'

/** What an {@link Outbox} works with. */
export interface OutboxOptions {
  readonly link: SourceLink
  readonly limit: RateLimit
  readonly meter: BandwidthMeter
  /** Cuts waiting short. */
  readonly signal: AbortSignal
  /** For one write. */
  readonly writeTimeoutMs: number
  readonly onWritten: (byteLength: number) => void
}

/** Sends pieces of streams over whichever connection is free. */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #free: FrameWriter[]
  readonly #writing = new Set<Promise<void>>()
  readonly #watchdog: Watchdog
  readonly #onAbort: () => void
  /** Who waits for a write to settle; one listener and one timer for all writes, since they are many. */
  #waiter: { resolve(): void; reject(reason: unknown): void } | undefined
  #settledMs = 0
  bytes = 0

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#free = [...options.link.writers]
    const { link, signal, writeTimeoutMs } = options
    this.#watchdog = new Watchdog(writeTimeoutMs, () => {
      if (!this.busy) return true
      link.lose(silent(writeTimeoutMs))
      return false
    })
    this.#onAbort = () => this.#waiter?.reject(signal.reason)
    signal.addEventListener('abort', this.#onAbort)
  }

  /** No more writes are started. */
  dispose(): void {
    this.#watchdog.stop()
    this.#options.signal.removeEventListener('abort', this.#onAbort)
  }

  /** Whether a write is under way. */
  get busy(): boolean {
    return this.#writing.size > 0
  }

  /**
   * Starts a write of `chunks`, leases of `stream`, once a connection is free.
   *
   * @param sinceMs - when gathering them began
   */
  async send(
    stream: OutgoingStream,
    chunks: Uint8Array[],
    byteLength: number,
    sinceMs: number,
  ): Promise<void> {
    const { limit, signal } = this.#options
    try {
      const delayMs = limit.take(byteLength, performance.now())
      if (delayMs > 0) await pause(delayMs, signal)
      while (this.#free.length === 0) await this.oneSettled()
      signal.throwIfAborted()
    } catch (error) {
      stream.abandon(chunks.length)
      throw error
    }
    const writer = this.#free.shift() as FrameWriter
    const writing = this.#write(writer, stream, chunks, byteLength, sinceMs)
    this.#writing.add(writing)
    void this.#forget(writing)
  }

  async #forget(writing: Promise<void>): Promise<void> {
    await writing
    this.#writing.delete(writing)
    this.#waiter?.resolve()
  }

  /** Settles when one of the writes under way has. */
  oneSettled(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this.#options
      this.#waiter = { resolve, reject }
      if (signal.aborted) reject(signal.reason as Error)
    })
  }

  /** Settles when no write is under way. */
  async drained(): Promise<void> {
    while (this.#writing.size > 0) await this.oneSettled()
    this.#options.signal.throwIfAborted()
  }

  /** Settles when the sinks let go of all leases, however that went. */
  async quiet(): Promise<void> {
    await Promise.all(this.#writing)
  }

  async #write(
    writer: FrameWriter,
    stream: OutgoingStream,
    chunks: Uint8Array[],
    byteLength: number,
    sinceMs: number,
  ): Promise<void> {
    const { link, meter, onWritten } = this.#options
    const release = stream.writing(chunks.length)
    const place = { index: stream.index, position: stream.position, byteLength }
    stream.position += byteLength
    this.#watchdog.touch()
    try {
      await writer.data(link.id, place, chunks)
      this.#watchdog.touch()
      const nowMs = performance.now()
      // Since the one before when there was always something to send; idle time is not the link's.
      meter.record(byteLength, nowMs - Math.max(this.#settledMs, sinceMs))
      this.#settledMs = nowMs
      this.bytes += byteLength
      this.#free.push(writer)
      onWritten(byteLength)
    } catch (error) {
      link.lose(error)
    } finally {
      release()
    }
  }
}

function silent(timeoutMs: number): Error {
  return new VfioError(
    'ETIMEDOUT',
    `Cannot migrate: the destination took no data for ${timeoutMs} ms, look whether it is alive`,
  )
}
