/**
 * A place for one machine: creates it, sends it away, takes one in, saves and loads it.
 *
 * @module
 */

import {
  DeviceState,
  inspect,
  migrate,
  readPrelude,
  receive,
  restore,
  save,
  verify,
  VfioDevice,
} from 'stopcopy'
import { MACHINE_FACTORIES } from '../machines/create-machine.ts'
import { kindForDevice, kindOf } from '../machines/kinds.ts'
import type { Machine, MachineFactory, MachineInput, MachineKind } from '../machines/machine-kind.ts'
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

interface Occupant {
  readonly kind: MachineKind
  readonly machine: Machine
  readonly device: VfioDevice
}

/** One place. Its calls are made one after the other, but for {@link cancel} and {@link input}. */
export class MachineSlot {
  readonly screen: Screen = new Screen()
  readonly #tell: (notice: Notice) => void
  #occupant: Occupant | undefined
  #moments: MomentKeeper | undefined
  #canceling: AbortController | undefined

  constructor(tell: (notice: Notice) => void) {
    this.#tell = tell
    setInterval(() => this.#tellStatus(), 200)
  }

  /** A fresh machine, which runs. */
  async powerOn(id: string): Promise<void> {
    await this.powerOff()
    this.screen.isCovered = false
    await this.#create(kindOf(id))
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
    const { device } = this.#here('send')
    const recorder = new StreamRecorder(device)
    const moments = this.#moments as MomentKeeper
    const { bandwidthLimit, damageAt, downtimeLimitMs } = options
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
    return { report, longestGapMs, stopped: await moments.stopped?.(), stream: await recorder.report() }
  }

  async receive(link: Link, id: string): Promise<ReceivedResult> {
    let kind = kindOf(id)
    try {
      const connection = await connectionOf(link, 'accept')
      const report = await this.#cancelable((signal) =>
        receive(
          async ({ streams }) => {
            kind = kindForDevice(streams[0]?.identity.type ?? '', id)
            return [(await this.#waiting(kind)).device]
          },
          connection,
          { signal, onProgress: ({ bytes }) => this.#tell({ tell: 'bytes', bytes, totalBytes: undefined }) },
        ),
      )
      const started = await this.#moments?.started?.()
      if (started === undefined) throw new Error('Cannot receive: the machine did not start')
      return { report, started, kind: kind.id }
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
  async load(file: Blob, id: string): Promise<LoadedResult> {
    return this.#cancelable(async (signal) => {
      const stream = await verify(file.stream(), { signal })
      const { header, source } = await readPrelude(file.stream())
      const kind = kindForDevice(header.deviceType, id)
      const { device, machine } = await this.#waiting(kind)
      try {
        await restore(device, source, {
          signal,
          onProgress: ({ bytes }) => this.#tell({ tell: 'bytes', bytes, totalBytes: file.size }),
        })
      } finally {
        this.screen.isCovered = false
      }
      return { ticks: machine.ticks(), kind: kind.id, stream }
    })
  }

  /** A machine to be loaded: the one that is stopped here, or another, which is not seen before. */
  async #waiting(kind: MachineKind): Promise<Occupant> {
    if (this.#occupant?.kind !== kind) await this.powerOff()
    this.screen.isCovered = true
    if (this.#occupant === undefined) await this.#create(kind)
    return this.#occupant as Occupant
  }

  #here(action: string): Occupant {
    if (this.#occupant === undefined) throw new Error(`Cannot ${action}: there is no machine here, start one`)
    return this.#occupant
  }

  async #create(kind: MachineKind): Promise<void> {
    const create = MACHINE_FACTORIES[kind.id] as MachineFactory
    const machine = await create({
      onPicture: () => {
        this.#moments?.picture()
        this.#show(machine)
      },
      onTick: (ticks) => this.#moments?.tick(ticks),
    })
    const moments = new MomentKeeper(machine)
    this.#moments = moments
    const device = await VfioDevice.open(
      new TracedDriver(machine.driver, {
        arc: (from, to, ms) => this.#tell({ tell: 'arc', from, to, ms }),
        stopped: () => moments.stop(),
        starting: () => {
          this.screen.isCovered = false
          this.#show(machine)
          moments.start()
        },
        reset: () => {
          moments.start()
          this.#tell({ tell: 'reset' })
        },
      }),
    )
    this.#occupant = { kind, machine, device }
    this.#tell({ tell: 'reset' })
  }

  #show(machine: Machine): void {
    const picture = machine.picture()
    if (picture !== undefined) this.screen.show(picture)
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
