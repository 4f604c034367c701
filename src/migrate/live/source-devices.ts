/**
 * All devices of the source, moved together, barrier by barrier: none passes one before all have reached it.
 *
 * In a P2P state a device starts no peer-to-peer DMA, has finished its own, and accepts its peers'. So no
 * device stops while another could still start some, and none starts some while another is stopped.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { VfioError } from '../../errors.ts'
import { settle } from '../../transport/index.ts'
import { DeviceState, deviceStateName, MigrationFlag } from '../../uapi/state.ts'
import { recover, type Recovery } from '../recovery.ts'
import { startingState } from '../starting-state.ts'
import { OutgoingStream } from './outgoing-stream.ts'

const { STOP, RUNNING, STOP_COPY, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = DeviceState

interface SourceDevice {
  readonly stream: OutgoingStream
  readonly device: MigrationDevice
  readonly original: DeviceState
  readonly precopy: boolean
}

/** What became of a device that was to go back. */
export interface DeviceRecovery extends Recovery {
  readonly type: string
}

/** The devices and, as the last stream, the guest's memory where it comes along. */
export class SourceDevices {
  readonly #devices: readonly SourceDevice[]
  readonly #memory: SourceDevice | undefined
  readonly #p2p: boolean

  /**
   * Looks at the devices and changes nothing.
   *
   * @throws {@link VfioError} as `startingState`; EBUSY in PRE_COPY; EOPNOTSUPP several devices of which one
   * has no P2P; EINVAL no device, or some stopped and some not
   */
  static async discover(
    devices: readonly MigrationDevice[],
    memory: MigrationDevice | undefined,
    mayPrecopy: boolean,
  ): Promise<SourceDevices> {
    if (devices.length === 0 || new Set(devices).size !== devices.length)
      throw new VfioError('EINVAL', 'Cannot migrate: pass one or more devices, each once')
    const found: SourceDevice[] = []
    let p2p = true
    for (const [index, device] of devices.entries()) {
      const original = await startingState(device, 'migrate', STOP)
      const flags = await device.migrationFlags()
      p2p &&= (flags & MigrationFlag.P2P) !== 0
      if (devices.length > 1 && !p2p)
        throw new VfioError(
          'EOPNOTSUPP',
          `Cannot migrate ${devices.length} devices: ${device.identity.type} (device ${index}) has no P2P states, so it could reach a stopped one; migrate it alone`,
        )
      found.push(sourceDevice(device, index, original, mayPrecopy && hasPrecopy(flags)))
    }
    const stopped = found.filter(({ original }) => original === STOP).length
    if (stopped > 0 && stopped < found.length)
      throw new VfioError(
        'EINVAL',
        'Cannot migrate: some devices are stopped and some run, bring them together',
      )
    const isRunning = stopped === 0
    const guest =
      memory &&
      sourceDevice(memory, found.length, isRunning ? RUNNING : STOP, mayPrecopy && found[0]?.precopy === true)
    return new SourceDevices(isRunning ? found : found.map(withoutPrecopy), guest, p2p)
  }

  private constructor(devices: readonly SourceDevice[], memory: SourceDevice | undefined, p2p: boolean) {
    this.#devices = devices
    this.#memory = memory
    this.#p2p = p2p
  }

  /** In the order of the hand-over's HELLO. */
  get streams(): readonly OutgoingStream[] {
    return this.#all.map(({ stream }) => stream)
  }

  /** Whether some device can be read while it runs. */
  get precopy(): boolean {
    return this.#all.some(({ precopy }) => precopy)
  }

  /** Whether the devices run, and shall at the destination. */
  get running(): boolean {
    return this.#devices.every(({ original }) => original !== STOP)
  }

