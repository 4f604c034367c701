/**
 * Waiting until what is under way is done.
 *
 * @module
 */

/** One who waits, until there is nothing left or an abort. */
export class IdleWait {
  #onIdle: (() => void) | undefined

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#onIdle !== undefined
  }

  /** Resolves with the next {@link idle}; rejects with the signal's reason. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#onIdle = undefined
        signal.removeEventListener('abort', aborted)
      }
      const aborted = (): void => {
        end()
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', aborted)
      this.#onIdle = () => {
        end()
        resolve()
      }
    })
  }

  /** Nothing is under way any more. */
  idle(): void {
    this.#onIdle?.()
  }
}
