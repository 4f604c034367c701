/**
 * `npm run oracle`: holds stopcopy's mtty against the mtty of a real Linux kernel, which runs in v86.
 *
 * @module
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { FdTable, VfioDevice, VfioError } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { startAgent } from './agent.mjs'
import { buildGuest, guestFacts } from './guest.mjs'
import { openKernelCard } from './kernel-card.mjs'
import { PARTS } from './parts/index.mjs'
import { formatRecording } from './recording.mjs'
import { report } from './report.mjs'
import { runPart } from './run-part.mjs'
import { stopcopyCards } from './stopcopy-card.mjs'

const RECORDING = fileURLToPath(new URL('../golden/mtty/linux-6.12-answers.txt', import.meta.url))
const NAMES = Object.keys(PARTS)

const program = new Command('npm run oracle --')
  .description('Compares stopcopy with the VFIO code of a real Linux kernel, cell by cell.')
  .option(
    '--only <part>',
    `only this part, one of ${NAMES.join(', ')}; may be given again`,
    (name, all) => [...all, name],
    [],
  )
  .option('--no-build', 'do not look whether the guest is up to date')
  .option('--matrix', 'print the request matrix in full')
  .option('--json', 'every cell as JSON on standard output')
  .option(
    '--record',
    `keep the kernel's answers for npm test: ${RECORDING.slice(RECORDING.indexOf('test/'))}`,
  )
  .exitOverride(({ code, exitCode }) => process.exit(code.startsWith('commander.help') ? exitCode : 2))
  .parse()
const { only, build, json = false, matrix: showMatrix = false, record = false } = program.opts()

const unknown = only.find((name) => !NAMES.includes(name))
if (unknown !== undefined) {
  console.error(`Cannot run part "${unknown}": there is none, choose from ${NAMES.join(', ')}`)
  process.exit(2)
}
if (record && only.length > 0) {
  console.error('Cannot record a part alone: the recording holds all of them, leave --only out')
  process.exit(2)
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text.slice(0, process.stderr.columns - 1)}`)
}

async function run() {
  if (build) buildGuest()
  const { linux } = guestFacts()
  const started = performance.now()
  progress('booting Linux in v86 ...')
  const agent = await startAgent()
  const openKernel = (options) => openKernelCard(agent, options)
  const openStopcopy = stopcopyCards({ FdTable, VfioDevice, VfioError, createMtty })
  const cells = []
  try {
    for (const name of only.length > 0 ? only : NAMES) {
      cells.push(
        ...(await runPart(PARTS[name], openKernel, openStopcopy, (test) => progress(`${name}: ${test}`))),
      )
    }
  } finally {
    await agent.stop()
    progress('')
  }
  const seconds = Math.round((performance.now() - started) / 100) / 10
  return { linux, bootMs: Math.round(agent.bootMs), kernelCalls: agent.calls, seconds, cells }
}

try {
  const result = await run()
  if (record) writeFileSync(RECORDING, formatRecording(result))
  console.log(json ? JSON.stringify(result, undefined, 1) : report(result, { showMatrix }))
  process.exitCode = result.cells.some(({ verdict }) => verdict === 'unnamed' || verdict === 'vanished')
    ? 1
    : 0
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
