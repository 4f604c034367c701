/**
 * Serves the device that libvfio-user's C client sample expects, to one client: `node sample-server.mjs [-v] SOCKET`,
 * arguments as that of libvfio-user's server sample, in whose place the client can start this. With `--log FILE` the
 * lines go there.
 *
 * Prints a JSON line for each command, for what the device did, and at the end.
 *
 * @module
 */
import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { VfioDevice } from '../../dist/index.js'
import { fdFiles, listenFds } from '../../dist/node/index.js'
import { serveVfioUser } from '../../dist/vfio-user/index.js'
import { createSampleDevice } from './sample-device.mjs'

const BAR1_BYTES = 0x4000

const { values, positionals } = parseArgs({
  options: { verbose: { type: 'boolean', short: 'v' }, log: { type: 'string' } },
  allowPositionals: true,
})
const [socket] = positionals
if (socket === undefined) throw new Error('Cannot serve: no socket, use sample-server.mjs SOCKET')
const say = (line) => {
  const text = `${JSON.stringify(line)}\n`
  if (values.log === undefined) process.stdout.write(text)
  else appendFileSync(values.log, text)
}

// BAR1 is a file, so that the client maps it and writes to it while the device is saved.
const files = fdFiles()
const fd = files.createMemory(BAR1_BYTES)
const { bytes } = files.map(fd, 0n, BAR1_BYTES, { write: true })
const driver = createSampleDevice((line) => say({ device: line }), { fd, bytes })
const device = await VfioDevice.open(driver)
const options = {
  pci: driver.pci,
  // The client never writes to configuration space.
  quirks: { requireBusMaster: false },
  // It answers DMA by message on the first page, and wants to be told of writes to the second.
  memoryAccess({ iova }) {
    driver.pages.push(iova)
    return driver.pages.length === 1 ? 'message' : 'mapped'
  },
  onEvent(event) {
    if (event.kind === 'command') say({ command: event.command, error: event.error?.code })
  },
}
let take
const taken = new Promise((resolve) => (take = resolve))
const listener = await listenFds(`unix:${socket}`, take)
say({ listening: socket })
const connection = await taken
await listener.close()
const { ended, commands, refused } = await serveVfioUser(device, connection, options)
await device.close()
say({ ended, commands, refused })
