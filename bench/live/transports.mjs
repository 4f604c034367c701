/**
 * Throughput of a live migration by transport, beside the same transport used by itself.
 *
 * @module
 */
import { formatBytes, MIB } from '../data/touched.mjs'
import { digits } from '../harness/report.mjs'
import { MigrationPair, transferSeconds } from './migration-pair.mjs'
import { FORMS, PipePair } from './pipe-pair.mjs'
import { openPlace, whyNot } from './transport-kinds.mjs'

const MEMORY = 'memory of each end'
const MEMORY_HEADER = ['transport', 'source, beyond its device', 'destination, beyond its device']
/** Forms of the pipe by transport: what its API offers. The rival is the fastest. */
const SOCKET = Object.keys(FORMS)
const MESSAGES = ['pipe', 'pipe, two writes under way', 'pipe, writes of 256 KiB', 'pipe, writes of 64 KiB']
const KINDS = { unix: SOCKET, tcp: SOCKET, tls: SOCKET, ws: MESSAGES, port: MESSAGES }
/** What a migration is measured as; the second reads a stopped device, in place. */
const MIGRATIONS = { migrate: {}, 'migrate, no pre-copy': { precopy: false } }
/** Of the fastest pipe. */
const ASKED = { unix: 0.62, tcp: 0.55 }
/** Beyond the device. */
const ASKED_MIB = 200

const caseName = (kind, what) => `${kind}: ${what}`

export const rounds = { full: 9, quick: 1 }
export const names = [
  ...Object.entries(KINDS).flatMap(([kind, forms]) =>
    [...forms, ...Object.keys(MIGRATIONS)].map((what) => caseName(kind, what)),
  ),
  MEMORY,
]

export async function open({ quick }) {
  const bytes = quick ? 16 * MIB : 512 * MIB
  const place = openPlace()
  const certificate = place.certificate()
  const opened = []
  const cases = []
  for (const kind of Object.keys(KINDS)) {
    const skipped = await whyNot(kind, certificate)
    const own = kind === 'tls' ? certificate : undefined
    const url = kind === 'port' ? undefined : place.url(kind, 'migrate')
    const context = { kind, bytes, url, certificate: own, path: place.path, skipped }
    const { pipes, pairs } = lazily(context, opened)
    for (const what of KINDS[kind]) cases.push(pipeCase(context, what, pipes))
    for (const what of Object.keys(MIGRATIONS)) cases.push(migrationCase(context, what, pairs))
  }
  cases.push({ name: MEMORY, measure: () => measureMemory(bytes, place, certificate) })
  return {
    title: `Live migration of ${formatBytes(bytes)} by transport`,
    notes: [
      `An idle bulk device of ${formatBytes(bytes)} goes from one process to another on this machine (port: to a thread), checksums at both ends. Timed from WELCOME, when the destination is in RESUMING, until its device runs; the clock is the source's. Destination memory was touched in the round that warms up. Afterwards one MiB in eight of both memories is compared.`,
      'The pipe is the same transport by itself in two processes, connected before: as many bytes of touched memory, written in pieces of 1 MiB where nothing else is said, read by `onread` into one reused buffer of 64 KiB (ws, port: as messages), until the reader said that it has all. The targets are on the fastest of its forms, round by round.',
    ],
    cases,
    targets: [...rateTargets(), memoryTarget()],
    async close() {
      await Promise.all(opened.map(async (pair) => (await pair).end()))
      place.close()
    },
  }
}

/** Pairs of processes that are started when a case first needs them. */
function lazily(context, opened) {
  const once = (start) => {
    let pair
    return () => {
      if (pair === undefined) opened.push((pair = start()))
      return pair
    }
  }
  return {
    pipes: once(() => PipePair.open(context)),
    pairs: once(() => MigrationPair.open({ ...context, memoryBytes: context.bytes })),
  }
}

function pipeCase({ kind, bytes, skipped }, what, pipes) {
  const form = FORMS[what]
  return {
    name: caseName(kind, what),
    bytes,
    against: caseName(kind, 'pipe'),
    skipped,
    before: async () => (await pipes()).prepare(form, bytes),
    once: async () => (await pipes()).write(form, bytes),
  }
}

function migrationCase({ kind, bytes, skipped }, what, pairs) {
  return {
    name: caseName(kind, what),
    bytes,
    against: caseName(kind, 'pipe'),
    skipped,
    before: async () => (await pairs()).connect(),
    once: async () => transferSeconds(await (await pairs()).migrate(MIGRATIONS[what])),
    after: async () => (await pairs()).settle({ compare: true }),
  }
}

/** Peak memory, in processes that have done nothing else: two migrations. */
async function measureMemory(bytes, place, certificate) {
  const rows = []
  const most = []
  for (const kind of Object.keys(ASKED).concat('tls', 'ws')) {
    if ((await whyNot(kind, certificate)) !== undefined) continue
    const own = kind === 'tls' ? certificate : undefined
    const options = { url: place.url(kind, 'memory'), certificate: own }
    const beyond = await beyondDevice(bytes, options)
    rows.push([kind, ...beyond.map((each) => `${digits(each / MIB)} MiB`)])
    most.push(...beyond)
  }
  return { values: [Math.max(...most) / MIB], table: { header: MEMORY_HEADER, rows } }
}

async function beyondDevice(bytes, options) {
  const pair = await MigrationPair.open({ memoryBytes: bytes, ...options })
  try {
    for (let run = 0; run < 2; run++) {
      await pair.connect()
      await pair.migrate()
      await pair.settle()
    }
    const [here, there] = await Promise.all([
      pair.source.call('peakBytes'),
      pair.destination.call('peakBytes'),
    ])
    return [here - bytes, there - bytes]
  } finally {
    await pair.end()
  }
}

function rateTargets() {
  return Object.entries(ASKED).flatMap(([kind, asked]) =>
    Object.keys(MIGRATIONS).map((what) => ({
      name: `${caseName(kind, what)} / the fastest pipe`,
      asked,
      sense: 'at least',
      unit: '×',
      of: (figures) =>
        figures.ratioToBest(
          caseName(kind, what),
          KINDS[kind].map((form) => caseName(kind, form)),
        ),
    })),
  )
}

function memoryTarget() {
  return {
    name: 'peak memory of an end beyond its device',
    asked: ASKED_MIB,
    sense: 'under',
    unit: 'MiB',
    of: (figures) => figures.values(MEMORY),
  }
}
