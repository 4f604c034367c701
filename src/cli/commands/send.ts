/**
 * `stopcopy send DEVICE --to URL`.
 *
 * @module
 */

import { type Command, Option } from 'commander'
import { VfioError } from '../../errors.ts'
import { migrate, MigrationError, type MigrateEvent, type MigrateReport } from '../../migrate/index.ts'
import { byteRateOption, countOption, deviceArgument, durationOption, urlOption } from '../arguments.ts'
import type { DeviceSpec } from '../device-spec.ts'
import { failureLine, failureOf, UsageError } from '../failure.ts'
import { MigrationTimeline } from '../migration-timeline.ts'
import { SourceBar } from '../migration-bar.ts'
import { sourceLines } from '../migration-text.ts'
import { type OpenedDevice, openNamed } from '../open-device.ts'
import { writeText } from '../write-text.ts'
import { pause } from '../pause.ts'
import { Route } from '../sending-end.ts'
import type { Terminal } from '../terminal.ts'
import { TicketFile } from '../ticket-file.ts'
import { plotTimeline } from '../timeline-plot.ts'
import { clientTls, type ClientTlsFiles, tlsOptions } from '../tls-files.ts'
import { checkWorkload, workloadOf, type WorkloadOptions, workloadOptions } from '../workload-options.ts'

interface Options extends ClientTlsFiles, WorkloadOptions {
  readonly to: string
  readonly runFor: number
  readonly downtimeLimit: number
  readonly bandwidthLimit?: number
  readonly connections: number
  readonly maxIterations: number
  readonly timeout?: number
  readonly onNonConverging: 'switch' | 'abort'
  readonly onDowntimeExceeded: 'continue' | 'abort'
  readonly autoConverge?: true
  readonly precopy: boolean
  readonly ticket?: string
  readonly resolveFor: number
  readonly plot?: string
  readonly json?: true
}

const MAX_CONNECTIONS = 64
const MAX_ITERATIONS = 1_000_000

/** Adds the command. */
export function addSend(program: Command, terminal: Terminal): void {
  const command = program
    .command('send')
    .summary('a live device to another process')
    .description(
      'Create a device, have a module of yours make one, or take the one of a vfio-user server, let it work, and migrate it to a stopcopy that receives: it works on while its state is sent, and stops for the last of it. Never do both ends run.',
    )
    .addArgument(deviceArgument())
    .addOption(urlOption('-t, --to <url>', 'where it listens, as receive prints it'))
  for (const option of workloadOptions()) command.addOption(option)
  command
    .addOption(durationOption('--run-for <time>', 'let the device run before it is sent', '0'))
    .addOption(
      durationOption(
        '--downtime-limit <time>',
        'stop the device when it is expected to take so long',
        '300ms',
      ),
    )
    .addOption(byteRateOption('--bandwidth-limit <rate>', 'such as 1GB/s; it holds in the downtime, too'))
    .addOption(countOption('--connections <n>', 'carry the data over so many', 1, MAX_CONNECTIONS).default(1))
    .addOption(
      countOption(
        '--max-iterations <n>',
        'passes until it counts as not converging',
        1,
        MAX_ITERATIONS,
      ).default(30),
    )
    .addOption(durationOption('--timeout <time>', 'pre-copy until it counts as not converging'))
    .addOption(
      new Option('--on-non-converging <action>', 'what to do then')
        .choices(['switch', 'abort'])
        .default('switch'),
    )
    .addOption(
      new Option('--on-downtime-exceeded <action>', 'when the limit has passed before COMMIT')
        .choices(['continue', 'abort'])
        .default('continue'),
    )
    .option('--auto-converge', 'slow the device down while it dirties too fast')
    .option('--no-precopy', 'stop the device first')
  for (const option of tlsOptions()) command.addOption(option)
  command
    .option('--ticket <file>', 'keep the ticket of an undecided hand-over here')
    .addOption(durationOption('--resolve-for <time>', 'ask again about an undecided hand-over', '10s'))
    .option('--plot <file>', 'draw it: an SVG of what was left and dirtied over time')
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      `
Exit code 0: the destination runs the device. 1: it does not; stderr says who.

Examples:
  $ stopcopy send bulk:size=512MiB --dirty-rate 20000 --to unix:/tmp/here
  $ stopcopy send bulk -m disk.img --to tcp:127.0.0.1:4711 --downtime-limit 50ms
  $ stopcopy send ./my-device.mjs --to ws:127.0.0.1:4281/take
  $ stopcopy send vfio-user:/run/device.sock --to unix:/tmp/here
  $ stopcopy send mtty --to tls:host:4711 --ca ca.pem --cert c.pem --key k.pem`,
    )
    .action((spec: DeviceSpec, options: Options) => new Send(spec, options, terminal).run())
}

