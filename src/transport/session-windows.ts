/**
 * A session's windows for a source that fills them without waiting.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteWindows } from './byte-stream.ts'
import { isPromise } from './interruption.ts'

/** What it needs of a session. */
export interface WindowSource {
  window(maxBytes: number): Awaitable<Uint8Array>
  commit(byteLength: number): Awaitable<void>
}

/** Most bytes of one window: more than any payload. */
const WINDOW_BYTES: number = 1024 * 1024

/**
 * The session's windows, one at a time: {@link open} gets the first, and when the session is not ready for the
 * next one there is none, until it is opened again.
 */
export class SessionWindows implements ByteWindows {
  readonly #session: WindowSource
  readonly #onCommit: (byteLength: number) => void
  #window: Uint8Array | undefined
  #opening: Promise<void> | undefined
  /** Bytes in the window that the session did not take yet. */
  #uncommitted = 0
  #committing: Promise<void> | undefined

  /** @param onCommit told how many bytes the session took */
  constructor(session: WindowSource, onCommit: (byteLength: number) => void) {
    this.#session = session
    this.#onCommit = onCommit
  }

  /** Has a window when it settles. Throws as the session; call again after EAGAIN. */
  open(): Awaitable<void> {
    const committed = this.#uncommitted > 0 ? (this.#committing ?? this.#commit()) : undefined
    if (isPromise(committed)) return this.#openAfter(committed)
    return this.#window === undefined ? (this.#opening ?? this.#open()) : undefined
  }

  window(maxBytes: number): Uint8Array {
    if (this.#uncommitted > 0 || this.#opening !== undefined) return NONE
    if (this.#window === undefined && !ready(() => this.#open())) return NONE
    return this.#window?.subarray(0, maxBytes) ?? NONE
  }

  commit(byteLength: number): void {
    if (byteLength === 0) return
    this.#uncommitted = byteLength
    ready(() => this.#commit())
  }

  /** Gives back the window that is out. */
  close(): Awaitable<void> {
    if (this.#window === undefined) return undefined
    this.#window = undefined
    return this.#session.commit(0)
  }

  async #openAfter(committed: Promise<void>): Promise<void> {
    await committed
    await this.open()
  }

  #open(): Awaitable<void> {
    const opened = this.#session.window(WINDOW_BYTES)
    if (!isPromise(opened)) {
      this.#window = opened
      return undefined
    }
    this.#opening = this.#opened(opened)
    // Told by `open`.
    this.#opening.catch(() => {})
    return this.#opening
  }

  async #opened(opened: Promise<Uint8Array>): Promise<void> {
    try {
      this.#window = await opened
    } finally {
      this.#opening = undefined
    }
  }

  #commit(): Awaitable<void> {
    const committed = this.#session.commit(this.#uncommitted)
    if (!isPromise(committed)) {
      this.#taken()
      return undefined
    }
    this.#committing = this.#committed(committed)
    this.#committing.catch(() => {})
    return this.#committing
  }

  async #committed(committed: Promise<void>): Promise<void> {
    try {
      await committed
      this.#taken()
    } finally {
      this.#committing = undefined
    }
  }

  #taken(): void {
    const byteLength = this.#uncommitted
    this.#uncommitted = 0
    this.#window = undefined
    this.#onCommit(byteLength)
  }
}

const NONE = new Uint8Array(0)

/** Whether a call of the session is over; what says that it must be made again is not. */
function ready(call: () => Awaitable<unknown>): boolean {
  try {
    return !isPromise(call())
  } catch (error) {
    if (VfioError.is(error, 'EAGAIN') || VfioError.is(error, 'ENOMSG')) return false
    throw error
  }
}
