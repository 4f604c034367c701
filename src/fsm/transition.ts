/**
 * Planning a transition: the next step toward a state, and the whole path.
 *
 * Mirrors `vfio_mig_get_next_state`, as pure functions of state and capability flags.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { DEVICE_STATE_COUNT, DeviceState, deviceStateName } from '../uapi/state.ts'
import { capabilitySet, hasState } from './capability-set.ts'
import { shortestPath } from './path-search.ts'

/**
 * The next state on the way from `current` to `target`; `current` itself when they are equal.
 *
 * @param flags - capability flags 1, 3, 5 or 7; higher bits are ignored
 * @throws {@link VfioError} EINVAL when the flags lack STOP_COPY; when a state is out of range, ERROR or
 * not in the set; and from STOP_COPY to PRE_COPY or PRE_COPY_P2P
 *
 * @example
 * ```ts
 * import { DeviceState, nextState } from 'stopcopy'
 * console.log(nextState(DeviceState.RUNNING, DeviceState.STOP_COPY, 1) === DeviceState.STOP) // true
 * ```
 */
export function nextState(current: number, target: number, flags: number): DeviceState {
  return transitionPath(current, target, flags)[0] ?? (current as DeviceState)
}

/**
 * The states after `current` on the way to `target`, `target` last; `[]` when they are equal. A call that
 * fails midway leaves the device in one of them, in `current`, or in ERROR.
 *
 * @throws {@link VfioError} EINVAL as {@link nextState}
 */
export function transitionPath(current: number, target: number, flags: number): readonly DeviceState[] {
  const set = capabilitySet(flags)
  checkCurrent(current, target, set)
  checkTarget(current, target, set)
  const path = shortestPath(current, target, set)
  if (path === undefined) {
    throw refusal(current, target, 'a saving session cannot go back to running', 'go to STOP first')
  }
  return path
}

function checkCurrent(current: number, target: number, set: number): asserts current is DeviceState {
  if (hasState(current, set)) return
  if (current === DeviceState.ERROR) {
    throw refusal(current, target, 'the device has failed', 'reset it first')
  }
  throw refusal(
    current,
    target,
    `a device with flags ${set} is never in ${deviceStateName(current)}`,
    'read the state back',
  )
}

function checkTarget(current: DeviceState, target: number, set: number): asserts target is DeviceState {
  if (hasState(target, set)) return
  if (target === DeviceState.ERROR) {
    throw refusal(current, target, 'ERROR cannot be requested', 'ask for STOP or reset the device')
  }
  if (Number.isInteger(target) && target > 0 && target < DEVICE_STATE_COUNT) {
    throw refusal(
      current,
      target,
      `a device with flags ${set} has no ${deviceStateName(target)}`,
      'look at its flags first',
    )
  }
  throw refusal(current, target, 'there is no such state', `ask for one of 1 to ${DEVICE_STATE_COUNT - 1}`)
}

function refusal(current: number, target: number, reason: string, remedy: string): VfioError {
  const action = `go from ${deviceStateName(current)} to ${deviceStateName(target)}`
  return new VfioError('EINVAL', `Cannot ${action}: ${reason}, ${remedy}`, { state: current })
}
