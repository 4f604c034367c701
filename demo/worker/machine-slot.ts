/**
 * A place for one machine: creates it, sends it away, takes one in, saves and loads it.
 *
 * @module
 */

import {
  type Configuration,
  DeviceState,
  type HandoverOutcome,
  type HandoverTicket,
  inspect,
  migrate,
  readPrelude,
  receive,
  restore,
  save,
  type StreamReport,
  verify,
  VfioDevice,
} from 'stopcopy'
import { MACHINE_FACTORIES } from '../machines/create-machine.ts'
import { type GuestFiles, NO_FILES } from '../machines/guest-files.ts'
import { kindForDevice, kindOf } from '../machines/kinds.ts'
import type {
  Machine,
  MachineFactory,
  MachineInput,
  MachineKind,
  MachineParts,
  Picture,
} from '../machines/machine-kind.ts'
import { Breather } from './breather.ts'
import { connectionOf } from './links.ts'
import type {
  Link,
  LoadedResult,
  Notice,
  ReceivedResult,
  SavedResult,
  SendOptions,
  SentResult,
} from './messages.ts'
import { MomentKeeper } from './moment-keeper.ts'
import { savedFile, savedFileSink } from './saved-files.ts'
import { Screen } from './screen.ts'
import { StreamRecorder } from './stream-recorder.ts'
import { TracedDriver } from './traced-driver.ts'
import { settle } from './undecided.ts'

interface Occupant {
  readonly kind: MachineKind
  readonly machine: Machine
  readonly device: VfioDevice
}

/** One place. Its calls are made one after the other, but for {@link cancel} and {@link input}. */
export class MachineSlot {
  readonly screen: Screen = new Screen()
  /** What machines can be made of. */
  files: GuestFiles = NO_FILES
  readonly #tell: (notice: Notice) => void
  #undecided: HandoverTicket | undefined
  #occupant: Occupant | undefined
  #moments: MomentKeeper | undefined
  #canceling: AbortController | undefined
  readonly #breather = new Breather()
  #sent: StreamRecorder | undefined

