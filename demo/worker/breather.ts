/**
 * Work in slices, in the agent in which a machine lives: between two of them the machine goes on, and is seen.
 *
 * @module
 */

/** So long others wait at most, as far as it depends on the size of slices. */
const SLICE_MS = 4

/** Whoever works for long asks it now and then. */
export class Breather {
  readonly #channel = new MessageChannel()
  #resume: () => void = () => {}
  #beganMs = 0

  constructor() {
    this.#channel.port1.addEventListener('message', () => this.#resume())
    this.#channel.port1.start()
  }

  /** Whether it is somebody else's turn. */
  get isDue(): boolean {
    return performance.now() - this.#beganMs >= SLICE_MS
  }

  /** Lets everything else that waits go first. */
  async breathe(): Promise<void> {
    // Not by a timer: those that follow each other wait 4 ms.
    await new Promise<void>((resolve) => {
      this.#resume = resolve
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, no window
      this.#channel.port2.postMessage(undefined)
    })
    this.#beganMs = performance.now()
  }
}
