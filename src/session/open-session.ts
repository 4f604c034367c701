/**
 * The device's hold on a data session, which users do not see.
 *
 * @module
 */

import type { VfioError } from '../errors.ts'
import { DataSession } from './data-session.ts'
import { ResumeSide } from './resume-side.ts'
import { SaveSide } from './save-side.ts'
import type { SessionEnd } from './session-end.ts'
import { type SessionContext, SessionLife } from './session-life.ts'

/** What the owner of a session can do with it. */
export interface SessionHandle {
  readonly session: DataSession
  /** A window is being filled: RESUMING must not be left. */
  readonly windowOut: boolean
  /** The content failure that every later write throws, if there was one. */
  readonly failure: VfioError | undefined
  /** Leases are out, which outlive the session until their release, its close or {@link reclaim}. */
  readonly leasesOut: boolean
  /** `poll` may have changed: call it after every completed arc. */
  wake(): void
  /** Makes the session's calls EBUSY until the returned function is called. */
  hold(): () => void
  /**
   * Ends the session: `ended` fires, then the driver's end is ended and dropped (with the last lease).
   * Twice is once.
   *
   * @param reason - why, as in "Cannot use the data session: the device was reset"
   */
  terminate(reason: string): void
  /** The device gives its memory back: leases still out of the ended session are no longer backed. */
  reclaim(): void
  /** `listener` is called once, when the user closes the session. */
  onClose(listener: () => void): void
}

/** Opens a session over the driver's `end`. */
export function openSession(end: SessionEnd, context: SessionContext): SessionHandle {
  const life = new SessionLife(end.direction, context)
  const save = end.direction === 'save' ? new SaveSide(life, end) : undefined
  const resume = end.direction === 'resume' ? new ResumeSide(life, end) : undefined
  const side = (save ?? resume)!
  life.bind(side)
  end.attach?.(() => life.wake())
  return {
    session: new DataSession(life, side),
    get windowOut() {
      return resume?.windowOut ?? false
    },
    get failure() {
      return resume?.failure
    },
    get leasesOut() {
      return (save?.leasesOut ?? 0) > 0
    },
    wake: () => life.wake(),
    hold: () => life.hold(),
    terminate: (reason) => life.terminate(reason),
    reclaim: () => side.reclaim(),
    onClose: (listener) => {
      life.onClose = listener
    },
  }
}
