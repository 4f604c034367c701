/**
 * The destination's side of guest memory that is migrated beside devices.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { DeviceState } from '../uapi/state.ts'
import { GuestMemoryDevice, type GuestMemoryDriver } from './guest-memory-device.ts'
import { GuestMemoryLayout, type GuestMemoryRange } from './guest-memory-layout.ts'
import { GuestMemoryLoad } from './guest-memory-load.ts'

/** Memory that a VMM owns and that is to hold what the source's held. */
export interface GuestMemoryDestination {
  /** As the source's. */
  readonly pageSize: number
  /** As the source's. */
  readonly ranges: readonly GuestMemoryRange[]
  /** Stores `src` at `iova`, whole pages of one range; zero pages are stored too. */
  write(iova: bigint, src: Uint8Array): Awaitable<void>
}

/**
 * Guest memory as one more device of a migration. Leaving RESUMING for STOP needs every page to have come
 * at least once, EINVAL otherwise. Memory is written as it comes: after a failure it holds a mixture.
 *
 * @throws {@link VfioError} as {@link GuestMemoryLayout}
 */
export function guestMemoryDestination(memory: GuestMemoryDestination): MigrationDevice {
  return new GuestMemoryDevice(new DestinationDriver(memory))
}

class DestinationDriver implements GuestMemoryDriver {
  readonly flags = 7
  readonly identity: DeviceIdentity
  sessionEnd: GuestMemoryLoad | undefined
  readonly #layout: GuestMemoryLayout
  readonly #memory: GuestMemoryDestination

  constructor(memory: GuestMemoryDestination) {
    this.#layout = new GuestMemoryLayout(memory.pageSize, memory.ranges)
    this.identity = this.#layout.identity
    this.#memory = memory
  }

  async transition(from: DeviceState, to: DeviceState): Promise<GuestMemoryLoad | undefined> {
    if (to === DeviceState.STOP_COPY || to === DeviceState.PRE_COPY || to === DeviceState.PRE_COPY_P2P) {
      throw new VfioError(
        'EOPNOTSUPP',
        'Cannot save: this guest memory is a destination, use guestMemorySource',
      )
    }
    if (to === DeviceState.RESUMING) {
      return (this.sessionEnd = new GuestMemoryLoad(this.#layout, this.#memory.write.bind(this.#memory)))
    }
    if (from === DeviceState.RESUMING) {
      await this.sessionEnd?.finish()
      this.sessionEnd = undefined
    }
    return undefined
  }

  stopCopyLength(): number {
    return this.#layout.byteLength
  }

  reset(): void {
    this.sessionEnd = undefined
  }
}
