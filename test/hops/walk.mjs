/**
 * One running guest, the boot-sector PC, goes Node -> Deno -> Bun -> Node -> browser, between real processes that have
 * the packed package; a line for each hop. What a machine lacks is left out by name, but not in CI.
 *
 * A hop holds when the guest's ticks on COM1 go on where they stopped, byte by byte, and the RAM that stopped is the
 * RAM that started. A random note that only the first process was told is found in the last one's RAM.
 */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { importMap } from '../runtime/installed-folder.mjs'
import { color } from '../runtime/lines.mjs'
import { startPage, startProcess, versionIn } from './stops.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const here = join(root, 'test/hops')
/** The way, and what carries the guest to each stop. A page can only call, so the source listens everywhere. */
const WAY = [
  { name: 'node' },
  { name: 'deno', transport: 'tcp' },
  { name: 'bun', transport: 'ws' },
  { name: 'node', transport: 'tcp' },
  { name: 'chromium', transport: 'ws' },
]
/** How many ticks the guest tells at each stop, 50 a second, before it goes on. */
const STAY_TICKS = 30
const NOTE_BYTES = 32
const NO_NOTE = '0'.repeat(2 * NOTE_BYTES)

/** Throws unless both are the same value. */
function expectSame(what, got, expected) {
  if (!Object.is(got, expected)) throw new Error(`${what}: expected ${expected}, got ${got}`)
}

/** Station and v86, in a file each for processes and the page; the package is imported. Returns their folder. */
async function buildStations(installed) {
  const folder = join(installed, 'hops')
  await build({
    root: here,
    configFile: false,
    logLevel: 'error',
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'es2022',
      minify: false,
      lib: {
        entry: { 'command-line': join(here, 'command-line.mjs'), page: join(here, 'page.mjs') },
        formats: ['es'],
      },
      rollupOptions: { external: [/^stopcopy(?:\/|$)/, /^node:/] },
    },
  })
  copyFileSync(join(root, 'node_modules/v86/build/v86.wasm'), join(folder, 'v86.wasm'))
  const page = readFileSync(join(here, 'page.html'), 'utf8')
  writeFileSync(join(folder, 'page.html'), page.replace('<!-- import map -->', importMap(installed, '..')))
  return folder
}

/** Starts a stop and sees that it is what it should be. */
async function start(name, command, folder) {
  const stop = await (name === 'chromium' ? startPage(command, folder) : startProcess(name, command, folder))
  try {
    const who = await stop.call('identify')
    const version = versionIn(
      execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    )
    expectSame('who it says it is', `${who.name} ${who.version}`, `${name} ${version}`)
    return { ...stop, title: `${name} ${version}`, pid: who.pid }
  } catch (error) {
    await stop.end()
    throw error
  }
}

/** As the guest tells it. */
function line(tick) {
  return tick.toString(16).toUpperCase().padStart(8, '0')
}

/** Sees that ticks follow each other from 1, one a line; the last line may not be whole yet. Returns the last. */
function lastTick(log) {
  const lines = log.split('\n')
  const rest = lines.pop()
  for (const [index, text] of lines.entries()) expectSame('line on COM1', text, line(index + 1))
  expectSame('what follows on COM1', rest, line(lines.length + 1).slice(0, rest.length))
  return lines.length
}

/** One hop; `before` is what the guest said until now. Returns what it has said afterwards. */
async function hop(from, to, transport, before) {
  for (const found of await to.call('notes')) expectSame('before the guest comes', found, NO_NOTE)
  const url = await from.call('offer', transport, to.origin === undefined ? [] : [to.origin])
  const [arrived, left] = await Promise.all([to.call('take', url), from.call('given')])
  await to.call('hear', STAY_TICKS)
  const until = before + (await from.call('log'))
  const told = lastTick(until)
  const goesOn = lastTick(until + (await to.call('log')))
  expectSame('owner by the source', left.owner, 'destination')
  expectSame('owner by the destination', arrived.owner, 'destination')
  expectSame('the source stopped', left.isStopped, true)
  expectSame('tick in the RAM that starts', arrived.tick, left.tick)
  expectSame('RAM that starts', arrived.ramHash, left.ramHash)
  const downtime = (left.downtimeMs - arrived.copyMs).toFixed(1)
  const columns = [
    `${from.title} -> ${to.title}`.padEnd(44),
    transport.padEnd(3),
    `down ${downtime.padStart(5)} ms`,
    `ticks to ${told}, on to ${goesOn}`.padEnd(24),
    `RAM ${left.ramHash.slice(0, 12)}`,
    `${(left.bytes / 1e6).toFixed(1)} MB in ${left.iterations} passes`,
  ]
  console.log(color('green', `✔ ${columns.join('  ')}`))
  return until
}

/** The walk over all stops. */
async function walk(way, stops) {
  const note = randomBytes(NOTE_BYTES).toString('hex')
  await stops[0].call('begin', note)
  await stops[0].call('hear', STAY_TICKS)
  let said = ''
  for (const [index, { transport }] of way.entries()) {
    if (index === 0) continue
    const [from, to] = [stops[index - 1], stops[index]]
    said = await hop(from, to, transport, said).catch((error) => {
      throw new Error(`${from.title} -> ${to.title}: ${error.message}`, { cause: error })
    })
  }
  const last = stops.at(-1)
  // The whole way once more: a stop that let the guest run on would have heard more of it meanwhile.
  const logs = []
  for (const stop of stops) logs.push(await stop.call('log'))
  const ticks = lastTick(logs.join(''))
  for (const stop of stops)
    expectSame(`${stop.title} is stopped`, await stop.call('isStopped'), stop !== last)
  for (const found of await last.call('notes')) expectSame('note at the end', found, note)
  const { missing } = await last.call('ownLog')
  expectSame("tick that is missing in the guest's own log", missing, undefined)
  for (const stop of stops) expectSame(`complaints of ${stop.title}`, stop.complaint(), '')
  return ticks
}

/**
 * Walks the whole way, and says how it went.
 *
 * @param installed - a folder with the package in it; what the walk needs goes into a folder `hops` of it
 * @param commands - by name, of the runtimes that are here
 */
export async function walkGuest(installed, commands) {
  const started = performance.now()
  const stops = []
  try {
    const folder = await buildStations(installed)
    const way = WAY.filter(({ name }) => commands.has(name))
    for (const { name } of way) stops.push(await start(name, commands.get(name), folder))
    const pids = stops.flatMap(({ pid }) => pid ?? [])
    expectSame('processes', new Set(pids).size, pids.length)
    const ticks = await walk(way, stops)
    for (const stop of stops) await stop.call('close')
    const names = way.map(({ name }) => name).join(' -> ')
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    console.log(
      color('green', `✔ ${names}: one guest, ${ticks} ticks without a gap, its note found; ${seconds} s`),
    )
  } catch (error) {
    process.exitCode = 1
    console.log(color('red', `✘ ${error.message}`))
  } finally {
    for (const stop of stops) await stop.end()
  }
}
