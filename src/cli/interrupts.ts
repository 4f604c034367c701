/**
 * SIGINT and SIGTERM: the work under way is aborted and cleans up; a second signal ends the process.
 *
 * @module
 */

const NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const

/** Listens until {@link dispose}. */
export class Interrupts {
  readonly #controller: AbortController = new AbortController()
  #name: keyof typeof NUMBERS | undefined
  #held = 0

  constructor() {
    process.on('SIGINT', this.#onSignal)
    process.on('SIGTERM', this.#onSignal)
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The first signal, once there was one. */
  get name(): string | undefined {
    return this.#name
  }

  /** 130 or 143 after a signal. */
  get exitCode(): number | undefined {
    return this.#name === undefined ? undefined : 128 + NUMBERS[this.#name]
  }

  /** Until the result is called, a second signal does not end the process. */
  hold(): () => void {
    this.#held++
    let isHeld = true
    return () => {
      if (isHeld) this.#held--
      isHeld = false
    }
  }

  /** Stops listening. */
  dispose(): void {
    process.off('SIGINT', this.#onSignal)
    process.off('SIGTERM', this.#onSignal)
  }

  readonly #onSignal = (name: keyof typeof NUMBERS): void => {
    // Whoever asks twice wants it now, unless that would lose something.
    if (this.#name !== undefined && this.#held > 0) return
    if (this.#name !== undefined) process.exit(128 + NUMBERS[name])
    this.#name = name
    this.#controller.abort(new Error(`interrupted by ${name}`))
  }
}
