/**
 * A progress bar on stderr, for people who wait: on a terminal, and only for work over a second.
 *
 * @module
 */

import cliProgress from 'cli-progress'
import { formatBytes, formatRate } from './byte-size.ts'

/** Work shorter than this shows no bar. */
const QUIET_MS = 1000

/** One piece of work. */
export class Progress {
  readonly #label: string
  readonly #stream: NodeJS.WriteStream
  readonly #quietMs: number
  readonly #startMs: number = performance.now()
  #bar: cliProgress.SingleBar | undefined

  /** @param label - what is done, such as 'saving' */
  constructor(label: string, options: { stream?: NodeJS.WriteStream; quietMs?: number } = {}) {
    this.#label = label
    this.#stream = options.stream ?? process.stderr
    this.#quietMs = options.quietMs ?? QUIET_MS
  }

  /** Notes how far the work is; without a known total there is no bar. An arrow, to be passed on. */
  readonly update = ({ bytes, totalBytes }: { bytes: number; totalBytes?: number }): void => {
    const elapsedMs = performance.now() - this.#startMs
    if (!this.#stream.isTTY || totalBytes === undefined || elapsedMs < this.#quietMs) return
    // A total may be an estimate; a bar that passes its end helps nobody.
    const total = Math.max(totalBytes, bytes)
    const payload = { done: formatBytes(bytes), size: formatBytes(total), rate: formatRate(bytes, elapsedMs) }
    if (this.#bar === undefined) {
      this.#bar = this.#createBar()
      this.#bar.start(total, bytes, payload)
    } else {
      this.#bar.setTotal(total)
      this.#bar.update(bytes, payload)
    }
  }

  /** Takes the bar away; safe to call without one. */
  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }

  #createBar(): cliProgress.SingleBar {
    return new cliProgress.SingleBar(
      {
        format: `${this.#label} {bar} {percentage}%  {done} of {size}  {rate}  {eta_formatted} left`,
        stream: this.#stream,
        barsize: 24,
        clearOnComplete: true,
        hideCursor: true,
        // Signals are the command's own: it has files to remove.
        gracefulExit: false,
      },
      cliProgress.Presets.shades_classic,
    )
  }
}

/** Runs work with a bar that is gone when it ends, whichever way. */
export async function withProgress<T>(label: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const progress = new Progress(label)
  try {
    return await work(progress)
  } finally {
    progress.stop()
  }
}
