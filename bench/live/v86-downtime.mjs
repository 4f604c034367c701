/**
 * The demo's PC moved by stopcopy and by v86's own save and restore, in turn, through a MessageChannel in one
 * process. Needs a build, and for Linux the images of `demo/guest/build.sh`.
 *
 *   node bench/live/v86-downtime.mjs [case...] [--rounds 20] [--images demo/guest/out] [--json]
 *
 * A case is a guest, its MiB of RAM and, of Linux, what it does: boot:16, boot:64, linux:64:idle, linux:64:busy,
 * which are the four that run by default. What v86's own stop waits is told apart and in neither figure.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { closeLoader, openEmulators, openMachines, pause } from './v86-pairs.mjs'

const CASES = ['boot:16', 'boot:64', 'linux:64:idle', 'linux:64:busy']
/** What the medians' ratio may be at the most. */
const TARGETS = { boot: 0.5, linux: 0.25 }
/** How long a guest runs before it is moved. */
const RUN_MS = 300
const IMAGES = ['bios.bin', 'vgabios.bin', 'bzImage', 'guest.json']

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    images: { type: 'string', default: fileURLToPath(new URL('../../demo/guest/out', import.meta.url)) },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(flags.rounds)
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const say = (text) => (flags.json ? process.stderr : process.stdout).write(`${text}\n`)

/** The options of a guest's machine; undefined, with a word about it, where its images are not there. */
function guestOptions(guest) {
  if (guest === 'boot') return { options: {}, ticks: 20 }
  const missing = IMAGES.filter((name) => !existsSync(`${flags.images}/${name}`))
  if (missing.length > 0) {
    say(
      `linux: left out, ${flags.images} has no ${missing.join(', ')}; build it with demo/guest/build.sh or name its folder with --images`,
    )
    return undefined
  }
  const [bios, vgaBios, bzimage] = IMAGES.map(
    (name) => new Uint8Array(readFileSync(`${flags.images}/${name}`)),
  )
  const { commandLines } = JSON.parse(readFileSync(`${flags.images}/guest.json`, 'utf8'))
  return { options: { bios, vgaBios, bzimage, cmdline: commandLines.demo }, ticks: 10 }
}

/** The figures of one way. */
function figures(results) {
  const times = results.map(({ downtimeMs }) => downtimeMs)
  const medians = Object.fromEntries(
    Object.keys(results[0])
      .filter((name) => name !== 'isEqual')
      .map((name) => [name, median(results.map((each) => each[name]))]),
  )
  const equal = results.filter(({ isEqual }) => isEqual).length
  return {
    leastMs: Math.min(...times),
    mostMs: Math.max(...times),
    medians,
    equal,
    handOvers: results.length,
  }
}

async function measure(name) {
  const [guest, mebibytes, work = 'idle'] = name.split(':')
  const made = guestOptions(guest)
  if (made === undefined) return undefined
  const settings = { ...made, memoryBytes: Number(mebibytes) * 2 ** 20 }
  const ways = { stopcopy: await openMachines(settings), v86: await openEmulators(settings) }
  const results = { stopcopy: [], v86: [] }
  for (const way of Object.values(ways)) {
    await way.run()
    if (work === 'busy') way.sendSerial(new TextEncoder().encode('b'))
    await way.console.more(10)
    await way.stop()
  }
  for (let round = 0; round < rounds; round++)
    for (const [kind, way] of Object.entries(ways)) {
      await way.run()
      await pause(RUN_MS)
      results[kind].push(await way.handOver())
      await way.console.more(1)
      await way.stop()
    }
  for (const way of Object.values(ways)) await way.close()
  const [ours, own] = [figures(results.stopcopy), figures(results.v86)]
  const ratio = ours.medians.downtimeMs / own.medians.downtimeMs
  return { name, rounds, ratio, target: TARGETS[guest], stopcopy: ours, v86: own }
}

function line(who, { leastMs, mostMs, medians, equal, handOvers }, detail) {
  const time = `${medians.downtimeMs.toFixed(1).padStart(6)} ms (${leastMs.toFixed(1)} to ${mostMs.toFixed(1)})`
  const size = `${(medians.bytes / 1e6).toFixed(2)} MB in all`
  return `  ${who} ${time}, ${size}, ${detail}, RAM equal in ${equal} of ${handOvers}`
}

function show({ name, ratio, target, stopcopy, v86 }) {
  const { stopMs, drainMs, remainingBytes } = stopcopy.medians
  const { waitMs, saveMs, restoreMs } = v86.medians
  say(`${name}: ratio ${ratio.toFixed(2)}, at most ${target} wanted: ${ratio <= target ? 'met' : 'missed'}`)
  say(
    line(
      'stopcopy',
      stopcopy,
      `stop ${stopMs.toFixed(1)} ms, drain ${drainMs.toFixed(1)} ms, ${(remainingBytes / 1024).toFixed(0)} KiB left at the stop`,
    ),
  )
  say(
    line(
      'v86     ',
      v86,
      `save ${saveMs.toFixed(1)} ms, restore ${restoreMs.toFixed(1)} ms (and its own stop ${waitMs.toFixed(1)} ms)`,
    ),
  )
}

const all = []
for (const name of positionals.length > 0 ? positionals : CASES) {
  const result = await measure(name)
  if (result === undefined) continue
  all.push(result)
  show(result)
}
await closeLoader()
if (flags.json) process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`)
process.exit(0)
