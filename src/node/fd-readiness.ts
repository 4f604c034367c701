/**
 * When a descriptor can be read or written, by the event loop.
 *
 * koffi calls back from inside libuv, where Node runs no promises afterwards; so what is due is told in the
 * same turn's `setImmediate`.
 *
 * @module
 */

import type { Libc, PollEvents, PollHandle } from './libc.ts'

const NOTHING: PollEvents = { readable: false, writable: false }

/** Watches one descriptor that nobody else watches. */
export class FdReadiness {
  readonly #libc: Libc
  readonly #fd: number
  readonly #onReady: (events: PollEvents) => void
  #handle: PollHandle | undefined
  #wanted = NOTHING
  /** What the event loop looks for: more than is wanted for a while, since changing it costs system calls. */
  #armed = NOTHING
  #seen = NOTHING
  #immediate: NodeJS.Immediate | undefined
  #isClosed = false

  /** @param onReady is told what can be done now; an error of the descriptor counts as both */
  constructor(libc: Libc, fd: number, onReady: (events: PollEvents) => void) {
    this.#libc = libc
    this.#fd = fd
    this.#onReady = onReady
  }

  /** What to be told from now on, again and again while it holds. */
  want(readable: boolean, writable: boolean): void {
    if (this.#isClosed) return
    this.#wanted = { readable, writable }
    const { readable: canRead, writable: canWrite } = this.#armed
    if ((readable && !canRead) || (writable && !canWrite)) this.#arm(this.#wanted)
  }

  /** Ends the watch; the descriptor may be closed then. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearImmediate(this.#immediate)
    this.#handle?.close()
    this.#handle = undefined
  }

  #arm(events: PollEvents): void {
    this.#armed = events
    if (this.#handle === undefined) {
      this.#handle = this.#libc.poller(this.#fd, events, this.#onEvents)
    } else if (events.readable || events.writable) {
      this.#handle.start(events, this.#onEvents)
    } else {
      this.#handle.stop()
    }
  }

  /** Nothing may be thrown from here: libuv is the caller. */
  readonly #onEvents = (status: number, { readable, writable }: PollEvents): void => {
    if (this.#isClosed) return
    const failed = status < 0
    if (failed) this.#armed = NOTHING
    const events = { readable: failed || readable, writable: failed || writable }
    const wanted = this.#wanted
    if (!failed && ((readable && !wanted.readable) || (writable && !wanted.writable))) this.#arm(wanted)
    this.#seen = {
      readable: this.#seen.readable || events.readable,
      writable: this.#seen.writable || events.writable,
    }
    this.#immediate ??= setImmediate(this.#tell)
  }

  readonly #tell = (): void => {
    this.#immediate = undefined
    const seen = this.#seen
    this.#seen = NOTHING
    this.#onReady(seen)
  }
}
