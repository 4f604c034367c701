/**
 * One line on a terminal that changes while work goes on, and is gone when it ends.
 *
 * @module
 */

import cliProgress from 'cli-progress'

/** A bar; off a terminal it is nothing. */
export class LiveBar {
  readonly #format: string
  readonly #stream: NodeJS.WriteStream
  readonly #barsize: number
  #bar: cliProgress.SingleBar | undefined

  /** @param format - as cli-progress takes it, with names of {@link show}'s texts in braces */
  constructor(format: string, stream: NodeJS.WriteStream = process.stderr, barsize = 24) {
    this.#format = format
    this.#stream = stream
    this.#barsize = barsize
  }

  /** Whether somebody sees it. */
  get isSeen(): boolean {
    return this.#stream.isTTY
  }

  /** Draws `done` of `total`; a total may be an estimate, and a bar that passes its end helps nobody. */
  show(done: number, total: number, texts: Readonly<Record<string, string>>): void {
    if (!this.isSeen) return
    const end = Math.max(total, done)
    if (this.#bar === undefined) {
      this.#bar = this.#create()
      this.#bar.start(end, done, texts)
    } else {
      this.#bar.setTotal(end)
      this.#bar.update(done, texts)
    }
  }

  /** Takes the line away; safe to call without one. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #create(): cliProgress.SingleBar {
    return new cliProgress.SingleBar(
      {
        format: this.#format,
        stream: this.#stream,
        barsize: this.#barsize,
        clearOnComplete: true,
        hideCursor: true,
        // Signals are the command's own: it has files to remove.
        gracefulExit: false,
      },
      cliProgress.Presets.shades_classic,
    )
  }
}
