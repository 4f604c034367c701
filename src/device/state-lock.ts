/**
 * The state lock: one caller at a time, first come first served, with deferred reset (facts A.7).
 *
 * A reset never waits for the lock: it marks itself, and whoever holds the lock applies it while
 * unlocking, again and again until none is pending. In the kernel that breaks a deadlock with the memory
 * locks; here it lets a reset be asked for from inside a transition that waits for it.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'

interface PendingReset {
  resolve(): void
  reject(reason: unknown): void
}

/** Serialises everything that looks at or changes a device's state. */
export class StateLock {
  readonly #applyReset: () => Promise<void>
  readonly #queue: (() => void)[] = []
  #pending: PendingReset[] = []
  #locked = false

  /** @param applyReset - called with the lock held; resets marked meanwhile cause one more call */
  constructor(applyReset: () => Promise<void>) {
    this.#applyReset = applyReset
  }

  /** Runs `critical` with the lock held, at once when it is free, and settles as it does. */
  async run<T>(critical: () => Awaitable<T>): Promise<T> {
    if (this.#locked) await new Promise<void>((resume) => this.#queue.push(resume))
    this.#locked = true
    try {
      return await critical()
    } finally {
      if (this.#pending.length > 0) await this.#unlock()
      else this.#handOn()
    }
  }

  /** Marks a reset, which is applied at once when the lock is free; settles when it was applied. */
  reset(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      if (this.#locked) return
      this.#locked = true
      void this.#unlock()
    })
  }

  async #unlock(): Promise<void> {
    while (this.#pending.length > 0) {
      const waiting = this.#pending
      this.#pending = []
      try {
        await this.#applyReset()
        for (const reset of waiting) reset.resolve()
      } catch (error) {
        for (const reset of waiting) reset.reject(error)
      }
    }
    this.#handOn()
  }

  /** The lock is handed on, not freed: a newcomer must not overtake the queue. */
  #handOn(): void {
    const next = this.#queue.shift()
    if (next === undefined) this.#locked = false
    else next()
  }
}
