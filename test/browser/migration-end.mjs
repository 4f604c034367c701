/**
 * One end of a live migration, the same in a page, in a Worker and in Node: a bulk device that works, and what is
 * done with it. Everything goes in and comes out as plain data, so that a test can drive it from outside.
 */

import { createBulk, verifyBulkWorkload } from '../../dist/devices/index.js'
import { DeviceState, migrate, receive, VfioDevice } from '../../dist/index.js'
import { SlowReader } from './slow-reader.mjs'

const { RUNNING, RUNNING_P2P, STOP } = DeviceState
const STATE_NAMES = Object.fromEntries(Object.entries(DeviceState).map(([name, state]) => [state, name]))

/** Power-on content without a page of zeros, and the work. */
const CONTENT = { seed: 7, workload: { pagesPerSecond: 200, seed: 11 } }
/** Until two looks at a device are different; only one that does not work takes so long. */
const GIVE_UP_MS = 10_000

export class MigrationEnd {
  #bulk
  #device
  #links
  #link
  #slow
  /** What memory was when it was complete and did not work yet. */
  #arrived

  /** @param links how it can be connected, by kind */
  constructor(links) {
    this.#links = links
  }

  /** A device that works, or one that waits in STOP for what it receives. */
  async open({ isSource, memoryBytes }) {
    this.#bulk = createBulk({ memoryBytes, ...(isSource ? CONTENT : {}) })
    const transition = this.#bulk.transition.bind(this.#bulk)
    this.#bulk.transition = (from, to, options) => {
      if (from === STOP && (to === RUNNING || to === RUNNING_P2P)) this.#arrived = this.#snapshot()
      return transition(from, to, options)
    }
    this.#device = await VfioDevice.open(this.#bulk)
    if (!isSource) await this.#device.setState(STOP)
  }

  /** Gets a connection; `holdAfterBytes`: it will not read on after so many, before `goOn`. */
  async connect({ kind, holdAfterBytes, ...words }) {
    this.#link = await this.#links[kind](words)
    if (holdAfterBytes !== undefined) this.#slow = new SlowReader(this.#link.duplex, holdAfterBytes)
  }

  migrate(options) {
    return this.#outcome(async () => {
      const report = await migrate(this.#device, this.#link.duplex, options)
      const { owner, bytes, downtimeMs } = report
      return { owner, bytes, downtimeMs, iterations: report.iterations.length }
    })
  }

  receive(options) {
    return this.#outcome(async () => {
      const { owner, bytes } = await receive(this.#device, this.#slow ?? this.#link.duplex, options)
      return { owner, bytes }
    })
  }

  /** How much was read here, and whether it has stopped reading. */
  taken() {
    return { bytes: this.#slow.takenBytes, isHeld: this.#slow.isHeld }
  }

  goOn() {
    this.#slow.goOn()
  }

  /** Breaks what carries the connection. */
  sever() {
    this.#link.sever()
  }

  /** What was handed over: on a source that is stopped, as it is; on a destination, as it came. */
  async handedOver() {
    const { memory, sequence } = this.#arrived ?? this.#snapshot()
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', memory))
    return { sequence, digest: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') }
  }

  /**
   * Where the device is and whether it goes on with its work; then it is stopped, and its memory compared with what
   * every record from the first on, written once, must have left.
   */
  async proof() {
    const state = STATE_NAMES[await this.#device.state()]
    const { sequence } = this.#bulk
    const giveUp = performance.now() + GIVE_UP_MS
    if (state === 'RUNNING')
      while (this.#bulk.sequence === sequence && performance.now() < giveUp)
        await new Promise((resolve) => setTimeout(resolve, 1))
    const worksOn = this.#bulk.sequence > sequence
    await this.#device.setState(STOP)
    const expected = { ...CONTENT, sequence: this.#bulk.sequence }
    const { matches } = await verifyBulkWorkload(this.#bulk.memory, expected)
    return { state, worksOn, matches }
  }

  async close() {
    await this.#device.close()
  }

  #snapshot() {
    const memory = new Uint8Array(this.#bulk.memory.byteLength)
    this.#bulk.memory.read(0, memory)
    return { memory, sequence: String(this.#bulk.sequence) }
  }

  /** An error as plain data. */
  async #outcome(work) {
    try {
      return await work()
    } catch (error) {
      return { code: error.code, message: error.message, owner: error.report?.owner }
    }
  }
}
