/**
 * `stopcopy serve DEVICE --socket PATH`.
 *
 * @module
 */

import { type Command, Option } from 'commander'
import { VfioError } from '../../errors.ts'
import { fdPassingObstacle } from '../../node/index.ts'
import { deviceStateName } from '../../uapi/state.ts'
import type { ServeEvent, ServeOptions, ServeReport, ServerQuirks } from '../../vfio-user/index.ts'
import { ownDeviceArgument, socketOption } from '../arguments.ts'
import type { OwnSpec } from '../device-spec.ts'
import { failureLine, failureOf, UsageError } from '../failure.ts'
import { toJson } from '../json-output.ts'
import { type OpenedDevice, openFresh } from '../open-device.ts'
import { ServedSocket } from '../served-socket.ts'
import type { Terminal } from '../terminal.ts'
import { checkWorkload, workloadOf, type WorkloadOptions, workloadOptions } from '../workload-options.ts'

/** Ways of a server, by the name that a person types. */
const QUIRKS: Readonly<Record<string, Partial<ServerQuirks>>> = {
  'long-errors': { bareErrors: false },
  'short-reads': { padMigDataReplies: false },
  'echo-minor': { echoMinor: true },
  'no-message-reports': { refuseMessageReports: true },
  'no-bus-master': { requireBusMaster: false },
}

interface Options extends WorkloadOptions {
  readonly socket: readonly string[]
  readonly keepState?: true
  readonly resetKeepsState?: true
  readonly quirk?: readonly string[]
  readonly fds: boolean
  readonly once?: true
  readonly verbose?: true
  readonly json?: true
}

/** Adds the command. */
export function addServe(program: Command, terminal: Terminal): void {
  const command = program
    .command('serve')
    .summary('a device to other programs, over vfio-user')
    .description(
      'Create a device, or have a module of yours make it, and serve it as a PCI device over vfio-user, as QEMU and others take it: one client after the other, until the command is interrupted. Prints the socket it listens on first, then a line for what clients do.',
    )
    .addArgument(ownDeviceArgument())
    .addOption(
      socketOption('the UNIX socket; again for another device of the same kind').makeOptionMandatory(),
    )
  for (const option of workloadOptions()) command.addOption(option)
  command
    .option('--keep-state', 'the device outlives its client; without, it is reset for the next one')
    .option('--reset-keeps-state', 'a reset leaves the migration state alone, as with libvfio-user')
    .addOption(new Option('--quirk <name...>', 'another way of a server').choices(Object.keys(QUIRKS)))
    .option('--no-fds', 'pass no file descriptors, also where koffi is installed')
    .option('--once', 'end when the first client has left')
    .option('--verbose', 'tell every command that was refused')
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      `
SIGINT and SIGTERM end it: the socket is removed, and the exit code is 0.

Examples:
  $ stopcopy serve mtty --socket /tmp/mtty.sock
  $ stopcopy serve bulk:size=64MiB --dirty-rate 2000 -s /tmp/bulk.sock --keep-state
  $ qemu-system-x86_64 -device '{"driver": "vfio-user-pci",
      "socket": {"type": "unix", "path": "/tmp/mtty.sock"}}'`,
    )
    .action((spec: OwnSpec, options: Options) => new Serve(spec, options, terminal).run())
}

class Serve {
  readonly #spec: OwnSpec
  readonly #options: Options
  readonly #terminal: Terminal
  readonly #stop: AbortController = new AbortController()

  constructor(spec: OwnSpec, options: Options, terminal: Terminal) {
    checkOptions(spec, options)
    this.#spec = spec
    this.#options = options
    this.#terminal = terminal
    if (options.json) terminal.useJsonLines()
  }

