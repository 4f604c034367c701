/**
 * Byte transports: what carries a migration stream from one end to the other.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'

/** Takes bytes. The next `write` is called only after the last one settled: that is the backpressure. */
export interface ByteSink {
  /** Called once before the device is touched, where it exists: what cannot work should fail here. */
  open?(): Awaitable<void>
  /** Takes all chunks, in order. They may be reused once the result settles. */
  write(chunks: Uint8Array[]): Awaitable<void>
  /** All bytes were written: make them durable. */
  close(): Awaitable<void>
  /**
   * Give up: leave nothing half-written behind. A write under way settles. Also called after a `close`
   * that failed; calling it again, or after a `close` that did not, has no effect.
   */
  abort(reason: unknown): Awaitable<void>
}

/** Gives bytes. */
export interface ByteSource {
  /** Bytes in all, where they are known; may appear with the first read. */
  readonly byteLength?: number | undefined
  /** Fills `dst` from its front; the number of bytes, 0 at the end. */
  read(dst: Uint8Array): Awaitable<number>
  /**
   * The next 1 to `maxBytes` bytes where they lie, instead of `read`; an empty view at the end. They do not
   * change before their {@link release}. Leases queue. Absent: use `read`.
   */
  lease?(maxBytes: number): Awaitable<Uint8Array>
  /** Gives back the oldest lease; there where `lease` is. */
  release?(): void
  /**
   * No more bytes are wanted. From the call on no `dst` is written any more, since the memory behind it
   * may belong to a running device; a read under way settles. Calling it again has no effect.
   */
  cancel(reason: unknown): Awaitable<void>
}

/** Both directions. */
export interface ByteDuplex extends ByteSink, ByteSource {}
