/**
 * Tells which states a device goes through, as they are reached.
 *
 * @module
 */

import { type DeviceState, deviceStateName } from '../../uapi/state.ts'
import { VfioError } from '../../errors.ts'
import type { BulkDriver } from '../../devices/index.ts'
import type { OpenedDevice } from '../open-device.ts'
import type { DemoFact } from './messages.ts'

/**
 * @returns the device's driver
 * @param before - called before a state is asked for, at once
 */
export function traceStates(
  { device, bulk }: OpenedDevice,
  tell: (fact: DemoFact) => void,
  before: (target: DeviceState) => void = () => {},
): BulkDriver {
  if (bulk === undefined) throw new VfioError('EINVAL', 'Cannot show this device: it is no bulk')
  const setState = device.setState.bind(device)
  device.setState = async (target, options) => {
    before(target)
    const session = await setState(target, options)
    tell({ type: 'state', state: deviceStateName(target), sequence: bulk.sequence })
    return session
  }
  return bulk
}
