/**
 * Two ways to move a PC: a pair of machines between which stopcopy moves it, and a pair of bare emulators
 * between which v86's own save and restore does. One runs while the other stands still, so that neither takes
 * the other's time.
 *
 * A hand-over's downtime is from the stopped machine to the other one's first step, without the comparison of
 * the RAMs. v86's state is transferred, not copied, which is the best that it can be given.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import { createServer } from 'vite'
import { DeviceState, migrate, receive, VfioDevice } from 'stopcopy'
import { messagePortDuplex } from 'stopcopy/web'

const { RUNNING, RUNNING_P2P, STOP, STOP_COPY } = DeviceState
const VGA_BYTES = 2 ** 21
/** How long a guest may take to boot. */
const BOOT_MS = 120_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const wasm = new Uint8Array(readFileSync(`${root}node_modules/v86/build/v86.wasm`))
const vite = await createServer({
  root,
  configFile: false,
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  appType: 'custom',
  logLevel: 'error',
  ssr: { external: ['stopcopy'] },
})
const load = (name) => vite.ssrLoadModule(`/demo/devices/v86/${name}.ts`)
const [{ createV86Machine }, { loadEmulator }] = [await load('index'), await load('emulator')]

export const closeLoader = () => vite.close()
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** The lines that a guest tells on COM1, and how long it may be silent. */
class Console {
  #lines = 0
  #waiting = []

  take = (byte) => {
    if (byte !== 10) return
    this.#lines++
    for (const { until, resolve } of this.#waiting) if (this.#lines >= until) resolve()
    this.#waiting = this.#waiting.filter(({ until }) => this.#lines < until)
  }

  async more(count) {
    const until = this.#lines + count
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the guest told no ${count} ticks in two minutes`)), BOOT_MS)
    })
    await Promise.race([new Promise((resolve) => this.#waiting.push({ until, resolve })), late])
    clearTimeout(timer)
  }
}

/** stopcopy's pair: its PC is booted and stands still. */
export async function openMachines({ options, memoryBytes, ticks }) {
  const console = new Console()
  const pair = [await openMachine(), await openMachine()]
  await pair[1].device.setState(STOP)
  let owner = 0
  await console.more(ticks)
  await pair[owner].device.setState(STOP)

  async function openMachine() {
    const machine = await createV86Machine({
      ...options,
      wasm,
      memoryBytes,
      vgaMemoryBytes: VGA_BYTES,
      onSerial: console.take,
    })
    const moments = { stopAt: 0, runAt: 0, beforeRun: () => {} }
    const { driver } = machine
    const transition = driver.transition.bind(driver)
    driver.transition = async (from, to, signal) => {
      if (to === STOP_COPY && from !== STOP) moments.stopAt = performance.now()
      const starts = from === STOP && (to === RUNNING || to === RUNNING_P2P)
      if (starts) moments.beforeRun()
      const end = await transition(from, to, signal)
      if (starts) moments.runAt = performance.now()
      return end
    }
    return { machine, moments, device: await VfioDevice.open(driver) }
  }

  return {
    console,
    run: () => pair[owner].device.setState(RUNNING),
    stop: () => pair[owner].device.setState(STOP),
    sendSerial: (bytes) => pair[owner].machine.sendSerial(bytes),
    async handOver() {
      const [source, target] = [pair[owner], pair[1 - owner]]
      const { port1, port2 } = new MessageChannel()
      let hashMs = 0
      let isEqual = false
      target.moments.beforeRun = () => {
        const startMs = performance.now()
        isEqual = sha256(source.machine.ram) === sha256(target.machine.ram)
        hashMs = performance.now() - startMs
      }
      const receiving = receive(target.device, messagePortDuplex(port2))
      const report = await migrate(source.device, messagePortDuplex(port1))
      await receiving
      target.moments.beforeRun = () => {}
      port1.close()
      owner = 1 - owner
      const { stopMs, drainMs } = report.phases
      const downtimeMs = target.moments.runAt - source.moments.stopAt - hashMs
      const { remainingBytes } = report.iterations.at(-1) ?? { remainingBytes: 0 }
      return { downtimeMs, isEqual, bytes: report.bytes, stopMs, drainMs, remainingBytes }
    },
    async close() {
      for (const { machine, device } of pair) {
        await device.close()
        await machine.destroy()
      }
    },
  }
}

/** An emulator's RAM; its own view of it is a proxy. */
function ramOf({ internals }) {
  const { mem8, wasm_memory: memory } = internals.core.cpu
  return new Uint8Array(memory.buffer, mem8.byteOffset, mem8.length)
}

/** v86's pair: its PC is booted and stands still. */
export async function openEmulators({ options, memoryBytes, ticks }) {
  const console = new Console()
  const sizes = { memoryBytes, vgaMemoryBytes: VGA_BYTES }
  const pair = [
    await loadEmulator({ ...options, wasm }, sizes),
    await loadEmulator({ ...options, wasm }, sizes),
  ]
  let owner = 0
  for (const { v86 } of pair) v86.add_listener('serial0-output-byte', console.take)
  await pair[owner].v86.run()
  await console.more(ticks)
  await pair[owner].v86.stop()
  return {
    console,
    run: () => pair[owner].v86.run(),
    stop: () => pair[owner].v86.stop(),
    sendSerial: (bytes) => pair[owner].v86.serial_send_bytes(0, bytes),
    async handOver() {
      const [source, target] = [pair[owner], pair[1 - owner]]
      const askedAt = performance.now()
      await source.v86.stop()
      const stopAt = performance.now()
      const { port1, port2 } = new MessageChannel()
      const arrived = new Promise((resolve) => port2.once('message', resolve))
      const state = await source.v86.save_state()
      const { byteLength } = state
      const savedAt = performance.now()
      port1.postMessage(state, [state])
      const received = await arrived
      const arrivedAt = performance.now()
      await target.v86.restore_state(received)
      const hashAt = performance.now()
      const isEqual = sha256(ramOf(source)) === sha256(ramOf(target))
      const hashMs = performance.now() - hashAt
      await target.v86.run()
      const downtimeMs = performance.now() - stopAt - hashMs
      port1.close()
      owner = 1 - owner
      return {
        downtimeMs,
        isEqual,
        bytes: byteLength,
        waitMs: stopAt - askedAt,
        saveMs: savedAt - stopAt,
        restoreMs: hashAt - arrivedAt,
      }
    },
    async close() {
      for (const { v86 } of pair) await v86.destroy()
    },
  }
}
