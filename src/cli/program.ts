/**
 * The `stopcopy` command: its subcommands, its signals and its exit codes.
 *
 * @module
 */

import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { addConformance } from './commands/conformance.ts'
import { addDemo } from './commands/demo.ts'
import { addExplain } from './commands/explain.ts'
import { addPath } from './commands/path.ts'
import { addReceive } from './commands/receive.ts'
import { addResolve } from './commands/resolve.ts'
import { addRestore } from './commands/restore.ts'
import { addSave } from './commands/save.ts'
import { addSend } from './commands/send.ts'
import { addServe } from './commands/serve.ts'
import { addInspect, addVerify } from './commands/survey.ts'
import { MigrationError } from '../migrate/index.ts'
import { ExitCode, type Failure, failureLine, failureOf, InterruptedError, UsageError } from './failure.ts'
import { Interrupts } from './interrupts.ts'
import { ownedText } from './migration-text.ts'
import { Terminal } from './terminal.ts'

/**
 * Runs one command line, as after `stopcopy`.
 *
 * @returns the exit code: 0 done, 1 refused or failed, 2 wrong usage, 128 and the number of the signal
 */
export async function run(words: readonly string[]): Promise<number> {
  const interrupts = new Interrupts()
  const terminal = new Terminal(interrupts)
  process.stdout.on('error', onOutputError)
  try {
    await createProgram(terminal).parseAsync(words.length === 0 ? ['demo'] : words, { from: 'user' })
    return ExitCode.DONE
  } catch (error) {
    return tell(error, words.includes('--json'), terminal, interrupts)
  } finally {
    interrupts.dispose()
  }
}

function createProgram(terminal: Terminal): Command {
  const program = new Command('stopcopy')
    .description(
      'VFIO device migration: live from process to process, or through a checked stream that can be kept.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help, also of a command')
    .exitOverride()
    // Refusals are told in one place, by `tell`; commander throws them as well.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      `
Without a command, stopcopy runs the demo.

Exit codes: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong
usage, 130 and 143 interrupted.

Examples:
  $ stopcopy demo
  $ stopcopy receive --listen unix:/tmp/here
  $ stopcopy send bulk --dirty-rate 20000 --to unix:/tmp/here
  $ stopcopy receive ./my-device.mjs --listen unix:/tmp/here
  $ stopcopy save bulk --memory disk.img -o disk.stopcopy
  $ stopcopy verify disk.stopcopy
  $ stopcopy restore bulk disk.stopcopy --memory-out copy.img
  $ stopcopy serve mtty --socket /tmp/mtty.sock
  $ stopcopy conformance --socket /tmp/mtty.sock
  $ stopcopy explain ENOMSG`,
    )
  const commands = [
    addDemo,
    addSend,
    addReceive,
    addResolve,
    addSave,
    addRestore,
    addInspect,
    addVerify,
    addServe,
    addConformance,
    addPath,
    addExplain,
  ]
  for (const add of commands) add(program, terminal)
  return program
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Says why on stderr, in one line, and for a machine on stdout. */
function tell(error: unknown, asJson: boolean, terminal: Terminal, interrupts: Interrupts): number {
  if (error instanceof CommanderError) {
    // Help and version come this way as well.
    if (error.exitCode === 0) return ExitCode.DONE
    return usage(new UsageError(`${usageText(error)}; --help says how`), asJson, terminal)
  }
  if (error instanceof UsageError) return usage(error, asJson, terminal)
  // What is left of a migration is told in any case: who has the device.
  const report = error instanceof MigrationError ? error.report : undefined
  const json = (failure: Failure): void => {
    const type = terminal.hasJsonLines ? { type: 'error' } : {}
    if (asJson) terminal.json({ ...type, error: failure, ...(report === undefined ? {} : { report }) })
  }
  const owns = report === undefined ? '' : `; ${ownedText(report.owner)}`
  if (interrupts.exitCode !== undefined && report?.owner !== 'undecided') {
    const left = error instanceof InterruptedError ? `; ${failureOf(error).message}` : owns
    const message = `interrupted by ${interrupts.name}${left}`
    json({ code: 'EINTR', errno: -4, message })
    process.stderr.write(`stopcopy: ${message}\n`)
    return interrupts.exitCode
  }
  const failure = failureOf(error)
  const told = { ...failure, message: `${failure.message}${owns}` }
  json(told)
  // Whoever stopped reading the stream knows it.
  const isQuiet = failure.code === 'EPIPE' && terminal.hasLeftStdout
  if (!isQuiet) process.stderr.write(`${failureLine(told)}\n`)
  return ExitCode.FAILED
}

function usage(error: UsageError, asJson: boolean, terminal: Terminal): number {
  const failure = failureOf(error)
  if (asJson) terminal.json({ error: failure })
  process.stderr.write(`stopcopy: ${failure.message}\n`)
  return ExitCode.USAGE
}

/** What commander has to say; a parser of ours has said it better. */
function usageText({ message }: CommanderError): string {
  return message
    .replaceAll('\n', ' ')
    .replace(/^error: /, '')
    .replace(/^.* is invalid(?: for argument '[^']*')?\. (?=Cannot )/, '')
}

/** A reader that has seen enough, such as `head`, is no error of ours; a full disk is. */
function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return
  process.stderr.write(`${failureLine(failureOf(error))}\n`)
  process.exit(ExitCode.FAILED)
}
