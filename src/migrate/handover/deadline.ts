/**
 * Waiting that ends: no side of a migration hangs past its timeouts.
 *
 * @module
 */

/** Settles as `work` does, or rejects with `failure()` after `timeoutMs`; Infinity never does. */
export async function within<T>(work: Promise<T>, timeoutMs: number, failure: () => Error): Promise<T> {
  if (timeoutMs === Number.POSITIVE_INFINITY) return work
  let timer: ReturnType<typeof setTimeout> | undefined
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(failure()), timeoutMs)
  })
  try {
    return await Promise.race([work, expired])
  } finally {
    clearTimeout(timer)
    // Who stopped waiting does not come back for its failure.
    work.catch(() => {})
  }
}

/** Calls `onExpire` when nobody touched it for `timeoutMs`; again after as long when that returns true. */
export class Watchdog {
  readonly #timeoutMs: number
  readonly #onExpire: () => boolean | void
  #touchedMs: number = performance.now()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(timeoutMs: number, onExpire: () => boolean | void) {
    this.#timeoutMs = timeoutMs
    this.#onExpire = onExpire
    if (timeoutMs !== Number.POSITIVE_INFINITY) this.#arm(timeoutMs)
  }

  /** Somebody is alive. An arrow, to be passed on; cheap enough for every chunk. */
  readonly touch = (): void => {
    this.#touchedMs = performance.now()
  }

  /** No more expiry. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => {
      const leftMs = this.#touchedMs + this.#timeoutMs - performance.now()
      if (leftMs > 0) this.#arm(leftMs)
      else if (this.#onExpire() === true) this.#arm(this.#timeoutMs)
    }, delayMs)
  }
}
