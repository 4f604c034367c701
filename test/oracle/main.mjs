/**
 * `npm run oracle`: holds stopcopy's mtty against the mtty of a real Linux kernel, which runs in v86.
 *
 * @module
 */
import { Command } from 'commander'
import { startAgent } from './agent.mjs'
import { buildGuest, guestFacts } from './guest.mjs'
import { carry } from './parts/carry.mjs'
import { damaged } from './parts/damaged.mjs'
import { features } from './parts/features.mjs'
import { logging } from './parts/logging.mjs'
import { matrix } from './parts/matrix.mjs'
import { registers } from './parts/registers.mjs'
import { sessions } from './parts/sessions.mjs'
import { report } from './report.mjs'
import { runPart } from './run-part.mjs'

const PARTS = { matrix, features, logging, sessions, registers, carry, damaged }

const program = new Command('npm run oracle --')
  .description('Compares stopcopy with the VFIO code of a real Linux kernel, cell by cell. Build first; npm run oracle does.')
  .option('--only <part>', `one part: ${Object.keys(PARTS).join(', ')}; may be given again`, (name, all) => [...all, name], [])
  .option('--no-build', 'do not look whether the guest is up to date')
  .option('--json', 'every cell as JSON on standard output')
  .option('--matrix', 'print the request matrix in full')
  .exitOverride(({ code, exitCode }) => process.exit(code.startsWith('commander.help') ? exitCode : 2))
  .parse()
const { only, build, json = false, matrix: showMatrix = false } = program.opts()

const unknown = only.find((name) => PARTS[name] === undefined)
if (unknown !== undefined) {
  console.error(`Cannot run part "${unknown}": there is none, choose from ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}

const progress = (text) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text.slice(0, process.stderr.columns - 1)}`)
}

try {
  if (build) buildGuest()
  const started = performance.now()
  progress('booting Linux in v86 ...')
  const agent = await startAgent()
  const cells = []
  try {
    for (const name of only.length > 0 ? only : Object.keys(PARTS)) {
      cells.push(...(await runPart(PARTS[name], agent, (current) => progress(`${name}: ${current}`))))
    }
  } finally {
    await agent.stop()
    progress('')
  }
  const run = {
    linux: guestFacts().linux,
    bootMs: Math.round(agent.bootMs),
    kernelCalls: agent.calls,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    cells,
  }
  if (json) console.log(JSON.stringify(run, undefined, 1))
  else console.log(report(run, { showMatrix }))
  process.exitCode = cells.every(({ verdict }) => verdict === 'equal' || verdict === 'named') ? 0 : 1
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
