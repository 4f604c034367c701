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
   * Reads on straight into windows, instead of `read`: to the end, or until there is no window. Nothing else
   * reads meanwhile. What a window's `commit` or the next `window` throws is what this rejects with; the bytes
   * after those committed are there for whoever reads next. Absent: use `read`.
   *
   * @param signal - once it is aborted no window is written any more; rejects with its reason
   * @returns whether the end came
   */
  readInto?(windows: ByteWindows, signal?: AbortSignal): Promise<boolean>
  /**
   * No more bytes are wanted. From the call on no `dst` is written any more, since the memory behind it
   * may belong to a running device; a read under way settles. Calling it again has no effect.
   */
  cancel(reason: unknown): Awaitable<void>
}

/** Where bytes belong: asked for before they come, so that no copy is needed. */
export interface ByteWindows {
  /** The place of the next 1 to `maxBytes` bytes; an empty view when no more are wanted now. */
  window(maxBytes: number): Uint8Array
  /** The first `byteLength` bytes of the last window were filled. Without it, nothing was. */
  commit(byteLength: number): void
}

/** Both directions. */
export interface ByteDuplex extends ByteSink, ByteSource {}
