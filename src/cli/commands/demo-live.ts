/**
 * `stopcopy demo`: the timeline as it happens, and the proof.
 *
 * @module
 */

import { formatBytes, formatCount, formatDuration } from '../byte-size.ts'
import { type LiveDemoOptions, type LiveDemoReport, runLiveDemo } from '../demo/live-demo.ts'
import { NewsOrder, timelineHeading } from '../demo/news-text.ts'
import { toHex } from '../json-output.ts'
import { MigrationTimeline } from '../migration-timeline.ts'
import { table, wrap } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { plotTimeline } from '../timeline-plot.ts'
import { writeText } from '../write-text.ts'

const PAGE_BYTES = 4096

/** Runs it and shows it. */
export async function showLiveDemo(
  options: Omit<LiveDemoOptions, 'signal' | 'onNews'>,
  plot: string | undefined,
  asJson: boolean,
  terminal: Terminal,
): Promise<void> {
  const { memoryBytes, pagesPerSecond } = options
  const { colors, signal } = terminal
  const timeline = new MigrationTimeline()
  if (!asJson)
    terminal.print([
      colors.bold(
        `A device with ${formatBytes(memoryBytes)} of memory moves to another process while it writes ${formatCount(pagesPerSecond)} pages/s`,
      ),
      '',
      colors.dim(timelineHeading()),
    ])
  const order = asJson ? undefined : new NewsOrder((line) => terminal.print(line))
  try {
    const report = await runLiveDemo({
      ...options,
      signal,
      onNews: (side, news) => {
        order?.add(side, news)
        if (news.type === 'event') timeline.onEvent(news.event)
        if (news.type === 'progress') timeline.onProgress(news.progress)
      },
    })
    order?.end()
    timeline.report = report.sent
    if (plot !== undefined)
      await writeText(plot, plotTimeline(timeline, `bulk with ${formatBytes(memoryBytes)} of memory`))
    if (asJson) terminal.json(report)
    else terminal.print(proof(report, plot, terminal))
  } finally {
    order?.end()
  }
}

function proof(report: LiveDemoReport, plot: string | undefined, { colors, columns }: Terminal): string[] {
  const { records, memoryBytes, nonce, sent, elapsedMs } = report
  const { downtimeMs = 0, expectedDowntimeMs, downtimeLimitMs, bytes, iterations } = sent
  const expected = expectedDowntimeMs === undefined ? '' : `, ${formatDuration(expectedDowntimeMs)} expected`
  const rows = [
    ['downtime', `${formatDuration(downtimeMs)} of ${formatDuration(downtimeLimitMs)} allowed${expected}`],
    ['sent', `${formatBytes(bytes)} in ${formatDuration(sent.elapsedMs)}, ${iterations.length} passes`],
    [
      'records',
      `the source wrote ${count(records.atStop)}, the destination went on with the next, up to ${count(records.atEnd)}: none lost or repeated`,
    ],
    [
      'memory',
      `all ${formatCount(memoryBytes / PAGE_BYTES)} pages at the destination hold what those records left, byte for byte`,
    ],
    [
      'nonce',
      `${toHex(nonce.read).slice(0, 12)}..., given to the source alone and written in ${nonce.writtenIn}, was read back at the destination`,
    ],
  ]
  return [
    '',
    ...table(rows).flatMap((line) => wrap(line, columns, 12)),
    '',
    `${colors.green('Proven')} in ${formatDuration(elapsedMs)}: the device went on where it had stopped.${plot === undefined ? '' : ` The plot is in ${plot}.`} Next:`,
    '',
    ...NEXT.map((command) => `  ${colors.cyan(command)}`),
  ]
}

function count(sequence: bigint): string {
  return formatCount(Number(sequence))
}

const NEXT = [
  'npx stopcopy receive --listen unix:/tmp/here                       in one terminal',
  'npx stopcopy send bulk --dirty-rate 20000 --to unix:/tmp/here      in another',
  'npx stopcopy demo --plot demo.svg',
  'npx stopcopy demo --file',
  'npx stopcopy --help',
]
