/**
 * `stopcopy receive --listen URL [DEVICE]`.
 *
 * @module
 */

import type { Command } from 'commander'
import { VfioError } from '../../errors.ts'
import type { ReceiveProgress } from '../../migrate/index.ts'
import { fileSink, type Listener, listen, type TlsOptions } from '../../node/index.ts'
import { isWebSocketUrl, parseTransportUrl } from '../../node/transport-url.ts'
import { DeviceState } from '../../uapi/state.ts'
import {
  checkMaxMemory,
  deviceArgument,
  durationOption,
  MAX_MEMORY_BYTES,
  maxMemoryOption,
  originOption,
  urlOption,
} from '../arguments.ts'
import { storeMemory } from '../device-memory.ts'
import { loadDeviceModule } from '../device-module.ts'
import { type DeviceSpec, noMemory } from '../device-spec.ts'
import { type Failure, failureLine, failureOf, UsageError } from '../failure.ts'
import { DestinationBar } from '../migration-bar.ts'
import { destinationLines } from '../migration-text.ts'
import type { OpenedDevice } from '../open-device.ts'
import { pause } from '../pause.ts'
import { withProgress } from '../progress.ts'
import { type Arrival, ReceivingEnd } from '../receiving-end.ts'
import { isStdio } from '../stdio.ts'
import type { Terminal } from '../terminal.ts'
import { TicketFile } from '../ticket-file.ts'
import { readTls, type TlsFiles } from '../tls-files.ts'

interface Options extends TlsFiles {
  readonly listen: string
  readonly allowRemote?: true
  readonly allowOrigin?: readonly string[]
  readonly mutual?: true
  readonly maxMemory?: number
  readonly ticket?: string
  readonly readyTimeout: number
  readonly idleTimeout: number
  readonly runFor: number
  readonly memoryOut?: string
  readonly keep?: true
  readonly json?: true
}

/** A source that was cut off after COMMIT may ask again, for so long at least. */
const CUT_MS = 10_000

/** Whether the connection ended by neither end's will: the source may not know that the device runs here. */
function wasCut({ aborted, reason }: AbortSignal): boolean {
  return aborted && !VfioError.is(reason, 'ENOTCONN') && !VfioError.is(reason, 'ECANCELED')
}

