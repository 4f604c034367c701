/** Stands between a source and a destination, and loses what was said about COMMIT. @module */

import { connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { FRAME_HEADER_BYTES } from '../../src/migrate/handover/frame.ts'
import { MessageType } from '../../src/migrate/handover/message-type.ts'

/** What becomes of the first COMMIT. */
export interface Cut {
  /** Whether the destination gets it. */
  readonly delivered: boolean
  /** 'cut': the source's connection breaks; 'silent': it stays, and nothing comes. */
  readonly link: 'cut' | 'silent'
  /** Whether later connections reach the destination. */
  readonly heals: boolean
}

/** Listens on `path` for connections to the UNIX socket `target`. */
export async function startProxy(path: string, target: string, cut: Cut): Promise<void> {
  let isCut = false
  const sockets = new Set<Socket>()
  const server = createServer((source) => {
    if (isCut && !cut.heals) {
      source.destroy()
      return
    }
    const destination = connect(target)
    const watch = new FrameWatch()
    for (const [socket, other] of [
      [source, destination],
      [destination, source],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => other.end())
    }
    source.on('data', (chunk) => {
      const at = isCut ? -1 : watch.commitIn(chunk)
      if (at < 0) {
        destination.write(chunk)
        return
      }
      isCut = true
      // What stands before it arrives in any case.
      destination.write(cut.delivered ? chunk : chunk.subarray(0, at))
      destination.removeAllListeners('data')
      destination.resume()
      if (cut.link === 'cut') source.destroy()
    })
    destination.on('data', (chunk) => source.write(chunk))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
}

/** Follows frames, however they are cut into chunks. */
class FrameWatch {
  #header: Buffer = Buffer.alloc(0)
  #skip = 0

  /** Where in the chunk a COMMIT begins, or -1; one whose header is split is not looked for in an older chunk. */
  commitIn(chunk: Buffer): number {
    for (let at = 0; at < chunk.length;) {
      const skipped = Math.min(this.#skip, chunk.length - at)
      this.#skip -= skipped
      at += skipped
      const part = chunk.subarray(at, at + FRAME_HEADER_BYTES - this.#header.length)
      if (this.#skip > 0 || part.length === 0) break
      const from = at - this.#header.length
      this.#header = Buffer.concat([this.#header, part])
      at += part.length
      if (this.#header.length < FRAME_HEADER_BYTES) break
      if (this.#header.readUInt16LE(6) === MessageType.COMMIT) return Math.max(0, from)
      this.#skip = this.#header.readUInt32LE(28)
      this.#header = Buffer.alloc(0)
    }
    return -1
  }
}
