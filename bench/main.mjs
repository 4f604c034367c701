/**
 * `npm run bench`: measures stopcopy beside its rivals and says which targets it reaches.
 *
 * Each group of cases runs in a process of its own, one after the other, so that nothing else runs on the
 * machine's other core but what the group itself starts.
 *
 * @module
 */
import { fork } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import cliProgress from 'cli-progress'
import { Command, InvalidArgumentError } from 'commander'
import { groups } from './groups/index.mjs'
import { compareRuns, formatComparison } from './harness/compare.mjs'
import { environment } from './harness/environment.mjs'
import { plotThroughput } from './harness/plot.mjs'
import { publish } from './harness/publish.mjs'
import { markdown } from './harness/report.mjs'
import { wanted } from './harness/rounds.mjs'

const RESULTS = fileURLToPath(new URL('results', import.meta.url))

const program = new Command('npm run bench --')
  .description('Measures stopcopy beside its rivals. Build first; npm run bench does.')
  .option('--quick', 'smaller sizes and few rounds, under a minute: a look, no results')
  .option(
    '--only <name>',
    'only groups or cases whose name begins so; may be given again',
    (name, all) => [...all, name],
    [],
  )
  .option('--rounds <count>', 'rounds of every group', wholeNumber)
  .option('--compare <file>', 'say what changed since the run in this JSON file')
  .option('--output <folder>', 'where latest.json, latest.md and latest.svg go', RESULTS)
  .option('--assert', 'exit 1 when a target is missed')
  .option('--publish', 'keep the run: results/<date>-<cpu>.json, throughput.svg and the tables of README.md')
  .addHelpText('after', `\nGroups: ${Object.keys(groups).join(', ')}`)
  .exitOverride(({ code, exitCode }) => process.exit(code.startsWith('commander.help') ? exitCode : 2))
  .parse()
const { quick = false, only, compare, rounds, output } = program.opts()

if (program.opts().publish === true && (quick || only.length > 0)) {
  console.error('Cannot publish: a quick run or a part of one is no result, leave --quick and --only out')
  process.exit(2)
}
const chosen = await chooseGroups(only)
const before = compare === undefined ? undefined : readRun(compare)
const run = { version: 1, date: new Date().toISOString(), quick, environment: environment(), groups: [] }
const bar = new cliProgress.SingleBar({
  format: '{bar} {percentage} % | {group}: {label}',
  noTTYOutput: false,
  hideCursor: true,
  stream: process.stderr,
})
bar.start(
  chosen.reduce((total, { name }) => total + groups[name].seconds, 0),
  0,
  { group: '', label: '' },
)
try {
  let passed = 0
  for (const { name, cases } of chosen) {
    const { seconds } = groups[name]
    if (!process.stderr.isTTY) console.error(`${name} ...`)
    const step = ({ label, share }) => bar.update(passed + share * seconds, { group: name, label })
    run.groups.push(await runGroup({ name, quick, only: cases, rounds }, step))
    passed += seconds
  }
} catch (error) {
  // Gives the cursor back.
  bar.stop()
  console.error(error.message)
  process.exit(1)
}
bar.stop()

mkdirSync(output, { recursive: true })
const report = markdown(run)
writeFileSync(`${output}/latest.json`, `${JSON.stringify(run)}\n`)
writeFileSync(`${output}/latest.md`, `${report}\n`)
const plot = plotOf(run)
if (plot !== undefined) writeFileSync(`${output}/latest.svg`, plot)
console.log(`${report}\n`)
if (before !== undefined) console.log(`${formatComparison(compareRuns(before, run))}\n`)
if (program.opts().publish === true)
  for (const path of await publish(run, plot, RESULTS)) console.log(`wrote ${path}`)
const missed = run.groups.flatMap(({ targets }) => targets).filter(({ met }) => met === false)
if (program.opts().assert === true && missed.length > 0) process.exitCode = 1

/** The plot of a run; undefined when it did not measure all that the plot shows. */
function plotOf({ date, environment: at, groups: ran }) {
  const group = ran.find(({ name }) => name === 'throughput')
  if (group === undefined || (only.length > 0 && !wanted('throughput', only))) return undefined
  return plotThroughput(
    group,
    `${date.slice(0, 10)}, ${at.cpu}, Node ${at.node}. Higher is better; numbers are multiples of Buffer.copy at that size.`,
  )
}

/** The first of many. */
function shortList(names) {
  return names.length > 6 ? `${names.slice(0, 5).join('; ')}; ... (${names.length} cases)` : names.join('; ')
}

/** Groups by name, or with cases of that name; exits 2 with the names there are when one fits nothing. */
async function chooseGroups(prefixes) {
  const all = []
  for (const [name, group] of Object.entries(groups)) all.push({ name, names: (await group.load()).names })
  for (const prefix of prefixes) {
    if (all.some(({ name, names }) => wanted(name, [prefix]) || names.some((each) => wanted(each, [prefix]))))
      continue
    const list = all.map(({ name, names }) => `  ${name}: ${shortList(names)}`)
    console.error(`Cannot run "${prefix}": no group or case begins so, use one of\n${list.join('\n')}`)
    process.exit(2)
  }
  return all
    .map(({ name, names }) => {
      const cases = prefixes.filter((prefix) => names.some((each) => wanted(each, [prefix])))
      return {
        name,
        cases: wanted(name, prefixes) ? [] : cases,
        runs: wanted(name, prefixes) || cases.length > 0,
      }
    })
    .filter(({ runs }) => runs)
}

/** Runs a group in its own process. */
function runGroup(options, step) {
  const script = fileURLToPath(new URL('group-process.mjs', import.meta.url))
  const child = fork(script, [JSON.stringify(options)], { execArgv: ['--expose-gc'] })
  return new Promise((resolve, reject) => {
    let result
    child.on('message', (message) => {
      if (message.step !== undefined) step(message.step)
      else ({ result } = message)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (result !== undefined && code === 0) resolve(result)
      else
        reject(
          new Error(`Cannot measure ${options.name}: its process ended with ${signal ?? code}, see above`),
        )
    })
  })
}

function readRun(path) {
  try {
    const old = JSON.parse(readFileSync(path, 'utf8'))
    if (old.version === 1) return old
    throw new Error(`its version is ${old.version}, not 1`)
  } catch (error) {
    console.error(`Cannot compare with ${path}: ${error.message}`)
    return process.exit(2)
  }
}

function wholeNumber(text) {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('use a number from 1 to 9999')
}