  async prepare(): Promise<void> {
    for (const { stream } of this.#all) await stream.prepare()
  }

  /** Those that can to PRE_COPY: the memory first, so that no write of a device is missed. */
  async enterPrecopy(signal: AbortSignal): Promise<void> {
    const order = this.#memory === undefined ? this.#devices : [this.#memory, ...this.#devices]
    for (const { device, stream, precopy } of order) {
      if (!precopy) continue
      // Later releases say by REINIT that an initial chunk begins again; older devices need no opt-in.
      await settle(async () => device.enablePrecopyInfoV2?.())
      stream.attach(sessionOf(await device.setState(PRE_COPY, { signal }), 'PRE_COPY'), true)
    }
  }

  /** All to STOP_COPY, by way of the P2P states when there are several; the memory last. */
  async stop(signal: AbortSignal): Promise<void> {
    if (this.#devices.length > 1 && this.running)
      await barrier(this.#devices, ({ device, precopy }) =>
        device.setState(precopy ? PRE_COPY_P2P : RUNNING_P2P, { signal }),
      )
    await barrier(this.#devices, (each) => stopOne(each, signal))
    // All that can write to it has stopped.
    if (this.#memory !== undefined) await stopOne(this.#memory, signal)
  }

  /**
   * Back to where they were, as far as that goes; a device that cannot is reset. Never rejects.
   *
   * Several go all to STOP, all to RUNNING_P2P, all to RUNNING. One that does not come along is reset before
   * any other could start to reach it: the device of a failed arc is stopped.
   */
  async unwind(): Promise<DeviceRecovery[]> {
    const reset = new Map<SourceDevice, Recovery>()
    if (this.running && this.#p2p) {
      const states = await Promise.all(this.#all.map(({ device }) => stateOf(device)))
      // One in ERROR is no reason to stop the others: where they run, it is reset below.
      const isStopped = states.some((state) => state === STOP || state === STOP_COPY)
      if (isStopped) await this.#try(STOP)
      const inP2p = states.some((state) => state === RUNNING_P2P || state === PRE_COPY_P2P)
      if (isStopped || inP2p) {
        await this.#try(RUNNING_P2P)
        for (const each of this.#all) {
          if ((await stateOf(each.device)) === RUNNING_P2P) continue
          const recovery = await recover(each.device, RUNNING_P2P)
          if (recovery.how !== 'back') reset.set(each, recovery)
        }
      }
    }
    return Promise.all(
      this.#all.map(async (each) => ({
        type: each.device.identity.type,
        ...(reset.get(each) ?? (await recover(each.device, each.original))),
      })),
    )
  }

  /** The destination runs: these stay stopped, and their sessions end. Never rejects, never resets. */
  async giveUp(): Promise<void> {
    await this.#try(STOP)
  }

  /** Closes sessions and gives memory back. Never rejects. */
  async close(): Promise<void> {
    for (const { stream } of this.#all) await stream.close()
  }

  get #all(): readonly SourceDevice[] {
    return this.#memory === undefined ? this.#devices : [...this.#devices, this.#memory]
  }

  async #try(target: DeviceState): Promise<void> {
    await Promise.all(this.#all.map(({ device }) => settle(async () => void (await device.setState(target)))))
  }
}

function sourceDevice(
  device: MigrationDevice,
  index: number,
  original: DeviceState,
  precopy: boolean,
): SourceDevice {
  return { stream: new OutgoingStream(device, index), device, original, precopy }
}

function withoutPrecopy(device: SourceDevice): SourceDevice {
  return { ...device, precopy: false }
}

function hasPrecopy(flags: number): boolean {
  return (flags & MigrationFlag.PRE_COPY) !== 0
}

async function stopOne({ device, stream }: SourceDevice, signal: AbortSignal): Promise<void> {
  const session = await device.setState(STOP_COPY, { signal })
  if (stream.session === undefined) stream.attach(sessionOf(session, 'STOP_COPY'), false)
  stream.stopped()
}

function sessionOf<T>(session: T | undefined, state: string): T {
  if (session !== undefined) return session
  throw new VfioError('EIO', `Cannot migrate: ${state} opened no session, reset the device`)
}

async function stateOf(device: MigrationDevice): Promise<DeviceState | undefined> {
  return device.state().catch(() => undefined)
}

/** Waits for all, also when one fails: nothing may move any more when the others are brought back. */
async function barrier(
  devices: readonly SourceDevice[],
  move: (device: SourceDevice) => Promise<unknown>,
): Promise<void> {
  const results = await Promise.allSettled(devices.map(move))
  for (const result of results) if (result.status === 'rejected') throw result.reason as Error
}

/** What became of the devices, in words. */
export function recoveryText(recoveries: readonly DeviceRecovery[]): string {
  return recoveries
    .map(({ type, how, state }) => {
      const name = state === undefined ? 'an unknown state' : deviceStateName(state)
      return {
        back: `${type} is in ${name} again`,
        reset: `${type} was reset and is in ${name}`,
        lost: `${type} is lost in ${name}, close it`,
      }[how]
    })
    .join(', ')
}
