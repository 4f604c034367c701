import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MigrationProcess, type MigrateResult } from '../support/migration-process.ts'
import { overlap, readIntervals } from '../support/running-intervals.ts'

const isLong = process.env['STOPCOPY_LONG'] === '1'
const DURATION_MS = isLong ? 600_000 : 10_000
/** Migrations between two measurements. */
const EVERY = isLong ? 40 : 4
/** On a busy machine it takes longer. */
const LEAST = isLong ? 300 : 24
const MEMORY_BYTES = (isLong ? 16 : 4) * 2 ** 20
const WORKLOAD = { pagesPerSecond: 5000 }
/** Growth of a process that is noise; in a short run its code is still being compiled. */
const NOISE_BYTES = (isLong ? 6 : 32) * 2 ** 20

interface Measured {
  readonly rssBytes: number
  readonly heapBytes: number
  readonly engineBytes: number
  readonly fds: number
  readonly resources: number
}

describe('a working device that goes back and forth between two processes', () => {
  it(
    'loses no record, repeats none, and leaves nothing behind in either',
    async () => {
      const directory = mkdtempSync(join(tmpdir(), 'stopcopy-ping-pong-'))
      const url = (side: string): string => `unix:${join(directory, side)}`
      const log = (side: string): string => join(directory, `${side}.log`)
      const start = (role: 'source' | 'destination'): Promise<MigrationProcess> =>
        MigrationProcess.start(
          {
            role,
            memoryBytes: MEMORY_BYTES,
            seed: 3,
            workload: WORKLOAD,
            listen: url(role),
            log: log(role),
          },
          ['--expose-gc'],
        )
      const ends = await Promise.all([start('source'), start('destination')])
      onTestFinished(async () => {
        await Promise.all(ends.map((end) => end.end()))
        rmSync(directory, { recursive: true })
      })
      const urls = [url('source'), url('destination')] as const
      const measured: [Measured[], Measured[]] = [[], []]
      const downtimes: number[] = []
      const endMs = performance.now() + DURATION_MS
      let count = 0
      for (; performance.now() < endMs || count < LEAST || count % 2 === 1; count++) {
        const from = count % 2 === 0 ? 0 : 1
        const result = await ends[from].command<MigrateResult>('migrate', { to: urls[1 - from] })
        expect(result).toMatchObject({ owner: 'destination' })
        downtimes.push(result?.report?.downtimeMs ?? Number.NaN)
        if (count % EVERY !== EVERY - 1) continue
        for (const side of [0, 1] as const)
          measured[side].push((await ends[side].command<Measured>('measure')) as Measured)
      }

      const intervals = [
        ...readIntervals(log('source'), 'a', undefined),
        ...readIntervals(log('destination'), 'b', undefined),
      ]
      expect(overlap(intervals)).toBeUndefined()
      intervals.sort((a, b) => (a.startNs < b.startNs ? -1 : 1))
      expect(intervals).toHaveLength(count + 1)
      const gaps = intervals.slice(1).filter((next, at) => next.startSequence !== intervals[at]?.endSequence)
      expect(gaps).toEqual([])
      const found = await ends[0].command<{ wentOn: boolean; matches: boolean }>('verify')
      expect(found).toMatchObject({ wentOn: true, matches: true })

      if (isLong) console.log(tableOf(count, downtimes, measured))
      for (const side of measured) {
        const [early, late] = [quarter(side, 1), quarter(side, 3)]
        expect(late.engineBytes).toBe(early.engineBytes)
        expect(late.fds).toBe(early.fds)
        expect(late.resources).toBe(early.resources)
        expect(late.rssBytes - early.rssBytes).toBeLessThan(NOISE_BYTES)
        expect(late.heapBytes - early.heapBytes).toBeLessThan(NOISE_BYTES)
      }
    },
    DURATION_MS + 120_000,
  )
})

/** The least of each figure in one quarter of the measurements, 0 to 3. */
function quarter(side: readonly Measured[], index: number): Measured {
  const part = side.slice(Math.floor((index * side.length) / 4), Math.ceil(((index + 1) * side.length) / 4))
  const least = (name: keyof Measured): number => Math.min(...part.map((one) => one[name]))
  return {
    rssBytes: least('rssBytes'),
    heapBytes: least('heapBytes'),
    engineBytes: least('engineBytes'),
    fds: least('fds'),
    resources: least('resources'),
  }
}

function tableOf(count: number, downtimes: readonly number[], measured: readonly Measured[][]): string {
  const sorted = [...downtimes].sort((a, b) => a - b)
  const at = (part: number): string => (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(1)
  const lines = (measured[0] ?? []).map((_, row) =>
    measured
      .map((side) => side[row])
      .map((one) =>
        one === undefined
          ? ''
          : `${mebi(one.rssBytes)} ${mebi(one.heapBytes)} ${mebi(one.engineBytes)} ${one.fds} ${one.resources}`,
      )
      .join('  |'),
  )
  return [
    `${count} migrations; downtime ms: median ${at(0.5)}, 95 % ${at(0.95)}, most ${at(1)}`,
    'RSS, heap, engine MiB, fds, handles of each side',
    ...lines,
  ].join('\n')
}

function mebi(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1).padStart(7)
}