  constructor(tell: (notice: Notice) => void) {
    this.#tell = tell
    setInterval(() => this.#tellStatus(), 200)
  }

  /** A fresh machine, which runs. */
  async powerOn(id: string): Promise<void> {
    await this.powerOff()
    this.screen.isCovered = false
    await this.#create(kindOf(id), { files: this.files })
  }

  async powerOff(): Promise<void> {
    const occupant = this.#occupant
    this.#occupant = undefined
    await occupant?.device.close()
    await occupant?.machine.destroy?.()
    this.screen.clear()
  }

  input(input: MachineInput): void {
    const { machine, device } = this.#occupant ?? {}
    // Stopped, a machine would take it, and show it at the other end.
    if (machine === undefined || device === undefined || this.#moments?.works !== true) return
    machine.input(input)
  }

  /** Ends what is under way, as far as it can still be ended. */
  cancel(): void {
    this.#canceling?.abort(new Error('canceled on the page'))
  }

  async send(link: Link, options: SendOptions): Promise<SentResult> {
    const { device, machine } = this.#here('send')
    const recorder = new StreamRecorder(device, this.#breather)
    const moments = this.#moments as MomentKeeper
    const { bandwidthLimit, damageAt, downtimeLimitMs, prove } = options
    const connection = await connectionOf(link, 'connect', damageAt)
    moments.watchGaps()
    const report = await this.#cancelable((signal) =>
      migrate(recorder.device, connection, {
        signal,
        downtimeLimitMs,
        autoConverge: true,
        ...(bandwidthLimit === undefined ? {} : { bandwidthLimit }),
        onProgress: (progress) => this.#tell({ tell: 'migration', progress }),
      }),
    )
    const { longestGapMs } = moments
    this.#undecided = report.ticket
    this.#sent = recorder
    return { report, longestGapMs, stopped: await moments.stopped(prove, () => this.#show(machine)) }
  }

  async stream(): Promise<StreamReport | undefined> {
    const recorder = this.#sent
    this.#sent = undefined
    return recorder?.report()
  }

  /** @throws {VfioError} as `resolveHandover`; it stays undecided then */
  async settle(how: Link | 'run' | 'discard'): Promise<HandoverOutcome['owner']> {
    if (this.#undecided === undefined) throw new Error('Cannot settle: no hand-over from here is undecided')
    const owner = await settle(this.#undecided, how)
    if (owner !== 'undecided') this.#undecided = undefined
    return owner
  }

  async receive(link: Link, prove: boolean): Promise<ReceivedResult> {
    try {
      const connection = await connectionOf(link, 'accept')
      const report = await this.#cancelable((signal) =>
        receive(
          async ({ streams }) => {
            const { type = '', configuration = {} } = streams[0]?.identity ?? {}
            const { device } = await this.#waiting(type, configuration)
            this.#moments?.expect(prove)
            return [device]
          },
          connection,
          { signal, onProgress: ({ bytes }) => this.#tell({ tell: 'bytes', bytes, totalBytes: undefined }) },
        ),
      )
      const started = await this.#moments?.started?.()
      if (started === undefined) throw new Error('Cannot receive: the machine did not start')
      return { report, started, kind: this.#here('receive').kind.id }
    } catch (error) {
      await this.powerOff()
      throw error
    } finally {
      this.screen.isCovered = false
    }
  }

  async save(name: string): Promise<SavedResult> {
    const { device } = this.#here('save')
    const wasRunning = this.#moments?.works === true
    const sink = await savedFileSink(name)
    const report = await this.#cancelable((signal) =>
      save(device, sink, {
        signal,
        ...(wasRunning ? { finalState: DeviceState.RUNNING } : {}),
        onProgress: ({ bytes, totalBytes }) => this.#tell({ tell: 'bytes', bytes, totalBytes }),
      }),
    )
    const file = await savedFile(name)
    return { file, downtimeMs: report.downtimeMs ?? 0, stream: await inspect(file.stream()) }
  }

  /** Looks at the whole file first, so that a damaged one costs nothing. */
  async load(file: Blob): Promise<LoadedResult> {
    return this.#cancelable(async (signal) => {
      const stream = await verify(file.stream(), { signal })
      const { header, configuration, source } = await readPrelude(file.stream())
      const { device, kind } = await this.#waiting(header.deviceType, configuration)
      try {
        await restore(device, source, {
          signal,
          onProgress: ({ bytes }) => this.#tell({ tell: 'bytes', bytes, totalBytes: file.size }),
        })
      } finally {
        this.screen.isCovered = false
      }
      return { ticks: this.#moments?.startedAtTick ?? 0, kind: kind.id, stream }
    })
  }

  /** A machine to be loaded: the one that is here, if it fits, or another; it is not seen before. */
  async #waiting(deviceType: string, configuration: Configuration): Promise<Occupant> {
    const kind = kindForDevice(deviceType, configuration)
    const here = this.#occupant?.device.identity
    if (here?.type !== deviceType || !isSame(here.configuration ?? {}, configuration)) await this.powerOff()
    this.screen.isCovered = true
    if (this.#occupant === undefined) await this.#create(kind, { files: this.files, configuration })
    return this.#occupant as Occupant
  }

  #here(action: string): Occupant {
    if (this.#occupant === undefined) throw new Error(`Cannot ${action}: there is no machine here, start one`)
    return this.#occupant
  }

  async #create(kind: MachineKind, parts: MachineParts): Promise<void> {
    const create = MACHINE_FACTORIES[kind.id] as MachineFactory
    const host = {
      onPicture: () => {
        this.#show(machine)
        this.#moments?.picture()
      },
      onTick: (ticks: number) => this.#moments?.tick(ticks),
      onWake: () => this.#moments?.wake(),
    }
    const machine: Machine = await create(host, parts)
    const moments = new MomentKeeper(machine)
    this.#moments = moments
    const device = await VfioDevice.open(
      new TracedDriver(machine.driver, {
        arc: (from, to, ms) => this.#tell({ tell: 'arc', from, to, ms }),
        stopped: () => moments.stop(),
        starting: () => {
          this.screen.isCovered = false
          // Seen at once, before it does anything.
          moments.start(() => this.#show(machine))
        },
        reset: () => {
          moments.start(() => undefined)
          this.#tell({ tell: 'reset' })
        },
      }),
    )
    this.#occupant = { kind, machine, device }
    this.#tell({ tell: 'reset' })
  }

  #show(machine: Machine): Picture | undefined {
    const picture = machine.picture()
    if (picture !== undefined) this.screen.show(picture)
    return picture
  }

  async #cancelable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    this.#canceling = controller
    try {
      return await work(controller.signal)
    } finally {
      this.#canceling = undefined
    }
  }

  #tellStatus(): void {
    const { machine } = this.#occupant ?? {}
    if (machine === undefined || this.#moments === undefined) return
    const { gaps, perSecond } = this.#moments
    this.#tell({ tell: 'status', ticks: machine.ticks(), gaps, perSecond })
  }
}

function isSame(a: Configuration, b: Configuration): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name])
}
