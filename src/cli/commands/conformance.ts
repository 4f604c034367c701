/**
 * `stopcopy conformance --socket PATH`.
 *
 * @module
 */

import type { Command } from 'commander'
import { VfioError } from '../../errors.ts'
import type { ServerFacts, WireFinding } from '../../vfio-user/index.ts'
import { durationOption, socketOption } from '../arguments.ts'
import { type Check, ConformanceChecks } from '../conformance-checks.ts'
import { checkLines, count, serverLine, type Tally, tallyLine } from '../conformance-text.ts'
import { UsageError } from '../failure.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly socket: readonly string[]
  readonly only?: readonly string[]
  readonly readOnly?: true
  readonly dangerous?: true
  readonly strict?: true
  readonly timeout: number
  readonly verbose?: true
  readonly json?: true
}

/** Adds the command. */
export function addConformance(program: Command, terminal: Terminal): void {
  program
    .command('conformance')
    .summary('what a vfio-user server gets wrong')
    .description(
      'Check a vfio-user server: raw messages first, right and wrong ones, then the conformance suite of stopcopy over a client. Each check passes, fails, or does not apply; what a known server is known for is told as such. The device must be one that nobody needs: it is stopped, saved, loaded and reset.',
    )
    .addOption(
      socketOption(
        'the UNIX socket of the server; again for a second device of the same kind, which some checks need',
      ),
    )
    .option('--only <text...>', 'run the checks whose name has this in it')
    .option('--read-only', 'only ask: the device goes on unharmed')
    .option('--dangerous', 'also check what known servers die of')
    .option('--strict', 'known differences count as failures')
    .addOption(durationOption('--timeout <time>', 'wait so long for an answer', '5s'))
    .option('--verbose', 'tell rule, request and answer of every check')
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      `
Exit code 0: nothing fails but what a known server is known for. 1: something
does, or the server ended before the checks did.

Examples:
  $ stopcopy conformance --socket /run/device.sock
  $ stopcopy conformance -s /run/device.sock --only region --only irqs --verbose
  $ stopcopy conformance -s /run/one.sock -s /run/two.sock --json`,
    )
    .action((options: Options) => runConformance(options, terminal))
}

async function runConformance(options: Options, terminal: Terminal): Promise<void> {
  const { socket: paths, only, timeout: timeoutMs, json } = options
  if (timeoutMs === 0) throw new UsageError('Cannot wait for an answer: --timeout must be above 0')
  if (options.readOnly && options.dangerous)
    throw new UsageError('Cannot only ask and be dangerous: leave out --read-only or --dangerous')
  if (json) terminal.useJsonLines()
  const { signal } = terminal
  const checks = new ConformanceChecks({ paths, timeoutMs, signal })
  try {
    const facts = await checks.facts()
    tellServer(paths[0] ?? '', facts, options, terminal)
    const chosen = (await checks.list()).filter(({ name }) => isChosen(name, only))
    if (chosen.length === 0)
      throw new UsageError(`Cannot check: no check has "${only?.join('", "')}" in its name`)
    const tally: Tally = { pass: 0, fail: 0, known: 0, notApplicable: 0 }
    for (const check of chosen) {
      signal.throwIfAborted()
      const startMs = performance.now()
      const why = held(check, options)
      const finding: WireFinding =
        why === undefined ? await check.run() : { status: 'not applicable', reason: why }
      count(tally, finding)
      tellCheck(check, finding, performance.now() - startMs, options, terminal)
    }
    if (json) terminal.json({ type: 'summary', ...tally })
    else terminal.print(tallyLine(tally))
    conclude(tally, options.strict === true, checks.wasGone)
  } finally {
    await checks.close()
  }
}

function isChosen(name: string, only: readonly string[] | undefined): boolean {
  return only === undefined || only.some((text) => name.toLowerCase().includes(text.toLowerCase()))
}

/** Why a check is not run, unless it is. */
function held({ safety }: Check, { readOnly, dangerous }: Options): string | undefined {
  if (safety !== 'reads' && readOnly) return '--read-only: it changes the device'
  if (safety === 'dangerous' && dangerous === undefined)
    return 'a known server dies of it; --dangerous runs it'
  return undefined
}

function conclude({ fail, known }: Tally, isStrict: boolean, wasGone: boolean): void {
  const failures = fail + (isStrict ? known : 0)
  const checks = failures === 1 ? '1 check fails' : `${failures} checks fail`
  const action = 'Cannot call the server conformant'
  if (wasGone) {
    const more = failures === 0 ? '' : `, and ${checks}`
    const reason = `it took no connection any more and checks were left out${more}`
    throw new VfioError('ENOTCONN', `${action}: ${reason}, see above and let it run on`)
  }
  if (failures > 0) throw new VfioError('EPROTO', `${action}: ${checks}, see above`)
}

function tellServer(path: string, facts: ServerFacts, { json }: Options, terminal: Terminal): void {
  const url = `unix:${path}`
  if (!json) return terminal.print(serverLine(url, facts))
  const { version, isLibvfioUser, regions, irqs, migrationFlags, hasLogging, hasDma } = facts
  terminal.json({
    type: 'server',
    url,
    version,
    isLibvfioUser,
    regions,
    irqs,
    migrationFlags: migrationFlags ?? null,
    hasLogging,
    hasDma,
  })
}

function tellCheck(
  check: Check,
  finding: WireFinding,
  elapsedMs: number,
  { json, verbose }: Options,
  terminal: Terminal,
): void {
  const { name, rule, safety } = check
  if (json) {
    terminal.json({ type: 'check', name, rule, safety, ...finding, elapsedMs })
    return
  }
  const { colors, columns } = terminal
  terminal.print(checkLines(check, finding, { colors, columns, verbose: verbose === true }))
}
