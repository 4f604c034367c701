/**
 * A connection to another process, and what listens for them.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ByteDuplex, ByteWindows } from '../transport/index.ts'

/**
 * Both directions of a connection. `close` ends what is written and leaves reading alone; when both directions
 * have ended, the connection is gone. `abort` and `cancel` give up both directions.
 *
 * A peer that gave up is ECONNRESET or EPIPE where the transport can tell it; over `unix:` and `tls:` it can
 * look like the end, so streams need an end of their own (the checked format has one).
 */
export interface Connection extends ByteDuplex {
  /** Who the other end is, for messages of one line. */
  readonly peer: string
  /** Aborted when nothing of the connection is left; its reason is a VfioError when it failed. */
  readonly closed: AbortSignal
  /** Gives up what is not closed yet; a no-op afterwards. */
  cancel(reason?: unknown): Promise<void>
  /** As {@link cancel}. */
  abort(reason?: unknown): Promise<void>
  /** Ends what is written; settles when it is handed over. */
  close(): Promise<void>
  /** The next 1 to `maxBytes` bytes that arrived, where they lie; an empty view at the end. */
  lease(maxBytes: number): Awaitable<Uint8Array>
  /** Gives back the oldest lease. */
  release(): void
  /** Reads straight into windows, where the transport can. */
  readInto?(windows: ByteWindows, signal?: AbortSignal): Promise<boolean>
}

/** What waits for connections. */
export interface Listener {
  /** Where it listens, with the real port: what `connect` takes. */
  readonly url: string
  /** Accepts no more, and ends nothing else. */
  close(): Promise<void>
}

/** Options of both ends of a connection. */
export interface ConnectionOptions {
  /** Fails with ETIMEDOUT when nothing moved for so long while a read or a write waits. Default: none. */
  readonly idleTimeoutMs?: number | undefined
  /** Fails with ETIMEDOUT when the connection is not gone after so long. Default: none. */
  readonly timeoutMs?: number | undefined
  /**
   * Where bytes are received, instead of memory of the connection's own ({@link RECEIVE_BYTES}). In memory of
   * an engine they are verified while they are copied to their place. It belongs to the connection until
   * `closed` is aborted. At least 64 KiB. Not used over `tls:`, `ws:` and `wss:`.
   */
  readonly receiveMemory?: Uint8Array | undefined
}

/** Bytes of the receive memory that a connection makes itself: the most it holds that was not read. */
export const RECEIVE_BYTES: number = 1024 * 1024
