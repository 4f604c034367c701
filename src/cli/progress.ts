/**
 * A progress bar on stderr, for people who wait: on a terminal, and only for work over a second.
 *
 * @module
 */

import { formatBytes, formatRate } from './byte-size.ts'
import { LiveBar } from './live-bar.ts'

/** Work shorter than this shows no bar. */
const QUIET_MS = 1000

/** One piece of work. */
export class Progress {
  readonly #bar: LiveBar
  readonly #quietMs: number
  readonly #startMs: number = performance.now()

  /** @param label - what is done, such as 'saving' */
  constructor(label: string, options: { stream?: NodeJS.WriteStream; quietMs?: number } = {}) {
    const format = `${label} {bar} {percentage}%  {done} of {size}  {rate}  {eta_formatted} left`
    this.#bar = new LiveBar(format, options.stream)
    this.#quietMs = options.quietMs ?? QUIET_MS
  }

  /** Notes how far the work is; without a known total there is no bar. An arrow, to be passed on. */
  readonly update = ({ bytes, totalBytes }: { bytes: number; totalBytes?: number }): void => {
    const elapsedMs = performance.now() - this.#startMs
    if (totalBytes === undefined || elapsedMs < this.#quietMs) return
    const size = formatBytes(Math.max(totalBytes, bytes))
    this.#bar.show(bytes, totalBytes, { done: formatBytes(bytes), size, rate: formatRate(bytes, elapsedMs) })
  }

  /** Takes the bar away; safe to call without one. */
  stop(): void {
    this.#bar.stop()
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
