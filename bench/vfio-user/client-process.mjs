/**
 * The client of a served device, and the raw end beside it, in a process of its own.
 *
 * @module
 */
import { DeviceState } from 'stopcopy'
import { connect } from 'stopcopy/node'
import { VfioUserClient } from 'stopcopy/vfio-user'
import { openBulk } from '../data/bulk-device.mjs'
import { touchedBuffer } from '../data/touched.mjs'
import { cpuSeconds, fingerprint } from '../live/memory-looks.mjs'
import { serveCalls } from '../live/serve-calls.mjs'
import { BulkReceiver, BulkSender } from './raw-peer.mjs'

/** Beside the memory: headers and sections of the stream. */
const EXTRA_BYTES = 8 * 1024 * 1024

let url
let local
/** @type {Buffer} what is stored, or written */
let store
/** The stream in it. */
let streamBytes = 0
const receivers = {}
const senders = {}
/** @type {VfioUserClient} */
let client
let session
let loading

serveCalls({
  async open({ url: server, bytes }) {
    url = server
    local = await openBulk(bytes, { role: 'destination' })
    store = touchedBuffer(bytes + EXTRA_BYTES)
  },
  async rawConnect({ name, path, readBytes, isStored }) {
    receivers[name] = await BulkReceiver.connect(path, isStored ? { store, readBytes } : { readBytes })
  },
  rawRead: ({ name, ...options }) => receivers[name].readAll(options),
  async rawListen({ name, path }) {
    senders[name] = await BulkSender.listen(path, store)
  },
  rawWrite: ({ name, ...options }) => senders[name].writeAll(options),

  /** A connection, and the device in STOP_COPY or RESUMING. */
  async begin({ size, outstanding, state }) {
    const options = { maxDataBytes: size, readBytes: size, writeBytes: size, outstanding }
    client = await VfioUserClient.connect(await connect(url), options)
    session = await client.setState(DeviceState[state])
  },
  /** The other device, into which what is read is verified. */
  async beginLoading() {
    loading = await local.device.setState(DeviceState.RESUMING)
  },
  /** Reads to the end and keeps every byte. @returns seconds */
  async store({ size }) {
    const start = performance.now()
    streamBytes = await readAll(size, (lease, at) => store.set(lease, at))
    return (performance.now() - start) / 1000
  },
  /** Reads to the end and loads a device with it, which sums every section. @returns seconds */
  async verify({ size }) {
    const start = performance.now()
    await readAll(size, (lease) => loading.write(lease))
    return (performance.now() - start) / 1000
  },
  async endLoading() {
    await local.device.setState(DeviceState.STOP)
    return fingerprint(local.memory)
  },
  /** Writes what was stored. @returns seconds until the last reply */
  async write({ size, outstanding }) {
    const start = performance.now()
    for (let at = 0; at < streamBytes; at += size * outstanding)
      await session.write(store.subarray(at, Math.min(at + size * outstanding, streamBytes)))
    return (performance.now() - start) / 1000
  },
  async end() {
    await client.setState(DeviceState.STOP)
    await client.close()
  },
  cpuSeconds,
})

async function readAll(size, take) {
  for (let at = 0; ;) {
    const lease = await session.lease(size)
    if (lease.length === 0) return at
    take(lease, at)
    at += lease.length
    session.release()
  }
}
