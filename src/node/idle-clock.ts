/**
 * The two time limits of a connection: nothing moved, and it took too long.
 *
 * @module
 */

/** Limits in milliseconds; 0 or none is no limit. */
interface TimeLimits {
  readonly idleTimeoutMs?: number | undefined
  readonly timeoutMs?: number | undefined
}

/** Tells once when a limit is over. */
export class IdleClock {
  readonly #idleTimeoutMs: number
  readonly #onExpire: (what: string) => void
  readonly #total: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #isEnded = false

  constructor({ idleTimeoutMs = 0, timeoutMs }: TimeLimits, onExpire: (what: string) => void) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#onExpire = onExpire
    if (timeoutMs !== undefined) {
      this.#total = setTimeout(() => onExpire(`it took ${timeoutMs} ms`), timeoutMs)
    }
  }

  /** Somebody waits from now on. */
  start(): void {
    if (this.#idleTimeoutMs === 0 || this.#isEnded) return
    if (this.#idle !== undefined) {
      this.#idle.refresh()
      return
    }
    this.#idle = setTimeout(
      () => this.#onExpire(`nothing moved for ${this.#idleTimeoutMs} ms`),
      this.#idleTimeoutMs,
    )
    this.#idle.unref()
  }

  /** Something moved. */
  moved(): void {
    this.#idle?.refresh()
  }

  /** Nobody waits any more. */
  stop(): void {
    clearTimeout(this.#idle)
    this.#idle = undefined
  }

  /** Neither limit counts any more. */
  end(): void {
    this.#isEnded = true
    this.stop()
    clearTimeout(this.#total)
  }
}
