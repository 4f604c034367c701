/**
 * What a live migration costs beside moving its bytes: checksums, frames, the hand-over's messages.
 *
 * @module
 */
import { formatBytes, MIB } from '../data/touched.mjs'
import { digits } from '../harness/report.mjs'
import { spread } from '../harness/statistics.mjs'
import { MigrationPair, transferSeconds } from './migration-pair.mjs'
import { FORMS, PipePair } from './pipe-pair.mjs'
import { openPlace } from './transport-kinds.mjs'

const RAW = ['pipe', 'pipe, reads of 1 MiB']
const LENT = 'frames, lent to the reader'
const READ = 'frames, read into a buffer'
const SAVED = 'save() to a reader that looks at nothing'
const REPLAYED = 'a recorded stream to restore()'
const BOTH = 'save() to restore()'
const MIGRATED = { migrate: {}, 'migrate, no pre-copy': { precopy: false } }
const FRESH = 'migrate to memory never touched'
const FIXED = 'fixed cost of a hand-over'

export const rounds = { full: 9, quick: 1 }
export const names = [...RAW, LENT, READ, SAVED, REPLAYED, BOTH, ...Object.keys(MIGRATED), FRESH, FIXED]

export async function open({ quick }) {
  const bytes = quick ? 16 * MIB : 512 * MIB
  const place = openPlace()
  const pipes = await PipePair.open({ kind: 'unix', path: place.path, bytes })
  const pair = await MigrationPair.open({ memoryBytes: bytes, url: place.url('unix', 'cost') })
  const cases = [
    ...RAW.map((name) => pipeCase(name, pipes, bytes)),
    transferCase(LENT, pair, 'take', () => pair.source.call('frames', { bytes })),
    transferCase(READ, pair, 'read', () => pair.source.call('frames', { bytes })),
    transferCase(SAVED, pair, 'take', () => pair.source.call('save')),
    transferCase(REPLAYED, pair, 'restore', () => pair.source.call('replay')),
    transferCase(BOTH, pair, 'restore', () => pair.source.call('save')),
    ...Object.entries(MIGRATED).map(([name, options]) =>
      transferCase(name, pair, 'migrate', async () => transferSeconds(await pair.migrate(options))),
    ),
    freshCase(place, bytes),
  ].map((each) => ({ ...each, bytes, against: RAW[0] }))
  return {
    title: `What a live migration of ${formatBytes(bytes)} costs over a UNIX socket`,
    notes: [
      `From one process to another, as in "by transport": the pipe; frames of 1 MiB in nine chunks, cut as a migration's are, over stopcopy's own connection, with no checksum anywhere; the device's stream with checksums at the source, at the destination (the same stream from touched memory), at both; and the whole migration of the idle device, with pre-copy, which copies pages before it sends them, and without. The destination is in RESUMING before, and its memory was touched, but for the last row: a process that has just opened its device, as in practice.`,
      'Fixed cost: an mtty (60 bytes) migrated again and again, each time over a new connection, which is not in it. Requests are what the source sends and waits for an answer to: HELLO, five PINGs for the round trip, INITIAL_SENT, END, COMMIT.',
    ],
    cases: [...cases, { name: FIXED, measure: (step) => fixedCost(place, quick ? 20 : 200, step) }],
    targets: [],
    async close() {
      await Promise.all([pipes.end(), pair.end()])
      place.close()
    },
  }
}

function pipeCase(name, pipes, bytes) {
  return {
    name,
    before: () => pipes.prepare(FORMS[name], bytes),
    once: () => pipes.write(FORMS[name], bytes),
  }
}

function transferCase(name, pair, role, once) {
  return {
    name,
    async before() {
      await pair.connect(role)
      if (role === 'restore') await pair.destination.call('resuming')
    },
    once,
    after: () => pair.settle({ compare: role === 'migrate' || role === 'restore' }),
  }
}

/** A pair of processes for each round. */
function freshCase(place, bytes) {
  let pair
  return {
    name: FRESH,
    async before() {
      pair = await MigrationPair.open({ memoryBytes: bytes, url: place.url('unix', 'fresh') })
      await pair.connect()
    },
    once: async () => transferSeconds(await pair.migrate()),
    after: () => pair.end(),
  }
}

async function fixedCost(place, count, step) {
  const pair = await MigrationPair.open({ memoryBytes: 0, url: place.url('unix', 'fixed') })
  const runs = []
  try {
    for (let run = -count / 4; run < count; run++) {
      step(Math.max(0, run) / count)
      await pair.connect()
      const { elapsedMs, downtimeMs, phases, requests } = await pair.migrate({ count: true })
      await pair.settle()
      if (run >= 0) runs.push({ elapsedMs, downtimeMs, phases, requests })
    }
  } finally {
    await pair.end()
  }
  const rows = Object.keys(runs[0].phases).map((phase) =>
    line(
      phase.slice(0, -2),
      runs.map(({ phases }) => phases[phase]),
    ),
  )
  const of = (key) => runs.map((run) => run[key])
  const all = [line('**all**', of('elapsedMs')), line('of it downtime', of('downtimeMs'))]
  const requests = spread(of('requests'))
  rows.push(...all, ['requests', digits(requests.median), `${requests.min} to ${requests.max}`, ''])
  return {
    values: of('elapsedMs'),
    runs,
    table: { header: [`mtty, ${count} times`, 'median', 'quartiles', 'worst'], rows },
  }
}

function line(name, values) {
  const { median, low, high, max } = spread(values)
  return [name, `${digits(median)} ms`, `${digits(low)} to ${digits(high)}`, `${digits(max)} ms`]
}
