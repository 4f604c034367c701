/**
 * Byte transports: what carries a migration stream from one end to the other.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'

/** Takes bytes. The next `write` is called only after the last one settled: that is the backpressure. */
export interface ByteSink {
  /** Takes all chunks, in order. They may be reused once the result settles. */
  write(chunks: Uint8Array[]): Awaitable<void>
  /** All bytes were written: make them durable. */
  close(): Awaitable<void>
  /** Give up: leave nothing half-written behind. */
  abort(reason: unknown): Awaitable<void>
}

/** Gives bytes. */
export interface ByteSource {
  /** Fills `dst` from its front; the number of bytes, 0 at the end. */
  read(dst: Uint8Array): Awaitable<number>
  /** No more bytes are wanted. */
  cancel(reason: unknown): Awaitable<void>
}

/** Both directions. */
export interface ByteDuplex extends ByteSink, ByteSource {}
