/**
 * The life of a data session: open, held, ended, closed, and who waits for it.
 *
 * Every call passes the same checks in the same order: EBADF (closed, wrong direction), ENODEV (ended),
 * EBUSY (an arc is under way). Ended and closed are independent: the device ends a session, the user
 * closes it, and a closed session goes on living for the device until its group is left (facts A.7).
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { POLLERR, POLLHUP, POLLNVAL } from '../uapi/poll.ts'
import type { DeviceState } from '../uapi/state.ts'

/** What a session asks its device. */
export interface SessionContext {
  /** The last completed state. */
  deviceState(): DeviceState
  isDeviceClosed(): boolean
  /** Whether MIG_PRECOPY_INFOv2 was enabled; without it the REINIT flag is not shown. */
  precopyInfoV2(): boolean
}

/** The half of a session that works with the driver's end. */
interface SessionSide {
  poll(): number
  /** The session ended: end the driver's side and drop it. */
  end(): void
  /** Gives back what is still lent out of an ended session; a later release has nothing left to do. */
  reclaim(): void
}

/** Shared by all parts of one session; users never see it. */
export class SessionLife {
  readonly direction: 'save' | 'resume'
  readonly context: SessionContext
  /** Called once when the user closes the session: its fd number becomes free. */
  onClose: (() => void) | undefined
  /** Made for those who look: an AbortController costs more than the session of a small device. */
  #controller: AbortController | undefined
  /** Why the session ended. */
  #endReason: string | undefined
  #endError: VfioError | undefined
  /** The failure of a remote device that is gone. */
  #lostBy: VfioError | undefined
  readonly #waiters = new Set<() => void>()
  #side: SessionSide | undefined
  #closed = false
  #holds = 0

  constructor(direction: 'save' | 'resume', context: SessionContext) {
    this.direction = direction
    this.context = context
  }

  /** Connects the half that works with the driver's end. */
  bind(side: SessionSide): void {
    this.#side = side
  }

  get closed(): boolean {
    return this.#closed
  }

  get ended(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#isOver) this.#controller.abort(this.#endFailure())
    }
    return this.#controller.signal
  }

  get #isOver(): boolean {
    return this.#endReason !== undefined
  }

  /** The error that `ended` is aborted with, always the same. */
  #endFailure(): VfioError {
    return (this.#endError ??= new VfioError(
      'ENODEV',
      `Cannot use the data session: ${this.#endReason}, enter its state again`,
    ))
  }

  /** An arc that may end the session is under way. */
  get held(): boolean {
    return this.#holds > 0
  }

  /** EBADF when the user closed the session or the call goes the other way. */
  checkOpen(syscall: string, direction: 'save' | 'resume' = this.direction): void {
    if (this.#closed) throw refusal('EBADF', syscall, 'the session is closed, open a new one')
    if (direction !== this.direction) {
      const only = this.direction === 'save' ? 'readable, read it' : 'writable, write to it'
      throw refusal('EBADF', syscall, `the session is only ${only}`)
    }
  }

  /** ENODEV when the device ended the session, then EBUSY while an arc that may end it is under way. */
  checkLive(syscall: string): void {
    this.checkNotEnded(syscall)
    if (this.held) throw refusal('EBUSY', syscall, 'the device is changing its state, wait for it')
  }

  /** ENODEV when the device ended the session, or what it was lost with. */
  checkNotEnded(syscall: string): void {
    if (!this.#isOver) return
    if (this.#lostBy !== undefined) throw this.#lostBy
    throw new VfioError('ENODEV', `Cannot ${syscall}: the session has ended, enter its state again`, {
      syscall,
      cause: this.#endFailure(),
    })
  }

  /** `poll(2)` bits. Nothing is ready while an arc is under way: every call would be EBUSY. */
  poll(): number {
    if (this.#closed) return POLLNVAL
    if (this.#isOver) return POLLERR | POLLHUP
    return this.held ? 0 : this.#side!.poll()
  }

  /** Resolves to the events seen, once there are any; rejects with the signal's reason. */
  ready(events: number, options: { signal?: AbortSignal } = {}): Promise<number> {
    const { signal } = options
    const wanted = events | POLLERR | POLLHUP | POLLNVAL
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const seenNow = this.poll() & wanted
      if (seenNow !== 0) {
        resolve(seenNow)
        return
      }
      const release = keepAlive()
      const forget = (): void => {
        release()
        this.#waiters.delete(look)
        signal?.removeEventListener('abort', abort)
      }
      const look = (): void => {
        const seen = this.poll() & wanted
        if (seen === 0) return
        forget()
        resolve(seen)
      }
      const abort = (): void => {
        forget()
        reject(signal?.reason as Error)
      }
      this.#waiters.add(look)
      signal?.addEventListener('abort', abort)
    })
  }

  /**
   * Settles at the next wake, whatever `poll` says. The streams wait with it after ENOMSG and EAGAIN: a
   * driver whose `poll` is always readable (most kernel drivers) would make a loop around `ready` spin.
   */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      const release = keepAlive()
      const look = (): void => {
        release()
        this.#waiters.delete(look)
        resolve()
      }
      this.#waiters.add(look)
    })
  }

  /** `poll` may have changed. */
  wake(): void {
    for (const look of this.#waiters) look()
  }

  /** Makes every call EBUSY until the returned function is called. */
  hold(): () => void {
    this.#holds++
    return () => {
      this.#holds--
      this.wake()
    }
  }

  /** The user lets go. The device notices nothing. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.onClose?.()
    this.onClose = undefined
    if (this.#isOver) this.#side!.reclaim()
    this.wake()
  }

  /**
   * The device ends the session. Listeners of `ended` run before the driver's side gives back memory.
   *
   * @param lostBy - what every call fails with from now on instead of ENODEV: a remote device that is gone
   */
  terminate(reason: string, lostBy?: VfioError): void {
    if (this.#isOver) return
    this.#endReason = reason
    this.#lostBy = lostBy
    this.#endError = lostBy
    this.#controller?.abort(this.#endFailure())
    this.#side!.end()
    // Ended and closed, nobody refers to the session any more: it must hold no engine memory.
    if (this.#closed) this.#side!.reclaim()
    this.wake()
  }
}

function refusal(code: 'EBADF' | 'EBUSY', syscall: string, reason: string): VfioError {
  return new VfioError(code, `Cannot ${syscall}: ${reason}`, { syscall })
}

/**
 * Keeps a program alive while it waits, as a pending read of a socket does: a device's own clock does not,
 * so that a forgotten device never keeps a program from ending.
 */
function keepAlive(): () => void {
  const timer = setInterval(() => {}, 0x7fff_ffff)
  return () => clearInterval(timer)
}
