/**
 * Downtime of live migrations against how fast the device writes its memory, and against its size.
 *
 * @module
 */
import { MIB } from '../data/touched.mjs'
import { digits } from '../harness/report.mjs'
import { spread } from '../harness/statistics.mjs'
import { MigrationPair } from './migration-pair.mjs'
import { openPlace } from './transport-kinds.mjs'

const HEADER = [
  'case',
  'downtime, median',
  'quartiles',
  'worst',
  'expected',
  'predicted, of',
  'over limit + 25 %, of',
  'passes',
  'all of it',
]
const REPORTS = 'reports'
const LIMIT_MS = 300

/** The device works so long before it is migrated. */
const WORK_MS = 100
/** Runs of one row after the other are far apart: what disturbs the machine for a second disturbs all rows. */
export const rounds = { full: 20, quick: 1 }

const row = (mib, pagesPerSecond, pattern, downtimeLimitMs = LIMIT_MS) => ({
  mib,
  pagesPerSecond,
  pattern,
  downtimeLimitMs,
  name: nameOf({ mib, pagesPerSecond, pattern, downtimeLimitMs }),
})

function nameOf({ mib, pagesPerSecond, pattern, downtimeLimitMs }) {
  const work = pagesPerSecond === 0 ? 'idle' : `${pagesPerSecond.toLocaleString('en')} pages/s ${pattern}`
  return `${mib} MiB, ${work}, limit ${downtimeLimitMs} ms`
}

/** What the issue asks about. */
const ASKED = [row(512, 20_000, 'uniform'), row(512, 20_000, 'uniform', 20)]
const ROWS = [
  row(512, 0, 'uniform'),
  row(512, 1000, 'uniform'),
  row(512, 1000, 'hot-set'),
  ...ASKED,
  row(512, 20_000, 'hot-set'),
  row(512, 100_000, 'uniform'),
  row(512, 100_000, 'hot-set'),
  row(64, 20_000, 'uniform'),
  row(256, 20_000, 'uniform'),
]

export const names = [...ROWS.map(({ name }) => name), REPORTS]

export async function open({ quick }) {
  const place = openPlace()
  /** @type {Map<number, Promise<MigrationPair>>} */
  const pairs = new Map()
  const sizeOf = ({ mib }) => (quick ? mib / 8 : mib) * MIB
  const pairOf = (each) => {
    const memoryBytes = sizeOf(each)
    const url = place.url('unix', `downtime-${memoryBytes}`)
    if (!pairs.has(memoryBytes)) pairs.set(memoryBytes, MigrationPair.open({ memoryBytes, url }))
    return pairs.get(memoryBytes)
  }
  const runs = new Map(ROWS.map(({ name }) => [name, []]))
  return {
    title: 'Downtime of live migrations',
    notes: [
      `A bulk device goes from one process to another over a UNIX socket while its workload writes to pages of its own choice (hot-set: nine records in ten to a tenth of the pages), which it has done for ${WORK_MS} ms before. Downtime is what the source measures: from its request to stop until the destination said that the device runs; the median, quartiles and worst of the rounds, in ms in the second table. Every row runs once a round; the first round does not count.`,
      'Expected: what the source announced when it stopped the device, the median. Predicted: runs whose downtime was within twice that (either way) or 5 ms of it, whichever is more. Over limit + 25 %: only runs count that the policy let go as converged. All of it: from the call of migrate until it is settled.',
      ...(quick ? ['Quick: an eighth of the memory that the names say.'] : []),
    ],
    cases: [
      ...ROWS.map((each) => rowCase(each, () => pairOf(each), runs.get(each.name))),
      { name: REPORTS, measure: async () => reports(runs) },
    ],
    targets: ASKED.flatMap(targetsOf),
    async close() {
      await Promise.all([...pairs.values()].map(async (pair) => (await pair).end()))
      place.close()
    },
  }
}

function rowCase({ name, downtimeLimitMs, ...workload }, pairOf, runs) {
  let [pair, isWarm] = [undefined, false]
  return {
    name,
    async before() {
      pair = await pairOf()
      await pair.source.call('workload', workload)
      await pair.connect()
      await new Promise((resolve) => setTimeout(resolve, WORK_MS))
    },
    async once() {
      const report = await pair.migrate({ downtimeLimitMs })
      const { downtimeMs, expectedDowntimeMs, elapsedMs, passes, switchover, bytes, phases } = report
      if (isWarm)
        runs.push({
          downtimeMs,
          expectedDowntimeMs,
          elapsedMs,
          passes,
          switchover,
          bytes,
          phases,
          downtimeLimitMs,
        })
      isWarm = true
      return downtimeMs / 1000
    },
    after: () => pair.settle(),
  }
}

function reports(runs) {
  const ran = [...runs].filter(([, all]) => all.length > 0)
  return {
    values: [],
    runs: Object.fromEntries(ran),
    table: { header: HEADER, rows: ran.map(([name, all]) => [name, ...columns(all)]) },
  }
}

const ms = (value) => `${digits(value)} ms`

function columns(all) {
  const of = (key) => spread(all.map((run) => run[key]))
  const { median, low, high, max } = of('downtimeMs')
  const converged = all.filter(({ switchover }) => switchover === 'converged')
  return [
    ms(median),
    `${digits(low)} to ${digits(high)}`,
    ms(max),
    ms(of('expectedDowntimeMs').median),
    `${all.filter(isPredicted).length} of ${all.length}`,
    `${converged.filter(isOver).length} of ${converged.length}`,
    digits(of('passes').median),
    ms(of('elapsedMs').median),
  ]
}

/** Within twice what was expected, or 5 ms, whichever is more. */
export function isPredicted({ downtimeMs, expectedDowntimeMs }) {
  const apart = Math.abs(downtimeMs - expectedDowntimeMs)
  const isWithinTwice = downtimeMs <= 2 * expectedDowntimeMs && downtimeMs >= expectedDowntimeMs / 2
  return apart <= 5 || isWithinTwice
}

/** Longer than was allowed, by more than a quarter. */
export function isOver({ downtimeMs, downtimeLimitMs }) {
  return downtimeMs > 1.25 * downtimeLimitMs
}

function targetsOf({ name }) {
  const of = (count) => (figures) => {
    const all = figures.runs(REPORTS)?.[name]
    return all === undefined ? undefined : count(all)
  }
  return [
    {
      name: `downtime, ${name}`,
      asked: 20,
      sense: 'under',
      unit: 'ms',
      of: of((all) => all.map(({ downtimeMs }) => downtimeMs)),
    },
    {
      name: `over limit + 25 %, ${name}`,
      asked: 2,
      sense: 'under',
      unit: 'of 20',
      of: of((all) => [all.filter((run) => run.switchover === 'converged' && isOver(run)).length]),
    },
    {
      name: `predicted within 2 × or 5 ms, ${name}`,
      asked: 95,
      sense: 'at least',
      unit: '%',
      of: of((all) => [(100 * all.filter(isPredicted).length) / all.length]),
    },
  ]
}