  async run(): Promise<void> {
    const { socket: paths, fds, json } = this.#options
    const signal = AbortSignal.any([this.#terminal.signal, this.#stop.signal])
    const opened: OpenedDevice[] = []
    const sockets: ServedSocket[] = []
    try {
      const obstacle = fds ? fdPassingObstacle()?.message : 'Cannot pass descriptors: --no-fds'
      for (const path of paths) {
        const device = await this.#open(this.#terminal.signal)
        opened.push(device)
        const served = this.#socket(path, device, signal)
        const url = await served.open()
        sockets.push(served)
        if (json)
          this.#terminal.json({ type: 'listening', url, device: device.options, fds: obstacle === undefined })
        else this.#terminal.print(`Serving ${device.name} on ${url}`)
      }
      if (obstacle !== undefined && !json)
        this.#terminal.print(
          `  without file descriptors, so without interrupts and mapped memory: ${obstacle.replace(/^.*?: /, '')}`,
        )
      await aborted(signal)
    } finally {
      for (const served of sockets) await served.close()
      for (const { close } of opened) await close()
    }
  }

  #open(signal: AbortSignal): Promise<OpenedDevice> {
    return openFresh(this.#spec, this.#options.memory, workloadOf(this.#options), signal)
  }

  #socket(path: string, { device, pci, name: which }: OpenedDevice, signal: AbortSignal): ServedSocket {
    if (pci === undefined)
      throw new VfioError(
        'EINVAL',
        `Cannot serve ${which}: it is no PCI device, return a pci beside its driver`,
      )
    const { keepState, resetKeepsState, quirk = [] } = this.#options
    const serve: Omit<ServeOptions, 'signal' | 'onEvent'> = {
      pci,
      keepState: keepState === true,
      resetKeepsState: resetKeepsState === true,
      quirks: Object.assign({}, ...quirk.map((name) => QUIRKS[name])) as Partial<ServerQuirks>,
    }
    const place = this.#options.socket.length > 1 ? `${path}: ` : ''
    const events = {
      onClient: (client: number) =>
        this.#tell({ type: 'client', path, client }, `${place}client ${client} came`),
      onEvent: (client: number, event: ServeEvent) => this.#onEvent(path, place, client, event),
      onLeft: (client: number, report: ServeReport) => this.#onLeft(path, place, client, report),
      onRefused: (client: number, error: unknown) => {
        const failure = failureOf(error)
        this.#tell({ type: 'refused', path, client, error: failure }, undefined)
        process.stderr.write(`${failureLine(failure)}, client ${client}\n`)
      },
    }
    return new ServedSocket({ path, device, serve, signal, events, passFds: this.#options.fds })
  }

  #onEvent(path: string, place: string, client: number, event: ServeEvent): void {
    const { kind, ...what } = event
    if (event.kind === 'command') {
      if (!this.#options.verbose || event.error === undefined) return
      const error = failureOf(event.error)
      const text = `${place}client ${client}: ${event.command} was refused: ${error.message} (${error.code})`
      this.#tell({ type: kind, path, client, command: event.command, error }, text)
    } else if (event.kind === 'version') {
      const { major, minor, capabilities } = event.version
      const can = toJson(capabilities, 0)
      this.#tell(
        { type: kind, path, client, ...what },
        `${place}client ${client} speaks ${major}.${minor}, ${can}`,
      )
    } else {
      this.#tell(
        { type: kind, path, client, ...what },
        `${place}client ${client} cannot have ${event.what}: ${event.reason}`,
      )
    }
  }

  #onLeft(path: string, place: string, client: number, report: ServeReport): void {
    const { commands, refused, ended, reason, state } = report
    const error = reason === undefined ? undefined : failureOf(reason)
    const why = error === undefined || ended === 'stopped' ? '' : ` (${error.message})`
    // What a client restored and left is gone here: it must not read as if it ran on.
    const fresh = this.#options.keepState ? '' : ', at power-on'
    const now = state === undefined ? 'could not be reset' : `is in ${deviceStateName(state)}${fresh}`
    this.#tell(
      {
        type: 'left',
        path,
        client,
        commands,
        refused,
        ended,
        ...(error === undefined ? {} : { error }),
        state: state === undefined ? null : deviceStateName(state),
      },
      `${place}client ${client} ${ENDED[ended]}${why} after ${commands} commands, ${refused} of them refused; the device ${now}`,
    )
    if (this.#options.once) this.#stop.abort()
  }

  #tell(line: object, text: string | undefined): void {
    if (this.#options.json) this.#terminal.json(line)
    else if (text !== undefined) this.#terminal.print(text)
  }
}

const ENDED: Readonly<Record<ServeReport['ended'], string>> = {
  left: 'left',
  lost: 'was lost',
  refused: 'broke the protocol and was cut off',
  stopped: 'was let go',
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function checkOptions(spec: OwnSpec, options: Options): void {
  checkWorkload(spec, options)
  const { socket } = options
  if (new Set(socket).size < socket.length)
    throw new UsageError('Cannot serve two devices on one socket: name each --socket once')
}
