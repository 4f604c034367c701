/**
 * `stopcopy conformance --socket PATH` and `stopcopy conformance DEVICE`.
 *
 * @module
 */

import { type Command, Option } from 'commander'
import { VfioError } from '../../errors.ts'
import type { ServerFacts, WireFinding } from '../../vfio-user/index.ts'
import { durationOption, ownDeviceArgument, socketOption } from '../arguments.ts'
import { type Check, ConformanceChecks } from '../conformance-checks.ts'
import { checkLines, count, serverLine, type Tally, tallyLine } from '../conformance-text.ts'
import { DeviceChecks } from '../device-checks.ts'
import type { OwnSpec } from '../device-spec.ts'
import { UsageError } from '../failure.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly socket?: readonly string[]
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
    .summary('what a device, or a vfio-user server, gets wrong')
    .description(
      'Check a device that a module of yours makes (or one of stopcopy) by the conformance suite of stopcopy, with failures that are injected into it. Or check a vfio-user server: raw messages first, right and wrong ones, then the suite over a client. Each check passes, fails, or does not apply; what a known server is known for is told as such. The device must be one that nobody needs: it is stopped, saved, loaded and reset.',
    )
    .addArgument(ownDeviceArgument('[device]'))
    .addOption(
      socketOption(
        'the UNIX socket of the server; again for a second device of the same kind, which some checks need',
      ),
    )
    .addOption(
      new Option('--only <text>', 'run the checks whose name has this in it; again for more').argParser(
        (text, texts?: readonly string[]) => [...(texts ?? []), text],
      ),
    )
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
  $ stopcopy conformance ./my-device.mjs
  $ stopcopy conformance --socket /run/device.sock
  $ stopcopy conformance -s /run/device.sock --only region --only irqs --verbose
  $ stopcopy conformance -s /run/one.sock -s /run/two.sock --json`,
    )
    .action((spec: OwnSpec | undefined, options: Options) => runConformance(spec, options, terminal))
}

async function runConformance(
  spec: OwnSpec | undefined,
  options: Options,
  terminal: Terminal,
): Promise<void> {
  checkOptions(spec, options)
  const { only, json } = options
  if (json) terminal.useJsonLines()
  const { signal } = terminal
  const checks = spec === undefined ? serverChecks(options, signal) : new DeviceChecks(spec, signal)
  try {
    if (checks instanceof DeviceChecks) tellDevice(await checks.facts(), options, terminal)
    else tellServer(options.socket?.[0] ?? '', await checks.facts(), options, terminal)
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
    conclude(tally, options.strict === true, checks.wasGone, spec === undefined ? 'server' : 'device')
  } finally {
    await checks.close()
  }
}

function serverChecks({ socket = [], timeout: timeoutMs }: Options, signal: AbortSignal): ConformanceChecks {
  return new ConformanceChecks({ paths: socket, timeoutMs, signal })
}

function checkOptions(
  spec: OwnSpec | undefined,
  { socket, readOnly, dangerous, strict, timeout }: Options,
): void {
  if ((spec === undefined) === (socket === undefined))
    throw new UsageError('Cannot check: name a device, or the --socket of a server')
  if (spec !== undefined && (readOnly || dangerous || strict))
    throw new UsageError(
      'Cannot check a device that is created here so: --read-only, --dangerous and --strict are for servers, leave them out',
    )
  if (timeout === 0) throw new UsageError('Cannot wait for an answer: --timeout must be above 0')
  if (readOnly && dangerous)
    throw new UsageError('Cannot only ask and be dangerous: leave out --read-only or --dangerous')
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

function conclude({ fail, known }: Tally, isStrict: boolean, wasGone: boolean, what: string): void {
  const failures = fail + (isStrict ? known : 0)
  const checks = failures === 1 ? '1 check fails' : `${failures} checks fail`
  const action = `Cannot call the ${what} conformant`
  if (wasGone) {
    const more = failures === 0 ? '' : `, and ${checks}`
    const reason = `it took no connection any more and checks were left out${more}`
    throw new VfioError('ENOTCONN', `${action}: ${reason}, see above and let it run on`)
  }
  if (failures > 0) throw new VfioError('EPROTO', `${action}: ${checks}, see above`)
}

function tellDevice(
  { name, options: device }: Awaited<ReturnType<DeviceChecks['facts']>>,
  { json }: Options,
  terminal: Terminal,
): void {
  if (json) terminal.json({ type: 'device', device })
  else terminal.print(`Checking ${name}, which is created anew for each check`)
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
