/**
 * The destination of migrations, in a process of its own or, over a MessagePort, in a thread.
 *
 * @module
 */
import { DeviceState, Receiver, restore, VfioDevice } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { listen } from 'stopcopy/node'
import { openBulk } from '../data/bulk-device.mjs'
import { cpuSeconds, fingerprint, peakBytes } from './memory-looks.mjs'
import { serveCalls } from './serve-calls.mjs'

let destination
/** @type {Receiver} */
let receiver
/** What is done with the next connection, and how that went. */
let role = 'migrate'
let serving

const roles = {
  migrate: (connection) => receiver.accept(connection),
  async restore(connection) {
    await restore(destination.device, connection)
    await connection.close()
  },
  /** Takes what comes, where it lies, and looks at none of it. */
  async take(connection) {
    let bytes = 0
    for (;;) {
      const lease = await connection.lease(2 ** 20 + 4096)
      if (lease.length === 0) break
      bytes += lease.length
      connection.release()
    }
    await connection.close()
    return { bytes }
  },
  /** The same, copied into one reused buffer. */
  async read(connection) {
    const buffer = new Uint8Array(2 ** 18)
    let bytes = 0
    for (let n = await connection.read(buffer); n > 0; n = await connection.read(buffer)) bytes += n
    await connection.close()
    return { bytes }
  },
}

function serve(connection) {
  serving = roles[role](connection)
  // Whoever asks for it is told.
  serving.catch(() => {})
}

serveCalls({
  async open({ memoryBytes }) {
    destination =
      memoryBytes > 0
        ? await openBulk(memoryBytes, { role: 'destination' })
        : { device: await VfioDevice.open(createMtty()) }
    receiver = new Receiver(destination.device)
  },
  /** @returns where it listens */
  async listen({ url, certificate }) {
    const listener = await listen(url, serve, certificate === undefined ? {} : { tls: certificate })
    return listener.url
  },
  async acceptPort({ port }) {
    const { messagePortDuplex } = await import('stopcopy/web')
    serve(messagePortDuplex(port))
  },
  role(name) {
    role = name
  },
  /** Ready for the next migration: the device in STOP. @returns what the last connection came to */
  async settled() {
    const result = await serving
    await destination.device.setState(DeviceState.STOP)
    return result
  },
  /** Answers when `restore` has the device in RESUMING. */
  async resuming() {
    while ((await destination.device.state()) !== DeviceState.RESUMING) await new Promise(setImmediate)
  },
  fingerprint: () => fingerprint(destination.memory),
  peakBytes,
  cpuSeconds,
})
