/**
 * What arcs do to data sessions.
 *
 * A session belongs to a group of states: the saving group (STOP_COPY, PRE_COPY, PRE_COPY_P2P) or
 * RESUMING. It opens on the way into its group, ends on the way out, and lives on inside.
 *
 * @module
 */

import { DeviceState } from '../uapi/state.ts'

/** Direction of the session that is open in a state: 'save' in the saving group, 'resume' in RESUMING. */
export function sessionOf(state: number): 'save' | 'resume' | undefined {
  switch (state) {
    case DeviceState.STOP_COPY:
    case DeviceState.PRE_COPY:
    case DeviceState.PRE_COPY_P2P:
      return 'save'
    case DeviceState.RESUMING:
      return 'resume'
    default:
      return undefined
  }
}

/**
 * Direction of the session that going from `from` to `to` opens, or undefined. Holds for an arc and for a
 * whole transition alike: a data fd is returned exactly when this is defined.
 */
export function opensSession(from: number, to: number): 'save' | 'resume' | undefined {
  const session = sessionOf(to)
  return session === sessionOf(from) ? undefined : session
}

/** True when going from `from` to `to` ends the session open in `from`; falling into ERROR does, too. */
export function endsSession(from: number, to: number): boolean {
  const session = sessionOf(from)
  return session !== undefined && session !== sessionOf(to)
}
