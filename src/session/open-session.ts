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
  return new OpenSession(end, context)
}

/** A class, not an object of closures: a small device opens two for every migration. */
class OpenSession implements SessionHandle {
  readonly session: DataSession
  readonly #life: SessionLife
  readonly #side: SaveSide | ResumeSide

  constructor(end: SessionEnd, context: SessionContext) {
    const life = new SessionLife(end.direction, context)
    this.#life = life
    this.#side = end.direction === 'save' ? new SaveSide(life, end) : new ResumeSide(life, end)
    life.bind(this.#side)
    end.attach?.(() => life.wake())
    this.session = new DataSession(life, this.#side)
  }

  get windowOut(): boolean {
    return this.#side instanceof ResumeSide && this.#side.windowOut
  }

  get failure(): VfioError | undefined {
    return this.#side instanceof ResumeSide ? this.#side.failure : undefined
  }

  get leasesOut(): boolean {
    return this.#side instanceof SaveSide && this.#side.leasesOut > 0
  }

  wake(): void {
    this.#life.wake()
  }

  hold(): () => void {
    return this.#life.hold()
  }

  terminate(reason: string): void {
    this.#life.terminate(reason)
  }

  reclaim(): void {
    this.#side.reclaim()
  }

  onClose(listener: () => void): void {
    this.#life.onClose = listener
  }
}
