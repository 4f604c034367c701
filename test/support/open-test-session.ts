/** A session without a device: the test plays the device. @module */

import { type SessionHandle, openSession } from '../../src/session/open-session.ts'
import type { SessionEnd } from '../../src/session/session-end.ts'
import { DeviceState } from '../../src/uapi/state.ts'

/** What the session sees of its device; change it at will. */
export interface TestDevice {
  state: DeviceState
  closed: boolean
  precopyInfoV2: boolean
}

/** Opens a session over `end` on a device in `state`. */
export function openTestSession(
  end: SessionEnd,
  state: DeviceState = DeviceState.STOP_COPY,
): SessionHandle & { device: TestDevice } {
  const device: TestDevice = { state, closed: false, precopyInfoV2: false }
  const handle = openSession(end, {
    deviceState: () => device.state,
    isDeviceClosed: () => device.closed,
    precopyInfoV2: () => device.precopyInfoV2,
  })
  return Object.assign(handle, { device })
}
