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
  read(dst: Uint8Array): Awaitable<number>
  write(src: Uint8Array): Awaitable<number>
  poll(): Awaitable<number>
  ready(events: number, options?: { signal?: AbortSignal }): Promise<number>
  precopyInfo(): Awaitable<PrecopyInfo>
  lease(maxBytes: number): Awaitable<Uint8Array>
  release(): Awaitable<void>
  window(maxBytes: number): Awaitable<Uint8Array>
  commit(byteLength: number): Awaitable<void>
  /** A `write` that may be short and may go on reading `src`, which it tells; absent: use `write`. */
  absorb?(src: Uint8Array): Awaitable<Absorbed>
  /** Gives the session a worker to use; one it cannot use is ignored. */
  attachWorker?(worker: SessionWorker): Awaitable<void>
  close(): Awaitable<void>
}
