/**
 * Capability sets: which states a device has, from the flags of feature MIGRATION.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { DeviceState, MigrationFlag } from '../uapi/state.ts'

const KNOWN_FLAGS = MigrationFlag.STOP_COPY | MigrationFlag.P2P | MigrationFlag.PRE_COPY

/** Flags a state needs. ERROR is no state to plan with: it is entered by failing and left by a reset. */
const NEEDED: Partial<Record<number, number>> = {
  [DeviceState.STOP]: MigrationFlag.STOP_COPY,
  [DeviceState.RUNNING]: MigrationFlag.STOP_COPY,
  [DeviceState.STOP_COPY]: MigrationFlag.STOP_COPY,
  [DeviceState.RESUMING]: MigrationFlag.STOP_COPY,
  [DeviceState.RUNNING_P2P]: MigrationFlag.STOP_COPY | MigrationFlag.P2P,
  [DeviceState.PRE_COPY]: MigrationFlag.STOP_COPY | MigrationFlag.PRE_COPY,
  [DeviceState.PRE_COPY_P2P]: KNOWN_FLAGS,
}

/**
 * The known bits of `flags`: 1, 3, 5 or 7. Higher bits belong to later revisions and are ignored, as a
 * client must do.
 *
 * @throws {@link VfioError} EINVAL when STOP_COPY is missing, for flags 0, 2, 4 and 6 therefore
 */
export function capabilitySet(flags: number): number {
  const known = Number.isSafeInteger(flags) && flags >= 0 ? flags & KNOWN_FLAGS : 0
  if ((known & MigrationFlag.STOP_COPY) === 0) {
    throw new VfioError(
      'EINVAL',
      `Cannot use capability flags ${flags}: STOP_COPY (1) is missing, pass 1, 3, 5 or 7`,
    )
  }
  return known
}

/** True when a device with these flags has the state; false for ERROR and for what is no state. */
export function hasState(state: number, flags: number): boolean {
  // '3' and 3n would find an entry, too, and be taken for a state by some of what follows.
  const needed = typeof state === 'number' ? NEEDED[state] : undefined
  return needed !== undefined && (flags & needed) === needed
}
