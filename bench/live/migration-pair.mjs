/**
 * A source and a destination in two processes (over a MessagePort: in one process and a thread of it).
 *
 * @module
 */
import { Peer } from './peer.mjs'

/** Both ends, with a device of the same size each. */
export class MigrationPair {
  #source = Peer.process('source-process.mjs')
  /** @type {Peer | { call: (name: string, argument?: unknown) => Promise<any> }} */
  #destination
  #certificate
  #url

  /**
   * @param {object} options
   * @param {number} options.memoryBytes of a bulk device; 0 for an mtty
   * @param {string} [options.url] where the destination listens; without it, over a MessagePort
   * @param {{ key: string, cert: string }} [options.certificate]
   */
  static async open({ memoryBytes, url, certificate }) {
    const pair = new MigrationPair(url, certificate)
    try {
      await pair.#open(memoryBytes, url)
      return pair
    } catch (error) {
      await pair.end()
      throw error
    }
  }

  constructor(url, certificate) {
    this.#certificate = certificate
    if (url === undefined)
      this.#destination = { call: (name, argument) => this.#source.call('thread', { name, argument }) }
    else this.#destination = Peer.process('destination-process.mjs')
  }

  get source() {
    return this.#source
  }

  get destination() {
    return this.#destination
  }

  /** A connection for the next transfer. @param {'migrate' | 'restore' | 'take' | 'read'} [role] what it is for */
  async connect(role = 'migrate') {
    await this.#destination.call('role', role)
    await this.#source.call('connect', { url: this.#url, certificate: this.#certificate })
  }

  /** Migrates over the connection. @returns the report, with `passes` and, when asked for, `requests` */
  migrate(options = {}) {
    return this.#source.call('migrate', options)
  }

  /** Both ends ready for the next migration. @returns what the destination's end came to */
  async settle({ compare = false } = {}) {
    const result = await this.#destination.call('settled')
    if (compare) await this.#compare()
    await this.#source.call('takeBack')
    return result
  }

  async #compare() {
    const [here, there] = [
      await this.#source.call('fingerprint'),
      await this.#destination.call('fingerprint'),
    ]
    if (here !== there) throw new Error('the memories of source and destination differ after a migration')
  }

  /** Processor time of the two ends so far. */
  cpuSeconds() {
    return Promise.all([this.#source.call('cpuSeconds'), this.#destination.call('cpuSeconds')])
  }

  async end() {
    await Promise.all([this.#source.end(), this.#destination instanceof Peer && this.#destination.end()])
  }

  async #open(memoryBytes, url) {
    if (url === undefined) await this.#source.call('startThread')
    // One after the other: what a process had before its device is of this order, too.
    await this.#source.call('open', { memoryBytes })
    await this.#destination.call('open', { memoryBytes })
    if (url === undefined) return
    this.#url = await this.#destination.call('listen', { url, certificate: this.#certificate })
  }
}

/** Seconds from WELCOME, when data may come, until the destination's devices run. */
export function transferSeconds({ phases }) {
  const { precopyMs, stopMs, drainMs, loadMs, commitMs } = phases
  return (precopyMs + stopMs + drainMs + loadMs + commitMs) / 1000
}
