/**
 * MIG_DATA_READ and MIG_DATA_WRITE between two processes, beside raw requests and replies of the same shape.
 *
 * @module
 */
import { formatBytes, KIB, MIB } from '../data/touched.mjs'
import { Peer } from '../live/peer.mjs'
import { openPlace } from '../live/transport-kinds.mjs'

const SIZES = [64 * KIB, MIB]
const OUTSTANDING = [1, 4]
const RAW = { raw: { readBytes: 64 * KIB }, 'raw, reads of 1 MiB': { readBytes: MIB } }
const RAW_STORED = {
  'raw, stored': { readBytes: 64 * KIB, isStored: true },
  'raw, stored by reads of 1 MiB': { readBytes: MIB, isStored: true },
}
const READS = { ...RAW, ...RAW_STORED }
const STORED = 'stopcopy, stored'
const VERIFIED = 'stopcopy, verified'
const LOADED = 'stopcopy, loaded'

const shapes = SIZES.flatMap((size) => OUTSTANDING.map((outstanding) => ({ size, outstanding })))
const caseName = (command, { size, outstanding }, what) =>
  `${command} ${formatBytes(size)}, ${outstanding} under way: ${what}`

export const rounds = { full: 9, quick: 1 }
export const names = shapes.flatMap((shape) => [
  ...[...Object.keys(READS), STORED, VERIFIED].map((what) => caseName('read', shape, what)),
  ...[...Object.keys(RAW), LOADED].map((what) => caseName('write', shape, what)),
])

export async function open({ quick }) {
  const bytes = quick ? 16 * MIB : 256 * MIB
  const place = openPlace()
  const [server, client] = ['server', 'client'].map((end) => Peer.process(`../vfio-user/${end}-process.mjs`))
  const close = async () => {
    await Promise.all([server.end(), client.end()])
    place.close()
  }
  try {
    const url = place.url('unix', 'device')
    await server.call('open', { url, bytes })
    await client.call('open', { url, bytes })
    await connectRaw({ server, client, place })
  } catch (error) {
    await close()
    throw error
  }
  const cases = shapes.flatMap((shape) => casesOf({ server, client, bytes }, shape))
  return {
    title: `vfio-user: ${formatBytes(bytes)} of device state by MIG_DATA_READ and MIG_DATA_WRITE`,
    notes: [
      'A stopped bulk device is read, or loaded, over a UNIX socket from another process; so many requests are under way at once. Raw is node:net and nothing else: requests and replies of the same sizes, what receives bulk has `onread`. It lets go of what it got, or stores it by receiving at its place in memory.',
      'Stored: the server sums its sections while it sends them, the client keeps every byte in memory. Verified: the client sums them, too, and loads a device. Loaded: the client writes a stored stream, the server verifies it; entering RESUMING is not in it. The targets are on the raw end that does the same with the bytes.',
    ],
    cases,
    targets: shapes.flatMap(targetsOf),
    close,
  }
}

/** A connection for every form of the raw ends; in each the side that receives connects. */
async function connectRaw({ server, client, place }) {
  for (const [name, form] of Object.entries(READS)) {
    const path = place.path(`raw-${Object.keys(READS).indexOf(name)}`)
    await server.call('rawListen', { name, path })
    await client.call('rawConnect', { name, path, ...form })
  }
  for (const [name, form] of Object.entries(RAW)) {
    const path = place.path(`raw-w${Object.keys(RAW).indexOf(name)}`)
    await client.call('rawListen', { name, path })
    await server.call('rawConnect', { name, path, ...form })
  }
}

function casesOf({ server, client, bytes }, shape) {
  const { size } = shape
  const against = (command) => caseName(command, shape, 'raw')
  const common = (command, what) => ({
    name: caseName(command, shape, what),
    bytes,
    against: against(command),
  })
  const ours = (command, what, state, once, more = {}) => ({
    ...common(command, what),
    async before() {
      await client.call('begin', { ...shape, state })
      await more.before?.()
    },
    once,
    async after() {
      await more.after?.()
      await client.call('end')
    },
  })
  return [
    ...Object.keys(READS).map((name) => ({
      ...common('read', name),
      before: () => server.call('rawServeReads', { name, size }),
      once: () => client.call('rawRead', { name, bytes, ...shape }),
    })),
    ours('read', STORED, 'STOP_COPY', () => client.call('store', shape)),
    ours('read', VERIFIED, 'STOP_COPY', () => client.call('verify', shape), {
      before: () => client.call('beginLoading'),
      after: async () => sameMemory(await client.call('endLoading'), await server.call('fingerprint')),
    }),
    ...Object.keys(RAW).map((name) => ({
      ...common('write', name),
      before: () => server.call('rawServeWrites', { name, size }),
      once: () => client.call('rawWrite', { name, bytes, ...shape }),
    })),
    ours('write', LOADED, 'RESUMING', () => client.call('write', shape)),
  ]
}

function sameMemory(here, there) {
  if (here !== there) throw new Error('the memories differ after a device was read')
}

function targetsOf(shape) {
  const target = (command, what, asked, rivals) => ({
    name: `${caseName(command, shape, what)} / the faster raw`,
    asked,
    sense: 'at least',
    unit: '×',
    of: (figures) =>
      figures.ratioToBest(
        caseName(command, shape, what),
        Object.keys(rivals).map((name) => caseName(command, shape, name)),
      ),
  })
  return [
    target('read', STORED, 0.8, RAW_STORED),
    target('read', VERIFIED, 0.7, RAW_STORED),
    target('write', LOADED, 0.7, RAW),
  ]
}
