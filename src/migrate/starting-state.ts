/**
 * What is refused before a device is touched.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import { DeviceState, deviceStateName, MigrationFlag } from '../uapi/state.ts'

const WITH_SESSION: readonly DeviceState[] = [
  DeviceState.STOP_COPY,
  DeviceState.RESUMING,
  DeviceState.PRE_COPY,
  DeviceState.PRE_COPY_P2P,
]

/** States in which a session is open that belongs to somebody else. */
const BUSY: Readonly<Record<'save' | 'restore' | 'migrate', readonly DeviceState[]>> = {
  save: [DeviceState.STOP_COPY, DeviceState.RESUMING],
  restore: WITH_SESSION,
  migrate: WITH_SESSION,
}

/**
 * The state a device is in, when it can be saved, restored or migrated and end in `finalState`.
 *
 * @throws {@link VfioError} ENOTTY no migration; EOPNOTSUPP no STOP_COPY; EINVAL a final state other than
 * STOP, RUNNING and, with P2P, RUNNING_P2P; EIO in ERROR; EBUSY a session of somebody else is open
 */
export async function startingState(
  device: MigrationDevice,
  action: keyof typeof BUSY,
  finalState: DeviceState,
): Promise<DeviceState> {
  // Flags this release does not know are ignored: what they add is optional.
  const flags = await device.migrationFlags()
  if ((flags & MigrationFlag.STOP_COPY) === 0) {
    throw new VfioError('EOPNOTSUPP', `Cannot ${action} the device: it has no STOP_COPY, use another device`)
  }
  const allowed =
    finalState === DeviceState.STOP ||
    finalState === DeviceState.RUNNING ||
    (finalState === DeviceState.RUNNING_P2P && (flags & MigrationFlag.P2P) !== 0)
  if (!allowed) {
    throw new VfioError(
      'EINVAL',
      `Cannot ${action} the device: it cannot end in ${deviceStateName(finalState)}, use STOP or RUNNING`,
    )
  }
  const state = await device.state()
  const name = deviceStateName(state)
  if (state === DeviceState.ERROR) {
    throw new VfioError('EIO', `Cannot ${action} the device: it is in ${name}, reset it`, { state })
  }
  if (BUSY[action].includes(state)) {
    throw new VfioError(
      'EBUSY',
      `Cannot ${action} the device: it is in ${name}, finish the migration under way or reset it`,
      { state },
    )
  }
  return state
}
