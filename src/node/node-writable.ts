/**
 * A Node stream as a sink.
 *
 * @module
 */

import type { Writable } from 'node:stream'
import { VfioError } from '../errors.ts'
import { type ByteSink, ownedChunks } from '../transport/index.ts'
import { nodeError } from './node-error.ts'

/**
 * A sink over a Node stream, which gets owned chunks of at most 256 KiB. A write settles once the stream
 * wants more ('drain'), so the stream holds at most its `writableHighWaterMark` and one chunk.
 *
 * `close` ends the stream and waits until it finished; `abort` destroys it. Calls reject with what the stream
 * failed with, by its errno, and with EPIPE when it was closed before its end. Listeners are gone when the
 * sink was closed or aborted.
 */
export function nodeWritable(writable: Writable): ByteSink {
  return new WritableSink(writable)
}

class WritableSink implements ByteSink {
  readonly #writable: Writable
  #failure: VfioError | undefined
  #isOver = false
  /** Not `writableFinished`: process.stdout forgets that it finished. */
  #isFinished = false
  #wake: () => void = () => {}

  constructor(writable: Writable) {
    this.#writable = writable
    if (writable.errored) this.#failure = failed(writable.errored)
    else if (writable.destroyed) this.#failure = closedEarly()
    writable.on('error', this.#onError)
    writable.on('close', this.#onClose)
    writable.on('drain', this.#onDrain)
    writable.on('finish', this.#onFinish)
  }

  async write(chunks: Uint8Array[]): Promise<void> {
    for (const chunk of ownedChunks(chunks)) {
      this.#check()
      if (!this.#writable.write(chunk)) await this.#change(() => !this.#writable.writableNeedDrain)
    }
    this.#check()
  }

  async close(): Promise<void> {
    this.#check()
    this.#writable.end()
    await this.#change(() => this.#isFinished)
    this.#check()
    this.#isOver = true
    this.#forget()
  }

  async abort(reason: unknown): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure ??= failed(reason)
    this.#wake()
    if (!this.#writable.closed) {
      this.#writable.destroy(reason instanceof Error ? reason : undefined)
      // The error is emitted before this, so the listener that keeps it from being uncaught can go.
      await new Promise<void>((resolve) => this.#writable.once('close', resolve))
    }
    this.#forget()
  }

  readonly #onError = (error: Error): void => {
    this.#failure ??= failed(error)
    this.#wake()
  }

  readonly #onClose = (): void => {
    if (!this.#isFinished) this.#failure ??= closedEarly()
    this.#wake()
  }

  readonly #onDrain = (): void => this.#wake()

  readonly #onFinish = (): void => {
    this.#isFinished = true
    this.#wake()
  }

  #check(): void {
    // A stream knows of its failure before it emits it.
    if (this.#writable.errored) this.#failure ??= failed(this.#writable.errored)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Waits until `isDone` or a failure. */
  async #change(isDone: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isDone()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #forget(): void {
    this.#writable.off('error', this.#onError)
    this.#writable.off('close', this.#onClose)
    this.#writable.off('drain', this.#onDrain)
    this.#writable.off('finish', this.#onFinish)
  }
}

function failed(error: unknown): VfioError {
  return nodeError(error instanceof Error ? error : new Error(String(error)), 'write to the stream')
}

function closedEarly(): VfioError {
  return new VfioError('EPIPE', 'Cannot write to the stream: it was closed before its end, open a new one')
}
