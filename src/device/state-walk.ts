/**
 * The state of one device and the session that belongs to it: walks a driver along base arcs.
 *
 * Invariants: the state is the last completed one, or ERROR; a session ends before its arc resolves, so
 * `ended` listeners have run before the device may run; what a failed arc left is told by the error's
 * `state`. All methods are called with the state lock held.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import { endsSession, opensSession } from '../fsm/session-arcs.ts'
import { transitionPath } from '../fsm/transition.ts'
import { driverError } from '../session/driver-error.ts'
import { type SessionHandle, openSession } from '../session/open-session.ts'
import type { SessionEnd } from '../session/session-end.ts'
import type { SessionContext } from '../session/session-life.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'
import { ArcOptions } from './arc-options.ts'
import type { Driver } from './driver.ts'
import { withState } from './state-error.ts'

/** Moves one driver. */
export class StateWalk {
  readonly #driver: Driver
  readonly #context: SessionContext
  #state: DeviceState = DeviceState.RUNNING
  #session: SessionHandle | undefined
  /** Ended sessions with leases out. */
  #lent: SessionHandle[] = []

  constructor(driver: Driver, context: Omit<SessionContext, 'deviceState'>) {
    this.#driver = driver
    this.#context = { ...context, deviceState: () => this.#state }
  }

  /** The last completed state. */
  get state(): DeviceState {
    return this.#state
  }

  /**
   * Goes to `target`, arc by arc.
   *
   * @returns the session, when the last arc opened one
   * @throws {@link VfioError} with `state`: EINVAL no such way (SET(ERROR) in ERROR too, but for profile
   * exact); EINTR aborted between arcs or by the driver on the signal's account; EBUSY leaving RESUMING
   * with a window out; EINVAL leaving it after a failed write; the driver's own
   */
  async go(target: number, signal?: AbortSignal): Promise<SessionHandle | undefined> {
    const inError = this.#state === DeviceState.ERROR
    if (inError && target === DeviceState.ERROR && this.#driver.profile === 'exact') return undefined
    const options = new ArcOptions(signal)
    let opened: SessionHandle | undefined
    try {
      for (const next of transitionPath(this.#state, target, this.#driver.flags)) {
        opened = await this.#goArc(next, options)
      }
    } catch (error) {
      const failure = driverError(error, 'setState', `enter ${deviceStateName(target)}`)
      throw withState(failure, this.#state, failure.syscall ?? 'setState')
    }
    return opened
  }

  /**
   * Ends the session, resets the driver, state RUNNING.
   *
   * @throws {@link VfioError} EIO when the driver fails; state ERROR
   */
  async reset(): Promise<void> {
    this.endSession('the device was reset')
    try {
      await this.#driver.reset()
      this.#state = DeviceState.RUNNING
    } catch (cause) {
      this.#state = DeviceState.ERROR
      throw new VfioError('EIO', 'Cannot reset the device: the driver failed, close it', {
        syscall: 'reset',
        state: DeviceState.ERROR,
        cause,
      })
    }
  }

  /** Ends the session that is open, if one is. */
  endSession(reason: string): void {
    const session = this.#session
    if (session === undefined) return
    session.terminate(reason)
    this.#session = undefined
    if (this.#lent.length > 0 || session.leasesOut)
      this.#lent = [...this.#lent, session].filter(({ leasesOut }) => leasesOut)
  }

  /** The device closes and gives back all its memory, also what users never released. */
  reclaimLeases(): void {
    for (const session of this.#lent) session.reclaim()
    this.#lent = []
  }

  async #goArc(to: DeviceState, options: ArcOptions): Promise<SessionHandle | undefined> {
    const from = this.#state
    if (options.aborted) throw interrupted(to, options.signal.reason)
    if (from === DeviceState.RESUMING) this.#checkLoadable()
    // A session that is loaded or drained while the driver takes it apart would tear.
    const leavesStopped = from === DeviceState.RESUMING || from === DeviceState.STOP_COPY
    const letGo = leavesStopped ? this.#session?.hold() : undefined
    let end: SessionEnd | undefined
    try {
      const answer = this.#driver.transition(from, to, options)
      // A turn of the microtask queue per arc is most of what a small device costs.
      end = (isThenable(answer) ? await answer : answer) ?? undefined
      if (endsSession(from, to)) this.endSession(`the device left ${deviceStateName(from)}`)
      this.#state = to
    } catch (error) {
      if (VfioError.is(error) && error.state === DeviceState.ERROR) {
        this.#state = DeviceState.ERROR
        this.endSession('the device failed')
      }
      const abort = options.aborted && (error === options.signal.reason || !VfioError.is(error))
      throw abort ? interrupted(to, error) : error
    } finally {
      letGo?.()
    }
    // The same stream goes on in another state of its group: its end may have become permanent.
    this.#session?.wake()
    return this.#takeEnd(end, from, to)
  }

  /** The kernel drops a file that an arc should not have returned; the state has changed all the same. */
  #takeEnd(end: SessionEnd | undefined, from: DeviceState, to: DeviceState): SessionHandle | undefined {
    const wanted = opensSession(from, to)
    if (end?.direction === wanted) {
      if (end === undefined) return undefined
      this.#session = openSession(end, this.#context)
      return this.#session
    }
    end?.end()
    const arc = `${deviceStateName(from)} to ${deviceStateName(to)}`
    const returned = end === undefined ? 'no SessionEnd' : `a SessionEnd to ${end.direction}`
    throw new VfioError(
      'EINVAL',
      `Cannot finish ${arc}: the driver returned ${returned}, the arc takes ${wanted ?? 'none'}`,
    )
  }

  #checkLoadable(): void {
    if (this.#session?.windowOut === true) {
      throw new VfioError('EBUSY', 'Cannot leave RESUMING: a window is out, commit it first')
    }
    const cause = this.#session?.failure
    if (cause !== undefined) {
      throw new VfioError('EINVAL', 'Cannot leave RESUMING: a write failed, reset the device', { cause })
    }
  }
}

function isThenable<T>(answer: Awaitable<T>): answer is Promise<T> {
  return typeof (answer as { then?: unknown } | undefined)?.then === 'function'
}

function interrupted(to: DeviceState, cause: unknown): VfioError {
  return new VfioError('EINTR', `Cannot enter ${deviceStateName(to)}: aborted, read the state back`, {
    cause,
  })
}
