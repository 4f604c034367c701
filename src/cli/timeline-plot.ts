/**
 * A live migration as a picture: what was unread and what was dirtied, pass by pass, and the rates below.
 *
 * @module
 */

import { formatBytes, formatCount, formatDuration, formatRate } from './byte-size.ts'
import type { MigrationTimeline, TimelinePoint } from './migration-timeline.ts'
import {
  area,
  escapeText,
  line,
  linear,
  logarithmic,
  type Point,
  polyline,
  rectangle,
  roundSteps,
  type Scale,
  text,
} from './svg.ts'

const SIZE = { width: 880, height: 560 }
const LEFT = 76
const RIGHT = 852
/** Pixels of the two panels from the top. */
const BYTES = { top: 108, bottom: 352 }
const RATES = { top: 406, bottom: 512 }
/** The axis of bytes begins here, and has a line at every 16 times as much. */
const LEAST_BYTES = 4096
/** A pass narrower than its number has none. */
const NUMBER_PX = 15

/** Told apart without red and green; each set on its own background. */
const STYLE = `
text{font:12px system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}.dim{fill:#59636e}.small{font-size:11px}
.end{text-anchor:end}.middle{text-anchor:middle}
.back{fill:#fff}.band{fill:#f3f5f8}.grid{stroke:#d9dee4;fill:none}.axis{stroke:#8c959f;fill:none}
.left,.rate,.dirty,.dirtied{fill:none;stroke-width:2;stroke-linejoin:round}
.left,.rate{stroke:#0969da}.dirty,.dirtied{stroke:#bc4c00}
.leftarea{fill:#0969da;fill-opacity:.10}.dirtyarea{fill:#bc4c00;fill-opacity:.16}
.lefttext{fill:#0969da}.dirtytext{fill:#bc4c00}
.down{fill:#8250df;fill-opacity:.22}.switch{stroke:#8250df;stroke-width:1.5;stroke-dasharray:5 3;fill:none}.switchtext{fill:#8250df;font-weight:600}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.dim{fill:#9198a1}
.back{fill:#0d1117}.band{fill:#161b22}.grid{stroke:#2a313a}.axis{stroke:#656c76}
.left,.rate{stroke:#58a6ff}.dirty,.dirtied{stroke:#f0883e}
.leftarea{fill:#58a6ff}.dirtyarea{fill:#f0883e}
.lefttext{fill:#58a6ff}.dirtytext{fill:#f0883e}
.down{fill:#bc8cff;fill-opacity:.3}.switch{stroke:#bc8cff}.switchtext{fill:#bc8cff}
}`

