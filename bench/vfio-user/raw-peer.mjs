/**
 * The rival: requests and replies of the same sizes over node:net and nothing else. No field is looked at, no byte
 * is summed, and each end does it in the fastest way that Node offers: what receives bulk is the side that
 * connects, since only that one can have `onread` without a trick.
 *
 * @module
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A header and the head of MIG_DATA_READ or MIG_DATA_WRITE; a bare header. */
const HEAD_BYTES = 24
const HEADER_BYTES = 16

/** The sender of bulk: waits for the receiver. */
export class BulkSender {
  #memory
  #socket
  #message = () => {}
  /** Bytes of what comes back: a request of a reader, or the reply to a writer. */
  #smallBytes = HEAD_BYTES
  #held = 0

  static async listen(path, memory) {
    const server = createServer()
    const sender = new BulkSender()
    sender.#memory = memory
    server.on('connection', (socket) => {
      sender.#socket = socket
      socket.on('data', (chunk) => sender.#count(chunk.length))
      server.close()
    })
    server.listen({ path })
    await once(server, 'listening')
    return sender
  }

  /** Answers every request with the next `size` bytes, from the front again. */
  serveReads(size) {
    const head = Buffer.alloc(HEAD_BYTES)
    let at = 0
    this.#smallBytes = HEAD_BYTES
    this.#message = () => {
      this.#write(head, at, size)
      at = (at + size) % this.#memory.length
    }
  }

  /** Writes `bytes` in requests of `size`, `outstanding` of them unanswered at most. @returns seconds */
  writeAll({ bytes, size, outstanding }) {
    const head = Buffer.alloc(HEAD_BYTES)
    this.#smallBytes = HEADER_BYTES
    return new Promise((resolve) => {
      const start = performance.now()
      let [sent, answered] = [0, 0]
      const send = () => {
        this.#write(head, sent, size)
        sent += size
      }
      this.#message = () => {
        answered += size
        if (answered === bytes) resolve((performance.now() - start) / 1000)
        else if (sent < bytes) send()
      }
      for (let n = Math.min(outstanding, bytes / size); n > 0; n--) send()
    })
  }

  #count(byteLength) {
    this.#held += byteLength
    for (; this.#held >= this.#smallBytes; this.#held -= this.#smallBytes) this.#message()
  }

  #write(head, at, size) {
    this.#socket.cork()
    this.#socket.write(head)
    this.#socket.write(this.#memory.subarray(at, at + size))
    this.#socket.uncork()
  }
}

/** The receiver of bulk. */
export class BulkReceiver {
  #socket
  #take = () => {}

  /**
   * @param {string} path
   * @param {{ store?: Buffer, readBytes: number }} options with a store bytes are received at their place in it,
   *   else in one reused buffer of `readBytes`
   */
  static async connect(path, { store, readBytes }) {
    const receiver = new BulkReceiver()
    const reused = Buffer.from(new ArrayBuffer(readBytes))
    let at = 0
    const place = () => {
      if (store === undefined) return reused
      if (at + readBytes > store.length) at = 0
      return store.subarray(at, at + readBytes)
    }
    receiver.#socket = connect({
      path,
      onread: {
        buffer: store === undefined ? reused : place,
        callback: (byteLength) => {
          at += byteLength
          receiver.#take(byteLength)
          return true
        },
      },
    })
    await once(receiver.#socket, 'connect')
    return receiver
  }

  /** Asks for `bytes` in requests of `size`, `outstanding` of them unanswered at most. @returns seconds */
  readAll({ bytes, size, outstanding }) {
    const request = Buffer.alloc(HEAD_BYTES)
    return new Promise((resolve) => {
      const start = performance.now()
      let [asked, got, held] = [0, 0, 0]
      const ask = () => {
        this.#socket.write(request)
        asked += size
      }
      this.#take = (byteLength) => {
        held += byteLength
        for (; held >= HEAD_BYTES + size; held -= HEAD_BYTES + size) {
          got += size
          if (got === bytes) resolve((performance.now() - start) / 1000)
          else if (asked < bytes) ask()
        }
      }
      for (let n = Math.min(outstanding, bytes / size); n > 0; n--) ask()
    })
  }

  /** Answers every request of `size` bytes with a bare header. */
  serveWrites(size) {
    const reply = Buffer.alloc(HEADER_BYTES)
    let held = 0
    this.#take = (byteLength) => {
      held += byteLength
      for (; held >= HEAD_BYTES + size; held -= HEAD_BYTES + size) this.#socket.write(reply)
    }
  }
}