/** Adds the command. */
export function addReceive(program: Command, terminal: Terminal): void {
  program
    .command('receive')
    .summary('a live device from another process')
    .description(
      'Wait for a device that another stopcopy sends, and run it. Prints the URL it listens on first. A peer that is refused or breaks off costs one line on stderr, and the next one can come. A module of yours is asked for a device by what is offered, and may refuse it. A device of a vfio-user server runs there on; whether it outlives this command is up to the server.',
    )
    .addArgument(deviceArgument('[device]'))
    .addOption(
      urlOption('-l, --listen <url>', 'unix:PATH, tcp:HOST:PORT, tls:HOST:PORT or ws:HOST:PORT/PATH'),
    )
    .option('--allow-remote', 'let other machines in that prove nothing (tcp:, ws:)')
    .addOption(originOption())
    .option('--cert <file>', 'certificate of this end, PEM (tls:, wss:)')
    .option('--key <file>', 'key of the certificate, PEM')
    .option('--mutual', 'ask sources for a certificate that --ca has signed')
    .option('--ca <file>', 'who may sign the certificates of sources, PEM')
    .addOption(maxMemoryOption())
    .option('--ticket <file>', 'keep the ticket of a hand-over here until it is settled')
    .addOption(durationOption('--ready-timeout <time>', 'wait for COMMIT, then reset the device', '60s'))
    .addOption(durationOption('--idle-timeout <time>', 'give up a source that sends nothing', '30s'))
    .addOption(durationOption('--run-for <time>', 'let the device run, before the end of the command', '0'))
    .option('-m, --memory-out <file>', 'then stop it and write its memory here (bulk)')
    .option('--keep', 'serve one migration after another; each device replaces the last')
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy receive --listen unix:/tmp/here
  $ stopcopy receive --listen tcp:127.0.0.1:4711 --keep --run-for 5s
  $ stopcopy receive bulk -l unix:/tmp/here --memory-out copy.img
  $ stopcopy receive vfio-user:/run/device.sock -l unix:/tmp/here
  $ stopcopy receive ./my-device.mjs -l ws:127.0.0.1:4281/take --keep \\
      --allow-origin http://127.0.0.1:4280
  $ stopcopy receive -l tls:0.0.0.0:4711 --cert c.pem --key k.pem \\
      --ca ca.pem --mutual`,
    )
    .action((spec: DeviceSpec | undefined, options: Options) => new Receive(spec, options, terminal).run())
}

class Receive {
  readonly #spec: DeviceSpec | undefined
  readonly #options: Options
  readonly #terminal: Terminal
  readonly #bar: DestinationBar = new DestinationBar()
  readonly #end: ReceivingEnd
  #ran: OpenedDevice | undefined

  constructor(spec: DeviceSpec | undefined, options: Options, terminal: Terminal) {
    checkOptions(spec, options)
    this.#spec = spec
    this.#options = options
    this.#terminal = terminal
    if (options.json) terminal.useJsonLines()
    const ticket = options.ticket === undefined ? undefined : new TicketFile(options.ticket)
    ticket?.checkUnused()
    this.#end = new ReceivingEnd({
      spec: this.#spec,
      maxMemory: options.maxMemory ?? MAX_MEMORY_BYTES,
      receive: {
        signal: terminal.signal,
        readyTimeoutMs: options.readyTimeout,
        idleTimeoutMs: options.idleTimeout,
        ...(ticket === undefined ? {} : { onTicket: ticket.keep }),
      },
      onOffer: ({ options: device }, peer) => this.#json({ type: 'offer', peer, device }),
      onProgress: (progress, opened) => this.#onProgress(progress, opened),
      onRefused: (peer, error) => this.#onRefused(peer, error),
    })
  }

  async run(): Promise<void> {
    const { signal } = this.#terminal
    // Before somebody sends a device that it can not take.
    if (this.#spec?.type === 'module') await loadDeviceModule(this.#spec.path)
    const listener = await this.#listen()
    try {
      if (this.#options.json) this.#json({ type: 'listening', url: listener.url })
      else this.#terminal.print(`Listening on ${listener.url}`)
      for (;;) {
        const arrival = await this.#end.next(signal)
        await this.#arrived(arrival)
        if (!this.#options.keep && arrival.report.owner !== 'undecided') return
      }
    } finally {
      this.#bar.stop()
      await listener.close()
      // What was canceled is told to its source, and thrown away, first.
      await this.#end.quiet()
      await this.#leave(this.#ran)
    }
  }

  async #listen(): Promise<Listener> {
    const { listen: url, allowRemote, allowOrigin, mutual } = this.#options
    const tls: TlsOptions = {
      ...(await readTls(this.#options)),
      ...(mutual === undefined ? {} : { requestClientCert: true }),
    }
    return listen(url, this.#end.accept, {
      signal: this.#terminal.signal,
      tls,
      ...(allowRemote === undefined ? {} : { allowRemote }),
      ...(allowOrigin === undefined ? {} : { origins: allowOrigin }),
      onRefused: (error) => this.#onRefused(undefined, error),
    })
  }

  /** The device that arrived runs, and replaces the one that ran. */
  async #arrived({ report, opened, peer, closed }: Arrival): Promise<void> {
    const { runFor, memoryOut, json } = this.#options
    const { signal, colors } = this.#terminal
    this.#bar.stop()
    const at = opened.describe?.()
    const last = this.#ran
    this.#ran = opened
    await this.#leave(last)
    if (json) this.#json({ type: 'report', peer, device: opened.options, at, report })
    else this.#terminal.print(destinationLines(report, opened.name, peer, colors, at))
    if (report.owner === 'undecided') return
    await pause(wasCut(closed) ? Math.max(runFor, CUT_MS) : runFor, signal)
    if (memoryOut === undefined || opened.memory === undefined) return
    await opened.device.setState(DeviceState.STOP)
    await writeMemory(opened, memoryOut, signal)
    if (json) this.#json({ type: 'memory', memoryOut, sequence: opened.bulk?.sequence })
    else this.#terminal.print(`Stopped it; its memory is in ${memoryOut}`)
  }

  /** Closes the device that ran, and says where it was then. */
  async #leave(opened: OpenedDevice | undefined): Promise<void> {
    if (opened === undefined) return
    const { options, name, describe, close } = opened
    const at = describe?.()
    if (at !== undefined && this.#options.json) this.#json({ type: 'closed', device: options, at })
    else if (at !== undefined) this.#terminal.print(`Closed ${name} at ${at}`)
    await close()
  }

  #onProgress(progress: ReceiveProgress, { options }: OpenedDevice): void {
    this.#json({ type: 'progress', ...progress })
    if (progress.phase === 'running') this.#bar.stop()
    else this.#bar.update(progress, options.memoryBytes ?? 0)
  }

  #onRefused(peer: string | undefined, error: unknown): void {
    this.#bar.stop()
    const failure = withOption(failureOf(error))
    this.#json({ type: 'refused', ...(peer === undefined ? {} : { peer }), error: failure })
    // Whoever interrupted it knows.
    if (this.#terminal.signal.aborted) return
    // Of a socket file there is only its name.
    const from = peer === undefined || peer.startsWith('unix:') ? '' : `, from ${peer}`
    process.stderr.write(`${failureLine(failure)}${from}\n`)
  }

  #json(value: unknown): void {
    if (this.#options.json) this.#terminal.json(value)
  }
}

/** The command's own name for what a program passes. */
function withOption(failure: Failure): Failure {
  return { ...failure, message: failure.message.replace('see `origins`', 'name it with --allow-origin') }
}

function checkOptions(
  spec: DeviceSpec | undefined,
  { listen: url, allowOrigin, maxMemory, memoryOut, mutual, ca }: Options,
): void {
  if (spec !== undefined) checkMaxMemory(spec, maxMemory)
  if (allowOrigin !== undefined && !isWebSocketUrl(parseTransportUrl(url)))
    throw new UsageError('Cannot let pages in: they only come by ws: or wss:, leave --allow-origin out')
  if (memoryOut !== undefined && spec !== undefined && spec.type !== 'bulk')
    throw new UsageError(`Cannot write memory: ${noMemory(spec)}, leave --memory-out out`)
  if (memoryOut !== undefined && isStdio(memoryOut))
    throw new UsageError('Cannot write memory to stdout: it is written beside a file and renamed, name one')
  if (mutual && ca === undefined)
    throw new UsageError('Cannot ask sources for certificates: nobody may sign them, name a --ca')
}

async function writeMemory({ memory }: OpenedDevice, memoryOut: string, signal: AbortSignal): Promise<void> {
  const sink = fileSink(memoryOut)
  try {
    await withProgress('writing memory', async ({ update }) => {
      if (memory !== undefined) await storeMemory(memory, sink, { signal, onProgress: update })
    })
    signal.throwIfAborted()
    await sink.close()
  } catch (error) {
    await sink.abort(error)
    throw error
  }
}
