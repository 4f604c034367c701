/**
 * The server of a device, and the raw end beside it, in a process of its own.
 *
 * @module
 */
import { listen } from 'stopcopy/node'
import { serveVfioUser } from 'stopcopy/vfio-user'
import { VfioDevice } from 'stopcopy'
import { createBulk } from 'stopcopy/devices'
import { touchedBuffer } from '../data/touched.mjs'
import { cpuSeconds, fingerprint } from '../live/memory-looks.mjs'
import { serveCalls } from '../live/serve-calls.mjs'
import { BulkReceiver, BulkSender } from './raw-peer.mjs'

let bulk
let memory
const senders = {}
const receivers = {}

serveCalls({
  /** Opens a device and serves it, to one client after the other. */
  async open({ url, bytes }) {
    memory = touchedBuffer(bytes)
    bulk = createBulk({ memoryBytes: bytes, seed: 1 })
    const device = await VfioDevice.open(bulk)
    await listen(url, (connection) => {
      // It keeps its content: filling it anew for every client would take longer than what is measured.
      void serveVfioUser(device, connection, { pci: bulk.pci, keepState: true })
    })
  },
  async rawListen({ name, path }) {
    senders[name] = await BulkSender.listen(path, memory)
  },
  rawServeReads: ({ name, size }) => senders[name].serveReads(size),
  async rawConnect({ name, path, readBytes }) {
    receivers[name] = await BulkReceiver.connect(path, { readBytes })
  },
  rawServeWrites: ({ name, size }) => receivers[name].serveWrites(size),
  fingerprint: () => fingerprint(bulk.memory),
  cpuSeconds,
})
