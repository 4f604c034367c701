/**
 * A raw pipe between two processes.
 *
 * @module
 */
import { KIB, MIB } from '../data/touched.mjs'
import { Peer } from './peer.mjs'

/** Forms of a pipe: bytes of a write, of the reader's buffer, and writes under way. */
export const FORMS = {
  pipe: { writeBytes: MIB, readBytes: 64 * KIB, underWay: 1 },
  'pipe, two writes under way': { writeBytes: MIB, readBytes: 64 * KIB, underWay: 2 },
  'pipe, reads of 256 KiB': { writeBytes: MIB, readBytes: 256 * KIB, underWay: 1 },
  'pipe, reads of 1 MiB': { writeBytes: MIB, readBytes: MIB, underWay: 1 },
  'pipe, writes of 256 KiB': { writeBytes: 256 * KIB, readBytes: 64 * KIB, underWay: 1 },
  'pipe, writes of 64 KiB': { writeBytes: 64 * KIB, readBytes: 64 * KIB, underWay: 1 },
}

/** Both ends; a connection for each size of the reader's buffer, used again in every round. */
export class PipePair {
  #writer = Peer.process('pipe-process.mjs')
  #reader = Peer.process('pipe-process.mjs')
  #kind
  #path
  #certificate
  #opened = new Set()

  /** @param {{ kind: string, path: (name: string) => string, certificate?: object, bytes: number }} options */
  static async open({ bytes, ...options }) {
    const pair = new PipePair(options)
    try {
      await pair.#writer.call('touch', { bytes })
      return pair
    } catch (error) {
      await pair.end()
      throw error
    }
  }

  constructor({ kind, path, certificate }) {
    this.#kind = kind
    this.#path = path
    this.#certificate = certificate
  }

  /** Makes the connection for a form, unless it is there. */
  async prepare({ readBytes }, bytes) {
    if (this.#opened.has(readBytes)) return
    this.#opened.add(readBytes)
    const [kind, certificate] = [this.#kind, this.#certificate]
    if (kind === 'port') {
      await this.#writer.call('thread', { id: readBytes, bytes })
      return
    }
    if (kind === 'ws') {
      const address = await this.#reader.call('read', { kind, bytes, readBytes })
      await this.#writer.call('connect', { id: readBytes, ...address })
      return
    }
    const path = this.#path(`pipe-${readBytes}`)
    const address = await this.#writer.call('listen', { id: readBytes, kind, path, certificate })
    await this.#reader.call('read', { kind, address, bytes, readBytes, certificate })
  }

  /** @returns {Promise<number>} seconds from the first write until the reader said that it has all */
  write({ readBytes, ...form }, bytes) {
    return this.#writer.call('write', { id: readBytes, bytes, ...form })
  }

  /** Processor time of the two ends so far. */
  cpuSeconds() {
    return Promise.all([this.#writer.call('cpuSeconds'), this.#reader.call('cpuSeconds')])
  }

  async end() {
    await Promise.all([this.#writer.end(), this.#reader.end()])
  }
}
