/**
 * The demo's news as a timeline with a column for each process.
 *
 * @module
 */

import { formatBytes, formatCount, formatDuration, formatRate } from '../byte-size.ts'
import type { DemoNews } from './messages.ts'
import type { DemoSide } from './live-demo.ts'

/** Two processes' news may come in another order than it happened; what is older than this is in order. */
const HOLD_MS = 100
const TIME_COLUMNS = 9
const SOURCE_COLUMNS = 48

/** Puts news in order, and hands it out a moment later. */
export class NewsOrder {
  readonly #print: (line: string) => void
  #held: { readonly side: DemoSide; readonly news: DemoNews }[] = []
  #startMs: number | undefined
  readonly #timer: ReturnType<typeof setInterval>

  constructor(print: (line: string) => void) {
    this.#print = print
    this.#timer = setInterval(() => this.#flush(nowMs() - HOLD_MS), HOLD_MS / 4)
  }

  /** An arrow, to be passed on. */
  readonly add = (side: DemoSide, news: DemoNews): void => {
    this.#held.push({ side, news })
  }

  /** Hands out what is left. */
  end(): void {
    clearInterval(this.#timer)
    this.#flush(Infinity)
  }

  #flush(untilMs: number): void {
    this.#held.sort((a, b) => a.news.atMs - b.news.atMs)
    for (let next = this.#held[0]; next !== undefined && next.news.atMs <= untilMs; next = this.#held[0]) {
      this.#held.shift()
      const text = newsText(next.side, next.news)
      if (text === undefined) continue
      this.#startMs ??= next.news.atMs
      this.#print(timelineRow(next.news.atMs - this.#startMs, next.side, text))
    }
  }
}

/** The heading of the timeline. */
export function timelineHeading(): string {
  return `  ${'time'.padStart(TIME_COLUMNS)}  ${'source'.padEnd(SOURCE_COLUMNS)}destination`
}

/** One line of it. */
export function timelineRow(ms: number, side: DemoSide, text: string): string {
  const time = `${(ms / 1000).toFixed(3)} s`
  const indent = side === 'source' ? '' : ' '.repeat(SOURCE_COLUMNS)
  return `  ${time.padStart(TIME_COLUMNS)}  ${indent}${text}`
}

/** The line of one piece of news; undefined for what nobody needs to see. */
export function newsText(side: DemoSide, news: DemoNews): string | undefined {
  switch (news.type) {
    case 'started':
      return `process ${news.pid}`
    case 'listening':
      return 'listening'
    case 'state':
      return side === 'source' && news.state === 'STOP_COPY'
        ? `STOP_COPY before record ${formatCount(Number(news.sequence))}`
        : news.state
    case 'nonce':
      return `nonce written to the last page, in ${news.state}`
    case 'loaded':
      return `verified, loaded; record ${formatCount(Number(news.sequence))} is next`
    case 'event':
      return side === 'source' ? eventText(news) : undefined
    case 'checked':
      return `before record ${formatCount(Number(news.sequence))}: all of memory looked at`
    default:
      return undefined
  }
}

function eventText({ event }: DemoNews & { type: 'event' }): string | undefined {
  switch (event.type) {
    case 'iteration': {
      const { iteration, bytes, bytesPerSecond, remainingBytes } = event
      const rate = formatRate(bytesPerSecond, 1000)
      return `pass ${iteration}: ${formatBytes(bytes)} at ${rate}, ${formatBytes(remainingBytes)} dirtied`
    }
    case 'switchover':
      return `switchover: ${formatBytes(event.remainingBytes)} left, ${formatDuration(event.expectedDowntimeMs)} expected`
    case 'phase':
      return event.phase === 'commit' ? 'COMMIT' : undefined
    default:
      return undefined
  }
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}
