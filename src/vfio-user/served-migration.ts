/**
 * The migration side of a served device: its state, and the session that the client's SET opened.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import { settle } from '../transport/index.ts'
import { DeviceState } from '../uapi/state.ts'
import { SavedBytes } from './saved-bytes.ts'

/** One device, one session at a time. */
export class ServedMigration {
  readonly device: MigrationDevice
  #session: MigrationSession | undefined
  #saved: SavedBytes | undefined
  /** The device does not change under what is gathered ahead of a request. */
  #isStopped = false

  constructor(device: MigrationDevice) {
    this.device = device
  }

  /** Capability flags; 0 for a device that cannot migrate. */
  flags(): Promise<number> {
    return unlessAbsent(() => this.device.migrationFlags(), 0)
  }

  /** The state; RUNNING for a device that cannot migrate. */
  state(): Promise<DeviceState> {
    return unlessAbsent<DeviceState>(() => this.device.state(), DeviceState.RUNNING)
  }

  /** Walks to `target`. Throws as the device does, and then the session is as the device left it. */
  async go(target: number, signal: AbortSignal): Promise<void> {
    this.#isStopped = false
    try {
      const opened = await this.device.setState(target as DeviceState, { signal })
      if (opened !== undefined) {
        await this.#drop()
        this.#session = opened
        if (opened.direction === 'save') this.#saved = new SavedBytes(opened)
      }
      this.#isStopped = target === DeviceState.STOP_COPY
    } finally {
      if (this.#session?.ended.aborted === true) await this.#drop()
    }
  }

  /** The session that is being loaded; undefined when there is none. */
  get resuming(): MigrationSession | undefined {
    const session = this.#session
    return session?.direction === 'resume' && !session.ended.aborted ? session : undefined
  }

  /** The bytes of the saving session; undefined when there is none. */
  get saved(): SavedBytes | undefined {
    return this.#saved?.session.ended.aborted === false ? this.#saved : undefined
  }

  /** Whether the device is in STOP_COPY, as far as this client brought it. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Ends the session on this side. */
  async close(): Promise<void> {
    await this.#drop()
  }

  /** Back to RUNNING. */
  async reset(): Promise<void> {
    try {
      await this.device.reset()
    } finally {
      if (this.#session?.ended.aborted === true) await this.#drop()
    }
  }

  async #drop(): Promise<void> {
    const session = this.#session
    const saved = this.#saved
    this.#session = undefined
    this.#saved = undefined
    await saved?.drop()
    if (session !== undefined) await settle(() => session.close())
  }
}

async function unlessAbsent<T>(call: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (VfioError.is(error, 'ENOTTY')) return otherwise
    throw error
  }
}
