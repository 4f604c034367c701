/**
 * Keeps long work from holding up the event loop, without giving way more often than needed.
 *
 * @module
 */

/** Longest stretch of work between two turns of the event loop, in milliseconds. */
const STRETCH_MS = 10

/** Counts the turns the event loop makes by itself, and asks for one when there was none for 10 ms. */
export class LoopTurns {
  #since = 0
  /** Settles with the next turn; the timer is set at the start of a stretch, so it is due at its end. */
  #turn: Promise<void> | undefined

  /** Call between two pieces of work; wait for what it returns, if it returns anything. */
  giveWay(): Promise<void> | undefined {
    if (this.#turn !== undefined) {
      return performance.now() - this.#since < STRETCH_MS ? undefined : this.#turn
    }
    this.#since = performance.now()
    this.#turn = new Promise((resolve) => {
      setTimeout(() => {
        this.#turn = undefined
        resolve()
      }, 0)
    })
    return undefined
  }
}
