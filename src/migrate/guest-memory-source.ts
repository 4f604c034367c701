/**
 * The source's side of guest memory that is migrated beside devices.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { DeviceState } from '../uapi/state.ts'
import { DirtyTracking } from './dirty-tracking.ts'
import { GuestMemoryDevice, type GuestMemoryDriver } from './guest-memory-device.ts'
import { GuestMemoryLayout, type GuestMemoryRange } from './guest-memory-layout.ts'
import { GuestMemorySave } from './guest-memory-save.ts'

/** Memory that a VMM owns and its devices write to. */
export interface GuestMemorySource {
  /** Granularity of tracking, bytes: a power of two of 4096 to 262,144. */
  readonly pageSize: number
  /** What the memory consists of; disjoint. */
  readonly ranges: readonly GuestMemoryRange[]
  /** Fills `dst` with the memory at `iova`, whole pages of one range. */
  read(iova: bigint, dst: Uint8Array): Awaitable<void>
  /**
   * ORs into `bitmap` what the VMM itself (vCPUs) wrote to `range` since the last call: bit n is page n of
   * the range, and bit n % 8 of byte n / 8. Absent: only the devices write.
   */
  dirty?(range: GuestMemoryRange, bitmap: Uint8Array): Awaitable<void>
}

/**
 * Guest memory as one more device of a migration.
 *
 * Entering PRE_COPY starts DMA logging on all `devices`, with all ranges; leaving it for RUNNING or STOP,
 * `reset` and `close` stop it. The devices and the vCPUs must have stopped before this one enters
 * STOP_COPY, where the last report is taken. A device without DMA logging may have written anywhere: then
 * all memory is sent again there.
 *
 * @throws {@link VfioError} as {@link GuestMemoryLayout}
 */
export function guestMemorySource(
  memory: GuestMemorySource,
  devices: readonly MigrationDevice[],
): MigrationDevice {
  return new GuestMemoryDevice(new SourceDriver(memory, devices))
}

class SourceDriver implements GuestMemoryDriver {
  readonly flags = 7
  readonly identity: DeviceIdentity
  sessionEnd: GuestMemorySave | undefined
  readonly #layout: GuestMemoryLayout
  readonly #memory: GuestMemorySource
  readonly #devices: readonly MigrationDevice[]
  /** Of the session that is open, when it began in PRE_COPY. */
  #tracking: DirtyTracking | undefined

  constructor(memory: GuestMemorySource, devices: readonly MigrationDevice[]) {
    this.#layout = new GuestMemoryLayout(memory.pageSize, memory.ranges)
    this.identity = this.#layout.identity
    this.#memory = memory
    this.#devices = [...devices]
  }

  async transition(from: DeviceState, to: DeviceState): Promise<GuestMemorySave | undefined> {
    if (to === DeviceState.RESUMING) {
      throw new VfioError(
        'EOPNOTSUPP',
        'Cannot enter RESUMING: this guest memory is a source, use guestMemoryDestination',
      )
    }
    if (isSaving(to) && !isSaving(from)) return this.#open(to)
    if (to === DeviceState.STOP_COPY) await this.sessionEnd?.stop()
    if (isSaving(from) && !isSaving(to)) await this.#letGo()
    return undefined
  }

  stopCopyLength(): number {
    return this.sessionEnd?.stopCopyBytes ?? this.#layout.byteLength
  }

  reset(): Promise<void> {
    return this.#letGo()
  }

  close(): Promise<void> {
    return this.#letGo()
  }

  /** The logs are on before the first page is read. */
  async #open(to: DeviceState): Promise<GuestMemorySave> {
    const memory = this.#memory
    if (to !== DeviceState.STOP_COPY) {
      const tracking = new DirtyTracking(this.#layout, this.#devices, memory.dirty?.bind(memory))
      await tracking.start()
      this.#tracking = tracking
    }
    this.sessionEnd = new GuestMemorySave(this.#layout, memory.read.bind(memory), this.#tracking)
    return this.sessionEnd
  }

  /** A read or a report that is under way goes on alone: memory that never answers holds up nobody. */
  async #letGo(): Promise<void> {
    const tracking = this.#tracking
    this.sessionEnd = undefined
    this.#tracking = undefined
    await tracking?.stop()
  }
}

function isSaving(state: DeviceState): boolean {
  return (
    state === DeviceState.STOP_COPY || state === DeviceState.PRE_COPY || state === DeviceState.PRE_COPY_P2P
  )
}
