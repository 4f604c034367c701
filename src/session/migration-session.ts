/**
 * A data session as `migrate/` and the conformance suite see it, local or at the other end of a wire.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { Absorbed, PrecopyInfo, SessionWorker } from './session-end.ts'

/** The data_fd of a transition: an ordered, unseekable byte stream. Every method may be remote. */
export interface MigrationSession {
  /** 'save': readable; 'resume': writable. */
  readonly direction: 'save' | 'resume'
  /** Aborted when the session ends, before the device may run again. */
  readonly ended: AbortSignal
  /** Fills `dst` from its front; the number of bytes, 0 at the permanent end. As `DataSession.read`. */
  read(dst: Uint8Array): Awaitable<number>
  /** Takes all of `src`; its length. As `DataSession.write`. */
  write(src: Uint8Array): Awaitable<number>
  /** `poll(2)` bits. */
  poll(): Awaitable<number>
  /** Waits for one of `events`, or the end; resolves to those seen. */
  ready(events: number, options?: { signal?: AbortSignal }): Promise<number>
  /** Estimates of what is unread, in bytes; ENOTTY where there are none. */
  precopyInfo(): Awaitable<PrecopyInfo>
  /** The next 1 to `maxBytes` stream bytes where they lie; an empty view at the permanent end. */
  lease(maxBytes: number): Awaitable<Uint8Array>
  /** Gives back the oldest lease. */
  release(): Awaitable<void>
  /** Where the next 1 to `maxBytes` stream bytes belong. */
  window(maxBytes: number): Awaitable<Uint8Array>
  /** The first `byteLength` bytes of the window were filled. */
  commit(byteLength: number): Awaitable<void>
  /** A `write` that may be short and may go on reading `src`, which it tells; absent: use `write`. */
  absorb?(src: Uint8Array): Awaitable<Absorbed>
  /** Gives the session a worker to use; one it cannot use is ignored. */
  attachWorker?(worker: SessionWorker): Awaitable<void>
  /** Closes the session; the device's state stays as it is. */
  close(): Awaitable<void>
}
