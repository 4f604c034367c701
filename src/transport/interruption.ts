/**
 * What cuts a transfer short: the user's signal, or the end of the session.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'

/** The error of a transfer that its AbortSignal stopped: ECANCELED, the signal's reason as its cause. */
export function canceled(action: string, signal: AbortSignal): VfioError {
  return new VfioError('ECANCELED', `Cannot ${action}: it was canceled, start it again`, {
    cause: signal.reason,
  })
}

/** Watches both signals during one transfer. {@link dispose} takes its listeners away. */
export class Interruption {
  readonly #signal: AbortSignal | undefined
  readonly #ended: AbortSignal | undefined
  readonly #onInterrupt: (error: unknown) => void
  #error: unknown
  #interrupted = false
  /** One waiter, not a shared promise: racing against one would leave a reaction behind per chunk. */
  #stopWaiting: ((error: unknown) => void) | undefined

  /** @param onInterrupt - runs in the signal's own listener, before the device may run */
  constructor(
    action: string,
    signals: { signal?: AbortSignal | undefined; ended?: AbortSignal | undefined },
    onInterrupt: (error: unknown) => void = () => {},
  ) {
    this.#signal = signals.signal
    this.#ended = signals.ended
    this.#onInterrupt = onInterrupt
    this.#abort = () => this.#interrupt(canceled(action, this.#signal as AbortSignal))
    if (this.#signal?.aborted) this.#abort()
    else if (this.#ended?.aborted) this.#end()
    this.#signal?.addEventListener('abort', this.#abort)
    this.#ended?.addEventListener('abort', this.#end)
  }

  /** Throws what interrupted the transfer, if something did. */
  check(): void {
    if (this.#interrupted) throw this.#error
  }

  /** Settles as `work` does, or rejects with the interruption when that comes first. One at a time. */
  wait<T>(work: Awaitable<T>): Awaitable<T> {
    if (!isPromise(work)) return work
    return new Promise<T>((resolve, reject) => {
      this.#stopWaiting = reject
      work.then(resolve, reject)
      if (this.#interrupted) reject(this.#error)
    })
  }

  /** Stops watching. */
  dispose(): void {
    this.#signal?.removeEventListener('abort', this.#abort)
    this.#ended?.removeEventListener('abort', this.#end)
  }

  readonly #abort: () => void

  readonly #end = (): void => this.#interrupt((this.#ended as AbortSignal).reason)

  #interrupt(error: unknown): void {
    if (this.#interrupted) return
    this.#interrupted = true
    this.#error = error
    this.#onInterrupt(error)
    this.#stopWaiting?.(error)
  }
}

/** Whether a value is still to come. */
export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function'
}
