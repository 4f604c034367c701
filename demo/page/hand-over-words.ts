/**
 * What is said of a hand-over, and what goes with it.
 *
 * @module
 */

import type { Link, SentResult } from '../worker/messages.ts'
import { formatBytes, formatMs } from './format.ts'

/** What moves to the Worker together with a link. */
export function portsOf(link: Link | string): Transferable[] {
  return typeof link !== 'string' && link.via === 'port' ? [link.port] : []
}

/** The end of a hand-over in words. */
export function moved({ report, longestGapMs }: SentResult): string {
  const { bytes, elapsedMs, downtimeMs = 0, downtimeLimitMs, owner } = report
  if (owner === 'undecided')
    return 'The connection broke at the last moment: nobody here can tell who runs it, so it stays stopped.'
  const took = `${formatBytes(bytes)} in ${formatMs(elapsedMs)}`
  return `Moved: ${took}, down for ${formatMs(downtimeMs)} of ${downtimeLimitMs} ms allowed; before that no picture was later than ${formatMs(longestGapMs)}.`
}
