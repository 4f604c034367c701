/**
 * What a driver gets with each arc of one call.
 *
 * @module
 */

/**
 * A signal is made only for the driver that looks at it: an AbortController costs several times what the
 * arc of a small device does, and the collector as much again.
 */
export class ArcOptions {
  #signal: AbortSignal | undefined

  /** @param signal - the caller's, if it gave one */
  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /** Aborted when the caller gives up; one that never is when it cannot. */
  get signal(): AbortSignal {
    return (this.#signal ??= new AbortController().signal)
  }

  /** Whether the caller has given up. */
  get aborted(): boolean {
    return this.#signal?.aborted === true
  }
}
