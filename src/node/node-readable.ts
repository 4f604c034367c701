/**
 * A Node stream as a source.
 *
 * @module
 */

import type { Readable } from 'node:stream'
import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteSource } from '../transport/index.ts'
import { nodeError } from './node-error.ts'

/**
 * A source over a Node stream of bytes, which it pulls from (paused mode): the stream holds its
 * `readableHighWaterMark`, this source one chunk.
 *
 * `cancel` destroys the stream. Reading rejects with what the stream failed with, by its errno, with EPIPE
 * when it was closed before its end, and with EINVAL when a chunk is no Uint8Array (an encoding is set, or it
 * is in object mode). Listeners are gone at the end, after a failure and when it was canceled.
 */
export function nodeReadable(readable: Readable): ByteSource {
  return new ReadableSource(readable)
}

class ReadableSource implements ByteSource {
  readonly #readable: Readable
  #rest: Uint8Array = new Uint8Array(0)
  #failure: VfioError | undefined
  #isOver = false
  #wake: () => void = () => {}

  constructor(readable: Readable) {
    this.#readable = readable
    if (readable.errored) this.#failure = failed(readable.errored)
    else if (readable.readableEnded) this.#isOver = true
    else if (readable.destroyed) this.#failure = closedEarly()
    readable.on('error', this.#onError)
    readable.on('close', this.#onClose)
    readable.on('end', this.#onEnd)
    readable.on('readable', this.#onReadable)
  }

  read(dst: Uint8Array): Awaitable<number> {
    if (this.#rest.length === 0) this.#pull()
    return this.#rest.length > 0 || dst.length === 0 ? this.#take(dst) : this.#next(dst)
  }

  async cancel(reason: unknown): Promise<void> {
    this.#rest = new Uint8Array(0)
    if (!this.#isOver) {
      this.#isOver = true
      this.#wake()
      if (!this.#readable.closed) {
        this.#readable.destroy(reason instanceof Error ? reason : undefined)
        // The error is emitted before this, so the listener that keeps it from being uncaught can go.
        await new Promise<void>((resolve) => this.#readable.once('close', resolve))
      }
    }
    this.#forget()
  }

  readonly #onError = (error: Error): void => {
    this.#failure ??= failed(error)
    this.#wake()
  }

  readonly #onClose = (): void => {
    if (!this.#readable.readableEnded) this.#failure ??= closedEarly()
    this.#wake()
  }

  readonly #onEnd = (): void => {
    this.#isOver = true
    this.#wake()
  }

  readonly #onReadable = (): void => this.#wake()

  async #next(dst: Uint8Array): Promise<number> {
    while (this.#rest.length === 0 && !this.#isOver) {
      if (this.#failure !== undefined) {
        this.#forget()
        throw this.#failure
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      if (!this.#isOver) this.#pull()
    }
    // Cancelled meanwhile: `dst` is no longer ours, and the listeners stay until the stream is closed.
    if (!this.#isOver) return this.#take(dst)
    if (this.#readable.readableEnded) this.#forget()
    return 0
  }

  #pull(): void {
    const chunk: unknown = this.#isOver ? null : this.#readable.read()
    if (chunk === null) return
    if (!(chunk instanceof Uint8Array)) {
      throw new VfioError('EINVAL', 'Cannot read from the stream: a chunk is no Uint8Array, use bytes')
    }
    this.#rest = chunk
  }

  #take(dst: Uint8Array): number {
    const bytes = this.#rest.subarray(0, dst.length)
    dst.set(bytes)
    this.#rest = this.#rest.subarray(bytes.length)
    return bytes.length
  }

  #forget(): void {
    this.#readable.off('error', this.#onError)
    this.#readable.off('close', this.#onClose)
    this.#readable.off('end', this.#onEnd)
    this.#readable.off('readable', this.#onReadable)
  }
}

function failed(error: unknown): VfioError {
  return nodeError(error, 'read from the stream')
}

function closedEarly(): VfioError {
  return new VfioError('EPIPE', 'Cannot read from the stream: it was closed before its end, open a new one')
}
