/**
 * One end of migrations, in a process of its own: `fork` it with its setup as JSON. It says what happens and
 * does what it is told over the IPC channel; see `test/support/migration-process.ts`.
 */
import {
  appendFileSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  renameSync,
  writeSync,
  closeSync,
} from 'node:fs'
import {
  createEngine,
  DeviceState,
  migrate,
  Receiver,
  resolveHandover,
  VfioDevice,
} from '../../dist/index.js'
import { createBulk, verifyBulkWorkload } from '../../dist/devices/index.js'
import { connect, listen } from '../../dist/node/index.js'
import { recorded } from './recorded-driver.mjs'

/** Engine memory besides the device's: frames, windows, scratch. */
const ENGINE_ROOM = 32 * 2 ** 20
const setup = JSON.parse(process.argv[2])
const { memoryBytes, seed, workload, log, slow = {}, ticketPath } = setup
const isSource = setup.role === 'source'
const say = (message) => process.send?.(message)

const engine = await createEngine({ memoryBytes: memoryBytes + ENGINE_ROOM })
const bulk = createBulk({ memoryBytes, engine, ...(isSource ? { seed, workload } : {}) })
const driver =
  log === undefined
    ? bulk
    : recorded(bulk, { path: log, owned: isSource, slow: (from, to) => slow[`${from}-${to}`] ?? 0 })
const device = await VfioDevice.open(driver)
if (!isSource) await device.setState(DeviceState.STOP)

/** A ticket is on the disk, whole, before anything is said that relies on it. */
function keepTicket(ticket) {
  if (ticketPath === undefined) return
  if (ticket === undefined) {
    rmSync(ticketPath, { force: true })
    return
  }
  const fd = openSync(`${ticketPath}.new`, 'w')
  writeSync(fd, JSON.stringify(ticket))
  fsyncSync(fd)
  closeSync(fd)
  renameSync(`${ticketPath}.new`, ticketPath)
}

let phase
const receiver = new Receiver(device, {
  ...setup.receive,
  onTicket: keepTicket,
  onProgress: (progress) => {
    if (progress.phase !== phase) say({ event: 'phase', phase: progress.phase })
    phase = progress.phase
  },
})
/** A process that was started again answers for what it finds on the disk. */
const oldTicket =
  ticketPath !== undefined && existsSync(ticketPath)
    ? JSON.parse(readFileSync(ticketPath, 'utf8'))
    : undefined

/** Connections that are not closed at both ends yet. */
const connections = new Set()
function track(connection) {
  connections.add(connection)
  connection.closed.addEventListener('abort', () => connections.delete(connection), { once: true })
  return connection
}

async function serve(connection) {
  track(connection)
  say({ event: 'connection' })
  try {
    if (oldTicket !== undefined) {
      say({ event: 'resolved', ...(await resolveHandover(oldTicket, connection)) })
      return
    }
    const report = await receiver.accept(connection)
    if (report === undefined) say({ event: 'nothing-came' })
    else say({ event: 'received', owner: report.owner, ticket: report.ticket, report })
  } catch (error) {
    say({ event: 'receive-failed', code: error.code, message: error.message })
  }
}

const listener =
  setup.listen === undefined ? undefined : await listen(setup.listen, (connection) => void serve(connection))

const commands = {
  async migrate({ to, options }) {
    try {
      const report = await migrate(device, track(await connect(to)), {
        ...setup.options,
        ...options,
        onEvent: (event) => {
          if (event.type !== 'phase') return
          // No byte of COMMIT has gone out yet.
          if (event.phase === 'commit' && log !== undefined)
            appendFileSync(log, `commit ${process.hrtime.bigint()} ${bulk.sequence}\n`)
          say({ event: 'phase', phase: event.phase })
        },
      })
      return { owner: report.owner, ticket: report.ticket, report }
    } catch (error) {
      return { code: error.code, message: error.message, owner: error.report?.owner, report: error.report }
    }
  },
  async resolve({ ticket, to, verdict }) {
    try {
      return await resolveHandover(ticket, verdict === undefined ? await connect(to) : { verdict })
    } catch (error) {
      return { code: error.code, message: error.message }
    }
  },
  /** Waits until the sequence goes on, then stops the device and looks at its memory. */
  async verify() {
    const state = await device.state()
    const { sequence } = bulk
    const giveUpMs = performance.now() + 5000
    while (bulk.sequence === sequence && performance.now() < giveUpMs)
      await new Promise((resolve) => setTimeout(resolve, 1))
    const wentOn = bulk.sequence > sequence
    await device.setState(DeviceState.STOP)
    const verdict = await verifyBulkWorkload(bulk.memory, { seed, workload, sequence: bulk.sequence })
    return { state, wentOn, matches: verdict.matches, sequence: String(bulk.sequence) }
  },
  state: async () => ({ state: await device.state(), sequence: String(bulk.sequence) }),
  /** What is in use when no connection is. */
  async measure() {
    while (connections.size > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    globalThis.gc?.()
    const status = readFileSync('/proc/self/status', 'utf8')
    return {
      rssBytes: process.memoryUsage().rss,
      heapBytes: process.memoryUsage().heapUsed,
      externalBytes: process.memoryUsage().external,
      peakBytes: Number(/VmHWM:\s*(\d+)/.exec(status)[1]) * 1024,
      engineBytes: engine.allocatedBytes,
      fds: readdirSync('/proc/self/fd').length,
      resources: process.getActiveResourcesInfo().length,
    }
  },
  async exit() {
    await listener?.close()
    await device.close()
    return {}
  },
}

process.on('message', async ({ id, command, ...words }) => {
  const result = await commands[command](words)
  say({ event: 'answer', id, result })
  if (command === 'exit') process.disconnect()
})
// Nobody is left to tell it anything.
process.on('disconnect', () => process.exit())
say({ event: 'up' })
