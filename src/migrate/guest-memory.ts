/**
 * Guest memory, not there yet.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { type Awaitable, VfioError } from '../errors.ts'

export interface GuestMemoryRange {
  readonly iova: bigint
  readonly length: bigint
}
export interface GuestMemorySource {
  readonly pageSize: number
  readonly ranges: readonly GuestMemoryRange[]
  read(iova: bigint, dst: Uint8Array): Awaitable<void>
}
export interface GuestMemoryDestination {
  readonly pageSize: number
  readonly ranges: readonly GuestMemoryRange[]
  write(iova: bigint, src: Uint8Array): Awaitable<void>
}
export function guestMemorySource(
  _memory: GuestMemorySource,
  _devices: readonly MigrationDevice[],
): MigrationDevice {
  throw new VfioError('EOPNOTSUPP', 'Cannot migrate guest memory: not there yet, leave it out')
}
