/**
 * All devices of the destination, moved together: no device starts before all are loaded, and none runs while
 * another is stopped that it could reach.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { VfioError } from '../../errors.ts'
import type { SessionWorker } from '../../session/session-end.ts'
import { DeviceState, MigrationFlag } from '../../uapi/state.ts'
import { asFailure, recover } from '../recovery.ts'
import { startingState } from '../starting-state.ts'
import { IncomingStream } from './incoming-stream.ts'

/** The devices in the order of the source's streams; the guest's memory, where it comes along, is the last. */
export class DestinationDevices {
  readonly #devices: readonly MigrationDevice[]
  readonly #worker: SessionWorker | undefined
  #streams: IncomingStream[] = []
  #touched = false
  #leftStop = false

  constructor(devices: readonly MigrationDevice[], worker?: SessionWorker) {
    this.#devices = devices
    this.#worker = worker
  }

  get streams(): readonly IncomingStream[] {
    return this.#streams
  }

  get devices(): readonly MigrationDevice[] {
    return this.#devices
  }

  /** Whether a device left STOP after it was loaded: it may have worked since. */
  get leftStop(): boolean {
    return this.#leftStop
  }

  /** @throws {@link VfioError} as `startingState` when one of them can not be restored now */
  async check(): Promise<void> {
    for (const device of this.#devices) await startingState(device, 'restore', DeviceState.RUNNING)
  }

  /** All to RESUMING. */
  async resume(): Promise<void> {
    this.#touched = true
    for (const device of this.#devices) this.#streams.push(await IncomingStream.open(device, this.#worker))
  }

  /** All to STOP, which validates. */
  async load(expected: readonly { bytes: number; digest: string }[]): Promise<void> {
    for (const [index, stream] of this.#streams.entries()) {
      const { type } = stream.device.identity
      const name = this.#streams.length === 1 ? type : `${type} (device ${index})`
      await stream.load(expected[index] as { bytes: number; digest: string }, name)
    }
    await this.#closeStreams()
  }

  /**
   * All to RUNNING_P2P, then all to RUNNING. When one fails, all are stopped again: a later call may work.
   *
   * @throws {@link VfioError} the first failure
   */
  async start(): Promise<void> {
    const p2p: boolean[] = []
    for (const device of this.#devices) p2p.push(((await device.migrationFlags()) & MigrationFlag.P2P) !== 0)
    try {
      if (p2p.every(Boolean)) await this.#all(DeviceState.RUNNING_P2P)
      await this.#all(DeviceState.RUNNING)
    } catch (error) {
      const failure = asFailure(error, 'start the devices')
      await this.#stopAgain()
      throw failure
    }
  }

  /**
   * Throws away what was received: every device is reset, and parked in STOP. Never rejects.
   *
   * @returns whether none is left that holds something. One in ERROR does not: nothing but a reset gets it out
   */
  async discard(): Promise<boolean> {
    if (!this.#touched) return true
    let isReset = true
    for (const device of this.#devices) {
      const { how, state } = await recover(device, undefined)
      await device.setState(DeviceState.STOP).catch(() => {})
      if (how === 'lost' && state !== DeviceState.ERROR) isReset = false
    }
    await this.#closeStreams()
    this.#touched = !isReset
    return isReset
  }

  async #all(target: DeviceState): Promise<void> {
    for (const device of this.#devices) {
      try {
        await device.setState(target)
        this.#leftStop = true
      } catch (error) {
        if ((await device.state().catch(() => undefined)) !== DeviceState.STOP) this.#leftStop = true
        throw error
      }
    }
  }

  async #stopAgain(): Promise<void> {
    // None may stop while another could still start peer-to-peer DMA.
    if (this.#devices.length > 1)
      for (const device of this.#devices)
        if ((await device.state().catch(() => undefined)) === DeviceState.RUNNING)
          await device.setState(DeviceState.RUNNING_P2P).catch(() => {})
    for (const device of this.#devices) await device.setState(DeviceState.STOP).catch(() => {})
    for (const device of this.#devices) {
      const state = await device.state().catch(() => undefined)
      if (state === DeviceState.STOP) continue
      throw new VfioError(
        'EIO',
        `Cannot stop ${device.identity.type} again after a failed start: close the device`,
      )
    }
  }

  async #closeStreams(): Promise<void> {
    for (const stream of this.#streams) await stream.close()
    this.#streams = []
  }
}
