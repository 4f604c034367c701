/**
 * One stop of the walk, the same in every runtime: a PC that takes the guest from the stop before, lets it run, and
 * gives it to the next one. Built with v86 into one file that imports the installed stopcopy.
 */

import { DeviceState, migrate, receive, VfioDevice } from 'stopcopy'
import { TOLD_TICK_ADDRESS } from '../../demo/devices/v86/guest/boot-sector.ts'
import { createV86Machine } from '../../demo/devices/v86/index.ts'

const { RUNNING, RUNNING_P2P, STOP } = DeviceState
const LINE_FEED = 10
/** Where the guest keeps its own log: a word every 16 bytes, in the order of its ticks. */
const LOG_ADDRESS = 0x10000
const LOG_STRIDE = 16
/** Where the guest, which has 16 MiB, writes nothing: a note is put there and found again at the end. */
const NOTE_ADDRESSES = [0x40000, 9 * 2 ** 20 + 1357]
const NOTE_BYTES = 32

/** What a runtime gives a station: v86.wasm, who it is, and its transports. */
export async function openStation({ wasm, identify, connect, listen }) {
  const station = new Station(identify, connect, listen)
  await station.open(wasm)
  return station
}

class Station {
  #identify
  #connect
  #listen
  #machine
  #device
  /** Whether the guest is here, or was; until then the PC's own start is nobody's business. */
  #hasGuest = false
  /** Everything the guest said on COM1 while it was here. */
  #said = ''
  #lines = 0
  #waiting = []
  #giving
  /** How the guest was when it came, complete and not yet running. */
  #arrived

  constructor(identify, connect, listen) {
    this.#identify = identify
    this.#connect = connect
    this.#listen = listen
  }

  async open(wasm) {
    this.#machine = await createV86Machine({ wasm, onSerial: (byte) => this.#hear(byte) })
    const { driver } = this.#machine
    const transition = driver.transition.bind(driver)
    driver.transition = (from, to, options) => {
      if (from === STOP && (to === RUNNING || to === RUNNING_P2P)) this.#beforeRun()
      return transition(from, to, options)
    }
    this.#device = await VfioDevice.open(driver)
    await this.#device.setState(STOP)
  }

  identify() {
    return this.#identify()
  }

  /** The guest begins its life here, from power-on, with a note in its RAM. */
  async begin(note) {
    this.#hasGuest = true
    await this.#device.reset()
    const bytes = Uint8Array.from(note.match(/../g), (digits) => Number.parseInt(digits, 16))
    for (const address of NOTE_ADDRESSES) this.#machine.ram.set(bytes, address)
  }

  /** What is in RAM where the note would be. */
  notes() {
    return NOTE_ADDRESSES.map((address) => hex(this.#machine.ram.subarray(address, address + NOTE_BYTES)))
  }

  /** Resolves when the guest has told `count` more ticks here. */
  hear(count) {
    return new Promise((resolve) => this.#waiting.push({ lines: this.#lines + count, resolve }))
  }

  /** All that the guest said here. */
  log() {
    return this.#said
  }

  /** Whether the guest's own log in RAM has every tick up to the last that it told, which is returned. */
  ownLog() {
    const view = this.#view()
    const last = view.getUint32(TOLD_TICK_ADDRESS, true)
    // The one that it is busy with may not be in it yet.
    for (let tick = 1; tick < last; tick++)
      if (view.getUint32(LOG_ADDRESS + tick * LOG_STRIDE, true) !== tick) return { missing: tick, last }
    return { last }
  }

  /** Waits for the next stop: where it connects to. The migration begins when it has. */
  async offer(transport, origins) {
    const { url, connection } = await this.#listen(transport, origins)
    this.#giving = connection.then((stream) => migrate(this.#device, stream, { downtimeLimitMs: 100 }))
    // Its failure is told by `given`.
    this.#giving.catch(() => {})
    return url
  }

  /** How it went on the source, and the RAM of the PC that is stopped here. */
  async given() {
    const { owner, downtimeMs, bytes, iterations } = await this.#giving
    return { owner, downtimeMs, bytes, iterations: iterations.length, ...(await this.#stopped()) }
  }

  /** Takes the guest; it runs here when this resolves. */
  async take(url) {
    const connection = await this.#connect(url)
    const { owner } = await receive(this.#device, connection)
    const { ram, tick, copyMs } = this.#arrived
    this.#arrived = undefined
    return { owner, tick, copyMs, ramHash: await sha256(ram) }
  }

  async isStopped() {
    return (await this.#device.state()) === STOP
  }

  async close() {
    await this.#device.close()
    await this.#machine.destroy()
  }

  /** RAM is copied here and hashed later: the guest should not wait for that. */
  #beforeRun() {
    if (this.#hasGuest) return
    const startMs = performance.now()
    const ram = this.#machine.ram.slice()
    this.#hasGuest = true
    this.#arrived = { ram, tick: this.#tick(), copyMs: performance.now() - startMs }
  }

  async #stopped() {
    return {
      isStopped: await this.isStopped(),
      tick: this.#tick(),
      ramHash: await sha256(this.#machine.ram.slice()),
    }
  }

  #hear(byte) {
    if (!this.#hasGuest) return
    this.#said += String.fromCharCode(byte)
    if (byte !== LINE_FEED) return
    this.#lines++
    const isDue = ({ lines }) => lines <= this.#lines
    for (const { resolve } of this.#waiting.filter(isDue)) resolve()
    this.#waiting = this.#waiting.filter((each) => !isDue(each))
  }

  #tick() {
    return this.#view().getUint32(TOLD_TICK_ADDRESS, true)
  }

  #view() {
    const { buffer, byteOffset, byteLength } = this.#machine.ram
    return new DataView(buffer, byteOffset, byteLength)
  }
}

async function sha256(bytes) {
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)))
}

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
