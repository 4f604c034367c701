/**
 * File descriptor numbers of data sessions, as a process has them.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { DataSession } from '../session/data-session.ts'
import type { SessionHandle } from '../session/open-session.ts'

/** 0 to 2 are standard input, output and error. */
const FIRST_FD = 3

/**
 * Numbers for the sessions that `ioctl` opens; several devices can share one table. A number lives until
 * `session.close()` or {@link close}, also when the session ended before.
 */
export class FdTable {
  /** How many numbers can be open at a time. */
  readonly limit: number
  readonly #sessions = new Map<number, DataSession>()

  /**
   * An empty table.
   *
   * @param options - `limit`: default 1024
   * @throws {@link VfioError} EINVAL when the limit is no whole number from 0
   */
  constructor(options: { limit?: number } = {}) {
    const { limit = 1024 } = options
    if (!Number.isSafeInteger(limit) || limit < 0) {
      throw new VfioError(
        'EINVAL',
        `Cannot make an fd table of ${limit} numbers: that is no count, pass a whole number from 0`,
      )
    }
    this.limit = limit
  }

  /** How many numbers are open. */
  get size(): number {
    return this.#sessions.size
  }

  /** The session with this number, or undefined. */
  get(fd: number): DataSession | undefined {
    return this.#sessions.get(fd)
  }

  /**
   * Closes the session with this number.
   *
   * @throws {@link VfioError} EBADF when there is none
   */
  close(fd: number): void {
    const session = this.#sessions.get(fd)
    if (session === undefined) {
      throw new VfioError('EBADF', `Cannot close fd ${fd}: it is not open, pass one that a call returned`, {
        syscall: 'close',
      })
    }
    session.close()
  }

  /**
   * The number that {@link install} would best use: the lowest free one.
   *
   * @internal
   * @throws {@link VfioError} EMFILE when all are taken
   */
  lowestFree(): number {
    if (this.#sessions.size >= this.limit) {
      throw new VfioError('EMFILE', `Cannot return the data fd: ${this.limit} are open, close one`, {
        syscall: 'ioctl',
      })
    }
    let fd = FIRST_FD
    while (this.#sessions.has(fd)) fd++
    return fd
  }

  /**
   * Publishes a session under a free number.
   *
   * @internal
   */
  install(fd: number, handle: SessionHandle): void {
    this.#sessions.set(fd, handle.session)
    handle.onClose(() => this.#sessions.delete(fd))
  }
}
