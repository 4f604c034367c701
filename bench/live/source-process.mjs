/**
 * The source of migrations, in a process of its own.
 *
 * @module
 */
import { DeviceState, migrate, save, VfioDevice } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { connect } from 'stopcopy/node'
import { openBulk, recordStream } from '../data/bulk-device.mjs'
import { countMessages } from './count-messages.mjs'
import { writeFrames, writeWhole } from './frames.mjs'
import { cpuSeconds, fingerprint, peakBytes } from './memory-looks.mjs'
import { Peer } from './peer.mjs'
import { serveCalls } from './serve-calls.mjs'

/** Registers of bulk's region 0, and CONTROL's bit for the workload. */
const [CONTROL, RATE, PATTERN, WORKLOAD] = [0x08, 0x18, 0x40, 1]
const PATTERNS = ['uniform', 'hot-set', 'sweep', 'burst']

let source
let connection
/** @type {Buffer | undefined} */
let recorded
/** @type {Peer | undefined} */
let thread

serveCalls({
  async open({ memoryBytes }) {
    source = memoryBytes > 0 ? await openBulk(memoryBytes) : { device: await VfioDevice.open(createMtty()) }
  },
  /** What the workload does from now on. */
  workload({ pagesPerSecond, pattern }) {
    const { regions } = source.device
    const set = (offset, value) => regions.write(0, offset, new Uint8Array(Uint32Array.of(value).buffer))
    set(PATTERN, PATTERNS.indexOf(pattern))
    set(RATE, pagesPerSecond)
    set(CONTROL, pagesPerSecond > 0 ? WORKLOAD : 0)
  },
  /** Starts the destination as a thread of this process. */
  startThread() {
    thread = Peer.thread('destination-process.mjs')
  },
  thread: ({ name, argument }) => thread.call(name, argument),
  /** The connection of the next transfer; without a URL to the thread. */
  async connect({ url, certificate }) {
    const tls = certificate === undefined ? {} : { tls: { ca: certificate.cert } }
    connection = url === undefined ? await connectThread() : await connect(url, tls)
  },
  async migrate({ count = false, ...options }) {
    const counted = count ? countMessages(connection) : { duplex: connection }
    const { iterations, ...report } = await migrate(source.device, counted.duplex, options)
    if (report.owner !== 'destination') throw new Error(`the ${report.owner} has the device`)
    return { ...report, passes: iterations.length, requests: counted.requests?.() }
  },
  /** Writes the device's stream, or frames that only look like it, until the other end has taken all. */
  save: () => timed(() => save(source.device, connection)),
  async replay() {
    recorded ??= await recordStream(source.device)
    return timed(() => writeWhole(connection, recorded))
  },
  frames: (options) => timed(() => writeFrames(connection, options)),
  /** The device runs here again. */
  async takeBack() {
    await source.device.setState(DeviceState.RUNNING)
  },
  fingerprint: () => fingerprint(source.memory),
  peakBytes,
  cpuSeconds,
})

async function connectThread() {
  const { messagePortDuplex } = await import('stopcopy/web')
  const { port1, port2 } = new MessageChannel()
  await thread.call('acceptPort', { port: port2 }, [port2])
  return messagePortDuplex(port1)
}

/** Seconds until all that `write` wrote was taken: then the other end closes, too. */
async function timed(write) {
  const start = performance.now()
  await write()
  await connection.close()
  if ((await connection.read(new Uint8Array(1))) !== 0) throw new Error('the other end said something')
  return (performance.now() - start) / 1000
}
