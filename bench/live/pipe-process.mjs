/**
 * One end of a raw pipe, in a process of its own.
 *
 * @module
 */
import { touchedBuffer } from '../data/touched.mjs'
import { cpuSeconds } from './memory-looks.mjs'
import { Peer } from './peer.mjs'
import {
  connectWebSocket,
  listenWriter,
  openReader,
  portWriter,
  readPort,
  writeThrough,
} from './raw-pipe.mjs'
import { serveCalls } from './serve-calls.mjs'

const pipes = new Map()
let memory

serveCalls({
  /** The writer of pipe `id`; the answer says where its reader finds it. */
  async listen({ id, ...options }) {
    const { address, writer } = await listenWriter(options)
    pipes.set(id, writer())
    return address
  },
  async connect({ id, port }) {
    pipes.set(id, connectWebSocket({ port }))
  },
  read: openReader,
  /** A pipe to a thread of this process. */
  async thread({ id, bytes }) {
    const { port1, port2 } = new MessageChannel()
    await Peer.thread('pipe-process.mjs').call('readPort', { port: port2, bytes }, [port2])
    pipes.set(id, portWriter(port1))
  },
  readPort,
  /** Fills the memory that is written. */
  touch({ bytes }) {
    memory = touchedBuffer(bytes)
  },
  async write({ id, ...options }) {
    return writeThrough(await pipes.get(id), memory, options)
  },
  cpuSeconds,
  identify: () => ({ pid: process.pid }),
})
