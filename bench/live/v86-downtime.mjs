/**
 * The demo's PC moved by stopcopy and by v86's own save and restore, in turn, through a MessageChannel in one
 * process: `node bench/live/v86-downtime.mjs [hand-overs] [MiB of RAM]`. Needs a build.
 *
 * Downtime is from the stopped machine to the other one's first step; what v86's own stop waits is told apart
 * and in neither figure. v86's state is transferred, not copied, which is the best that it can be given.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import { createServer } from 'vite'
import { DeviceState, migrate, receive, VfioDevice } from 'stopcopy'
import { messagePortDuplex } from 'stopcopy/web'

const root = fileURLToPath(new URL('../..', import.meta.url))
const [rounds = 20, mebibytes = 16] = process.argv.slice(2).map(Number)
const { RUNNING, RUNNING_P2P, STOP, STOP_COPY } = DeviceState
const wasm = new Uint8Array(readFileSync(`${root}node_modules/v86/build/v86.wasm`))
const vite = await createServer({
  root,
  configFile: false,
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  appType: 'custom',
  logLevel: 'error',
})
const load = (name) => vite.ssrLoadModule(`/demo/devices/v86/${name}.ts`)
const [{ createV86Machine }, { loadEmulator }] = [await load('index'), await load('emulator')]
const memoryBytes = mebibytes * 2 ** 20
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** A machine as a device, with the moments of its hand-over. */
async function openMachine() {
  const machine = await createV86Machine({ wasm, memoryBytes })
  const moments = { stopAt: 0, runAt: 0, beforeRun: () => {} }
  const { driver } = machine
  const transition = driver.transition.bind(driver)
  driver.transition = async (from, to, options) => {
    if (to === STOP_COPY && from !== STOP) moments.stopAt = performance.now()
    const starts = from === STOP && (to === RUNNING || to === RUNNING_P2P)
    if (starts) moments.beforeRun()
    const end = await transition(from, to, options)
    if (starts) moments.runAt = performance.now()
    return end
  }
  return { machine, moments, device: await VfioDevice.open(driver) }
}

/** How long the machine stood still, and whether what ran on was what had stopped. */
async function byStopcopy(source, target) {
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
  port1.close()
  return { downtimeMs: target.moments.runAt - source.moments.stopAt - hashMs, isEqual, report }
}

async function byV86(source, target) {
  const askedMs = performance.now()
  await source.v86.stop()
  const stopAt = performance.now()
  const { port1, port2 } = new MessageChannel()
  const arrived = new Promise((resolve) => port2.once('message', resolve))
  const state = await source.v86.save_state()
  const { byteLength } = state
  port1.postMessage(state, [state])
  await target.v86.restore_state(await arrived)
  const hashAt = performance.now()
  const rams = [source, target].map(({ internals }) => {
    const { mem8, wasm_memory: memory } = internals.core.cpu
    return sha256(new Uint8Array(memory.buffer, mem8.byteOffset, mem8.length))
  })
  const hashMs = performance.now() - hashAt
  await target.v86.run()
  const downtimeMs = performance.now() - stopAt - hashMs
  port1.close()
  return { downtimeMs, waitMs: stopAt - askedMs, isEqual: rams[0] === rams[1], byteLength }
}

const machines = [await openMachine(), await openMachine()]
await machines[1].device.setState(STOP)
const sizes = { memoryBytes, vgaMemoryBytes: 2 ** 21 }
const emulators = [await loadEmulator({ wasm }, sizes), await loadEmulator({ wasm }, sizes)]
await emulators[0].v86.run()
const ours = []
const own = []
for (let round = 0; round < rounds; round++) {
  const [from, to] = [round % 2, (round + 1) % 2]
  await pause(150)
  ours.push(await byStopcopy(machines[from], machines[to]))
  await pause(150)
  own.push(await byV86(emulators[from], emulators[to]))
}
const line = (name, results) => {
  const values = results.map(({ downtimeMs }) => downtimeMs)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const equal = results.filter(({ isEqual }) => isEqual).length
  console.log(
    `${name}: median ${median(values).toFixed(1)} ms, ${least.toFixed(1)} to ${most.toFixed(1)}; RAM equal in ${equal} of ${results.length}`,
  )
}
console.log(`boot sector, ${mebibytes} MiB, ${rounds} hand-overs each`)
line('stopcopy', ours)
line('v86     ', own)
const ratio = median(ours.map((each) => each.downtimeMs)) / median(own.map((each) => each.downtimeMs))
console.log(
  `ratio ${ratio.toFixed(2)}; v86's stop waited ${median(own.map((each) => each.waitMs)).toFixed(1)} ms`,
)
const { phases, bytes, iterations } = ours.at(-1).report
console.log(JSON.stringify({ phases, bytes, iterations: iterations.length, v86Bytes: own.at(-1).byteLength }))
await Promise.all([
  ...machines.map(async ({ machine, device }) => {
    await device.close()
    await machine.destroy()
  }),
  ...emulators.map(({ v86 }) => v86.destroy()),
])
await vite.close()
process.exit(0)
