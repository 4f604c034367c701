import { describe, expect, it } from 'vitest'
import { MigrationTimeline } from '../../../src/cli/migration-timeline.ts'
import { linear, logarithmic, roundSteps, text } from '../../../src/cli/svg.ts'
import { plotTimeline } from '../../../src/cli/timeline-plot.ts'
import type { MigratePhase, MigrateProgress } from '../../../src/migrate/index.ts'
import { REPORT } from './migration-report.ts'

const MIB = 1024 ** 2

function progress(phase: MigratePhase, bytes: number, remainingBytes: number): MigrateProgress {
  const rates = { bytesPerSecond: 5e8, dirtyBytesPerSecond: 8e7 }
  return { phase, elapsedMs: 0, bytes, iteration: 1, remainingBytes, throttlePercent: 0, ...rates }
}

/** Two passes over 50 MiB. */
function timeline(): MigrationTimeline {
  const found = new MigrationTimeline()
  const phase = (name: MigratePhase): void => found.onEvent({ type: 'phase', phase: name, elapsedMs: 0 })
  found.onProgress({ phase: 'setup', elapsedMs: 0, bytes: 0, iteration: 1, throttlePercent: 0 })
  phase('precopy')
  found.onProgress(progress('precopy', 0, 50 * MIB))
  found.onProgress(progress('precopy', 30 * MIB, 22 * MIB))
  found.onProgress(progress('precopy', 50 * MIB, 4 * MIB))
  for (const iteration of REPORT.iterations) found.onEvent({ type: 'iteration', ...iteration })
  phase('stop')
  found.onEvent({
    type: 'switchover',
    reason: 'converged',
    remainingBytes: 300_000,
    expectedDowntimeMs: 7.5,
    elapsedMs: 0,
  })
  phase('drain')
  phase('load')
  phase('commit')
  phase('done')
  found.report = REPORT
  return found
}

/** Tags that are opened and closed in turn; what SVG readers insist on. */
function isWellFormed(svg: string): boolean {
  const open: string[] = []
  for (const [, closing, name, , alone] of svg.matchAll(/<(\/?)([a-z]+)((?: [a-zA-Z-]+="[^"<]*")*)(\/?)>/g)) {
    if (closing === '/') {
      if (open.pop() !== name) return false
    } else if (alone !== '/') open.push(name as string)
  }
  const rest = svg.replaceAll(/<\/?[a-z]+(?: [a-zA-Z-]+="[^"<]*")*\/?>/g, '')
  return open.length === 0 && !/<|&(?!(?:amp|lt|gt);)/.test(rest)
}

describe('MigrationTimeline', () => {
  it('tells what was dirtied in a pass from what was left before it', () => {
    const { points, passEndsMs, phasesMs } = timeline()
    const bytes = points.map(({ remainingBytes, dirtyBytes }) => [remainingBytes, dirtyBytes])
    expect(bytes.slice(0, 4)).toEqual([
      [50 * MIB, 0],
      [22 * MIB, 2 * MIB],
      [4 * MIB, 4 * MIB],
      [4 * MIB, 4 * MIB],
    ])
    // A new pass begins with nothing dirtied.
    expect(bytes[4]).toEqual([4 * MIB, 0])
    expect(bytes.at(-1)).toEqual([0, 0])
    expect(passEndsMs).toHaveLength(2)
    expect(Object.keys(phasesMs)).toEqual(['precopy', 'stop', 'drain', 'load', 'commit', 'done'])
  })
})

describe('plotTimeline()', () => {
  it('is well-formed, light and dark, with figures, and the switchover marked', () => {
    const svg = plotTimeline(timeline(), 'bulk with 50 MiB of memory & <more>')
    expect(isWellFormed(svg)).toBe(true)
    expect(svg).toContain('bulk with 50 MiB of memory &amp; &lt;more&gt;: down for 8.3 ms of 50 ms allowed')
    expect(svg).toContain('2 passes')
    expect(svg).toMatch(/switchover at [\d.]+ m?s, 8\.3 ms down/)
    expect(svg).toContain('prefers-color-scheme:dark')
    expect(svg.match(/class="dirty"/g)).toHaveLength(3)
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('draws a migration without pre-copy, and one that failed at once', () => {
    const stopped = new MigrationTimeline()
    stopped.onEvent({ type: 'phase', phase: 'stop', elapsedMs: 0 })
    stopped.onEvent({ type: 'phase', phase: 'done', elapsedMs: 5 })
    stopped.report = { ...REPORT, iterations: [] }
    for (const each of [stopped, new MigrationTimeline()]) {
      const svg = plotTimeline(each, 'mtty with 1 port')
      expect(isWellFormed(svg)).toBe(true)
      expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    }
    expect(plotTimeline(stopped, 'mtty')).toContain('no pre-copy')
  })
})

describe('scales and steps', () => {
  it('place values, and keep to their range where they are logarithmic', () => {
    expect(linear([0, 10], [100, 200])(5)).toBe(150)
    const log = logarithmic([4096, 65_536], [200, 100])
    expect([log(0), log(16_384), log(1e9)]).toEqual([200, 150, 100])
  })

  it('are round, and no more than asked for', () => {
    expect(roundSteps(97, 5)).toEqual([0, 20, 40, 60, 80])
    expect(roundSteps(0.9, 3)).toEqual([0, 0.5])
  })

  it('let no text break out of its element', () => {
    expect(text(1, 2.04, '</text><script>\u0000', 'a')).toBe(
      '<text x="1" y="2" class="a" text-anchor="start">&lt;/text&gt;&lt;script&gt;?</text>',
    )
  })
})