/** Draws a migration. @param name - what was migrated: `bulk with 512 MiB of memory` */
export function plotTimeline(timeline: MigrationTimeline, name: string): string {
  const endMs = endOf(timeline)
  const x = linear([0, endMs], [LEFT, RIGHT])
  const body = [
    rectangle([0, 0], [SIZE.width, SIZE.height], 'back'),
    ...header(timeline, name),
    ...passes(timeline, x),
    ...downtime(timeline, x),
    ...bytesPanel(timeline, x),
    ...ratesPanel(timeline, x),
    ...timeAxis(endMs, x),
    ...switchover(timeline, x),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img">
<title>${escapeText(name)}</title>
<style>${STYLE}
</style>
${body.join('\n')}
</svg>
`
}

function endOf({ phasesMs, points, rates }: MigrationTimeline): number {
  const last = Math.max(0, ...Object.values(phasesMs), points.at(-1)?.ms ?? 0, rates.at(-1)?.ms ?? 0)
  return last > 0 ? last * 1.02 : 1
}

function header({ report, passEndsMs }: MigrationTimeline, name: string): string[] {
  if (report === undefined) return [text(LEFT, 30, `${name}: the migration failed`, 'title')]
  const { downtimeMs, downtimeLimitMs, expectedDowntimeMs, bytes, elapsedMs, bytesPerSecond } = report
  const down =
    downtimeMs === undefined
      ? 'no switchover'
      : `down for ${formatDuration(downtimeMs)} of ${formatDuration(downtimeLimitMs)} allowed`
  const count = passEndsMs.length
  const figures = [
    `${formatBytes(bytes)} in ${formatDuration(elapsedMs)}, ${formatRate(bytesPerSecond, 1000)}`,
    ...(count === 0 ? ['no pre-copy'] : [`${formatCount(count)} ${count === 1 ? 'pass' : 'passes'}`]),
    ...(expectedDowntimeMs === undefined
      ? []
      : [`${formatDuration(expectedDowntimeMs)} of downtime expected`]),
  ]
  return [text(LEFT, 30, `${name}: ${down}`, 'title'), text(LEFT, 52, figures.join('  ·  '), 'dim')]
}

/** A band for every second pass, and their numbers. */
function passes({ passEndsMs, phasesMs }: MigrationTimeline, x: Scale): string[] {
  let from = phasesMs.precopy ?? 0
  return passEndsMs.flatMap((to, index) => {
    const [left, right] = [x(from), x(to)]
    from = to
    const number = index === 0 && right - left > 60 ? 'pass 1' : String(index + 1)
    return [
      ...(index % 2 === 0 ? [] : [rectangle([left, BYTES.top], [right, RATES.bottom], 'band')]),
      ...(right - left < NUMBER_PX
        ? []
        : [text((left + right) / 2, BYTES.top - 6, number, 'dim small', 'middle')]),
    ]
  })
}

/** From the stop until the destination ran. */
function downtime({ phasesMs }: MigrationTimeline, x: Scale): string[] {
  const { stop, done } = phasesMs
  if (stop === undefined || done === undefined) return []
  return [rectangle([x(stop), BYTES.top], [x(done), RATES.bottom], 'down')]
}

function switchover({ phasesMs, report }: MigrationTimeline, x: Scale): string[] {
  const { stop } = phasesMs
  if (stop === undefined) return []
  const at = x(stop)
  const down = report?.downtimeMs === undefined ? '' : `, ${formatDuration(report.downtimeMs)} down`
  // To the side that has room.
  const [place, anchor] = at > (LEFT + RIGHT) / 2 ? [at - 6, 'end'] : [at + 6, 'start']
  return [
    line([at, BYTES.top - 18], [at, RATES.bottom], 'switch'),
    text(place, BYTES.top - 20, `switchover at ${formatDuration(stop)}${down}`, 'switchtext', anchor),
  ]
}

function bytesPanel({ points }: MigrationTimeline, x: Scale): string[] {
  const most = Math.max(LEAST_BYTES * 16, ...points.map(({ remainingBytes }) => remainingBytes))
  const y = logarithmic([LEAST_BYTES, most * 1.15], [BYTES.bottom, BYTES.top])
  const ticks: number[] = []
  for (let tick = LEAST_BYTES; tick <= most * 1.15; tick *= 16) ticks.push(tick)
  const left = points.map(({ ms, remainingBytes }): Point => [x(ms), y(remainingBytes)])
  // Each pass by itself: between two of them nothing falls.
  const dirty = byPass(points).map((pass) => pass.map(({ ms, dirtyBytes }): Point => [x(ms), y(dirtyBytes)]))
  return [
    ...ticks.flatMap((tick) => row(y(tick), tick < 2 ** 20 ? `${tick / 1024} KiB` : formatBytes(tick))),
    area(left, BYTES.bottom, 'leftarea'),
    ...dirty.map((pass) => area(pass, BYTES.bottom, 'dirtyarea')),
    ...dirty.map((pass) => polyline(pass, 'dirty')),
    polyline(left, 'left'),
    text(LEFT, BYTES.top - 36, 'left to send', 'lefttext'),
    text(LEFT + 80, BYTES.top - 36, 'dirtied in the pass', 'dirtytext'),
  ]
}

/** Where a pass ends, the next one begins at the same moment. */
function byPass(points: readonly TimelinePoint[]): TimelinePoint[][] {
  const found: TimelinePoint[][] = []
  for (const [index, point] of points.entries()) {
    if (index === 0 || points[index - 1]?.ms === point.ms) found.push([])
    found.at(-1)?.push(point)
  }
  return found
}

function ratesPanel({ rates, phasesMs }: MigrationTimeline, x: Scale): string[] {
  const seen = rates.flatMap(({ bytesPerSecond = 0, dirtyBytesPerSecond = 0 }) => [
    bytesPerSecond,
    dirtyBytesPerSecond,
  ])
  const most = Math.max(1e6, ...seen)
  const y = linear([0, most * 1.1], [RATES.bottom, RATES.top])
  const until = phasesMs.stop ?? Infinity
  const series = (key: 'bytesPerSecond' | 'dirtyBytesPerSecond'): Point[] =>
    rates.flatMap((each): Point[] => {
      const rate = each[key]
      return rate === undefined || each.ms > until ? [] : [[x(each.ms), y(rate)]]
    })
  return [
    ...roundSteps(most / 1e6, 4).flatMap((rate) => row(y(rate * 1e6), formatCount(rate))),
    polyline(series('dirtyBytesPerSecond'), 'dirtied'),
    polyline(series('bytesPerSecond'), 'rate'),
    text(LEFT, RATES.top - 12, 'sent, MB/s', 'lefttext'),
    text(LEFT + 80, RATES.top - 12, 'dirtied, MB/s', 'dirtytext'),
  ]
}

function timeAxis(endMs: number, x: Scale): string[] {
  return [
    line([LEFT, RATES.bottom], [RIGHT, RATES.bottom], 'axis'),
    ...roundSteps(endMs, 8).flatMap((ms) => [
      line([x(ms), RATES.bottom], [x(ms), RATES.bottom + 5], 'axis'),
      text(
        x(ms),
        RATES.bottom + 20,
        endMs < 2000 ? `${formatCount(ms)} ms` : `${ms / 1000} s`,
        'dim small',
        'middle',
      ),
    ]),
  ]
}

/** A line of the grid, and what it stands for. */
function row(at: number, label: string): string[] {
  return [line([LEFT, at], [RIGHT, at], 'grid'), text(LEFT - 8, at + 4, label, 'dim small', 'end')]
}