class Send {
  readonly #spec: DeviceSpec
  readonly #options: Options
  readonly #terminal: Terminal
  readonly #bar: SourceBar = new SourceBar()
  readonly #ticket: TicketFile | undefined
  readonly #timeline: MigrationTimeline = new MigrationTimeline()
  #release: (() => void) | undefined

  constructor(spec: DeviceSpec, options: Options, terminal: Terminal) {
    checkOptions(spec, options)
    this.#spec = spec
    this.#options = options
    this.#terminal = terminal
    if (options.json) terminal.useJsonLines()
    this.#ticket = options.ticket === undefined ? undefined : new TicketFile(options.ticket)
    this.#ticket?.checkUnused()
  }

  async run(): Promise<void> {
    const { signal } = this.#terminal
    const { to } = this.#options
    const route = new Route(to, await clientTls(this.#options))
    const opened = await openNamed(this.#spec, this.#options.memory, workloadOf(this.#options), signal)
    try {
      await pause(this.#options.runFor, signal)
      const report = await this.#migrate(opened, route).finally(() => this.#bar.stop())
      this.#timeline.report = report
      const at = opened.describe?.()
      if (this.#options.json) this.#terminal.json({ type: 'report', device: opened.options, at, to, report })
      else this.#terminal.print(sourceLines(report, opened.name, to, this.#terminal.colors, at))
      const { plot } = this.#options
      if (plot !== undefined) await toldOnly(writeText(plot, plotTimeline(this.#timeline, opened.name)))
    } finally {
      this.#release?.()
      await opened.close()
    }
  }

  async #migrate(opened: OpenedDevice, route: Route): Promise<MigrateReport> {
    const { signal } = this.#terminal
    const { downtimeLimit, bandwidthLimit, maxIterations, timeout, connections } = this.#options
    const { onNonConverging, onDowntimeExceeded, autoConverge, precopy, json } = this.#options
    const duplexes = await route.connect(connections, signal)
    const report = await migrate(opened.device, duplexes, {
      signal,
      downtimeLimitMs: downtimeLimit,
      bandwidthLimit,
      maxIterations,
      timeoutMs: timeout,
      onNonConverging,
      onDowntimeExceeded,
      autoConverge: autoConverge === true,
      precopy,
      onEvent: (event) => this.#onEvent(event),
      onProgress: (progress) => {
        this.#bar.update(progress)
        this.#timeline.onProgress(progress)
        if (json) this.#terminal.json({ type: 'progress', ...progress })
      },
    })
    return report.ticket === undefined ? report : this.#settle(report, route)
  }

  #onEvent(event: MigrateEvent): void {
    // From COMMIT on the ticket may be all that is left: it must be told.
    if (event.type === 'phase' && event.phase === 'commit') this.#release = this.#terminal.hold()
    this.#timeline.onEvent(event)
    if (this.#options.json) this.#terminal.json(event)
  }

  /** The connection broke after COMMIT: the ends meet again, or the ticket is what is left. */
  async #settle(report: MigrateReport, route: Route): Promise<MigrateReport> {
    const { ticket, undecidedBecause = 'the connection broke' } = report
    if (ticket === undefined) return report
    await this.#ticket?.keep(ticket)
    const owner = await route.resolve(ticket, this.#options.resolveFor, this.#terminal.signal)
    const first = new VfioError('EIO', `Cannot tell who runs the device: ${undecidedBecause}`)
    if (owner !== 'undecided') await toldOnly(this.#ticket?.keep(undefined))
    if (owner === 'destination') return { ...report, owner }
    if (owner === 'source')
      throw new MigrationError(first, 'the destination discarded it', { ...report, owner })
    if (!this.#options.json) this.#terminal.print(JSON.stringify(ticket))
    const saved = this.#ticket === undefined ? 'which is on stdout' : `which is in ${this.#ticket.path}`
    throw new MigrationError(first, `ask again with the ticket, ${saved}`, report)
  }
}

/** What fails once it is settled who runs the device: the exit code must go on telling that. */
async function toldOnly(work: Promise<void> | undefined): Promise<void> {
  try {
    await work
  } catch (error) {
    process.stderr.write(`${failureLine(failureOf(error))}\n`)
  }
}

function checkOptions(spec: DeviceSpec, options: Options): void {
  checkWorkload(spec, options)
  if (options.downtimeLimit === 0 || options.timeout === 0)
    throw new UsageError('Cannot migrate in no time: --downtime-limit and --timeout must be above 0')
}
