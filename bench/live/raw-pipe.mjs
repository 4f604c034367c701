/**
 * The rival of a migration: the transport by itself, in its fastest forms that Node offers.
 *
 * unix, tcp: the reader connects, so that its socket can have `onread` with one reused buffer. tls: the same,
 * as `tls.connect` offers it. ws: the writer connects, as a migration's source does; no compression, and a
 * mask of zeros, which `ws` need not apply. port: buffers that are transferred, back as well, and used again.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'

/** What the reader says when all of a run has come. */
const ANSWER = 'x'

/**
 * Counts bytes and answers once for each `bytes` of them.
 *
 * @param {number} bytes
 * @param {() => void} answer
 */
function counting(bytes, answer) {
  let left = bytes
  return (byteLength) => {
    left -= byteLength
    if (left < 0) throw new Error('the pipe brought more than was written')
    if (left > 0) return
    left = bytes
    answer()
  }
}

/** Waits for a writer or connects to it. @returns what the writer must know */
export async function openReader({ kind, address, bytes, readBytes, certificate }) {
  if (kind === 'ws') return serveWebSocket(bytes)
  const buffer = Buffer.from(new ArrayBuffer(readBytes))
  let socket
  const take = counting(bytes, () => socket.write(ANSWER))
  const onread = {
    buffer,
    callback: (byteLength) => {
      take(byteLength)
      return true
    },
  }
  const options = kind === 'tls' ? { ...address, onread, ca: certificate.cert } : { ...address, onread }
  socket = kind === 'tls' ? connectTls(options) : connect(options)
  await once(socket, kind === 'tls' ? 'secureConnect' : 'connect')
  return undefined
}

async function serveWebSocket(bytes) {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: 2 ** 24,
  })
  server.on('connection', (socket) => {
    const take = counting(bytes, () => socket.send(ANSWER))
    socket.on('message', (data) => take(data.length))
  })
  await once(server, 'listening')
  return { port: server.address().port }
}

/** The writing end of a pipe whose reader connects: listens, then takes the first connection. */
export async function listenWriter({ kind, path, certificate }) {
  const server =
    kind === 'tls' ? createTlsServer({ ...certificate, noDelay: true }) : createServer({ noDelay: true })
  const connected = once(server, kind === 'tls' ? 'secureConnection' : 'connection')
  server.listen(kind === 'unix' ? { path } : { host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const writer = async () => {
    const [socket] = await connected
    server.close()
    return {
      write: (chunk, taken) => socket.write(chunk, taken),
      answered: () => once(socket, 'data'),
    }
  }
  return { address: kind === 'unix' ? { path } : { host: '127.0.0.1', port: server.address().port }, writer }
}

/** The writing end of a WebSocket. */
export async function connectWebSocket({ port }) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, {
    perMessageDeflate: false,
    generateMask: (mask) => mask.fill(0),
  })
  await once(socket, 'open')
  return {
    write: (chunk, taken) => socket.send(chunk, taken),
    answered: () => once(socket, 'message'),
  }
}

/** The writing end over a MessagePort: bytes are copied into a buffer, which goes there and comes back. */
export function portWriter(port) {
  const free = []
  const taken = []
  let answer
  port.on('message', (buffer) => {
    if (buffer === ANSWER) {
      answer()
      return
    }
    free.push(buffer)
    taken.shift()()
  })
  return {
    write(chunk, done) {
      const buffer = free.pop() ?? new ArrayBuffer(chunk.length)
      new Uint8Array(buffer).set(chunk)
      taken.push(done)
      port.postMessage(buffer, [buffer])
    },
    answered: () => new Promise((resolve) => (answer = resolve)),
  }
}

/** The reading end over a MessagePort. */
export function readPort({ port, bytes }) {
  const take = counting(bytes, () => port.postMessage(ANSWER))
  port.on('message', (buffer) => {
    const { byteLength } = buffer
    port.postMessage(buffer, [buffer])
    take(byteLength)
  })
}

/**
 * Writes all of `memory` in pieces, `underWay` of them at a time, and waits for the reader's answer.
 *
 * @param {{ write: (chunk: Uint8Array, taken: () => void) => void, answered: () => Promise<unknown> }} pipe
 * @param {Buffer} memory
 * @param {{ bytes: number, writeBytes: number, underWay: number }} options more `bytes` than `memory` has: its
 *   bytes again and again
 * @returns {Promise<number>} seconds
 */
export async function writeThrough(pipe, memory, { bytes, writeBytes, underWay }) {
  const start = performance.now()
  const answered = pipe.answered()
  await new Promise((resolve) => {
    let [written, pending] = [0, 0]
    const taken = () => {
      pending--
      go()
    }
    const go = () => {
      while (written < bytes && pending < underWay) {
        const at = written % memory.length
        const chunk = memory.subarray(at, at + Math.min(writeBytes, bytes - written))
        written += chunk.length
        pending++
        pipe.write(chunk, taken)
      }
      if (pending === 0) resolve()
    }
    go()
  })
  await answered
  return (performance.now() - start) / 1000
}
