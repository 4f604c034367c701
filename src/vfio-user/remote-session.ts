/**
 * The data session of a remote device: MIG_DATA_READ and MIG_DATA_WRITE as a {@link MigrationSession}.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { PrecopyInfo } from '../session/session-end.ts'
import type { SessionLife } from '../session/session-life.ts'
import { ReadAhead } from './read-ahead.ts'
import { WriteBehind } from './write-behind.ts'

/** Handed out by `setState` of a {@link VfioUserClient}; what its calls throw is as with `DataSession`. */
export class RemoteSession implements MigrationSession {
  readonly #life: SessionLife
  readonly #side: ReadAhead | WriteBehind

  /** @internal */
  constructor(life: SessionLife, side: ReadAhead | WriteBehind) {
    this.#life = life
    this.#side = side
  }

  get direction(): 'save' | 'resume' {
    return this.#life.direction
  }

  /** Aborted when the session ends: ENODEV; when the connection is gone, ECONNRESET. */
  get ended(): AbortSignal {
    return this.#life.ended
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#life.closed
  }

  /**
   * Fills `dst` from its front; short reads are normal.
   *
   * @returns bytes read; 0 is the permanent end, in STOP_COPY only (or `dst` is empty)
   * @throws {@link VfioError} as `DataSession.read`; ECONNRESET the connection is gone
   */
  read(dst: Uint8Array): Awaitable<number> {
    return this.#save('read').read(dst)
  }

  /**
   * Sends all of `src`, and what windows gathered before it, and waits for the server's answer.
   *
   * @throws {@link VfioError} as `DataSession.write`; ECONNRESET the connection is gone
   */
  async write(src: Uint8Array): Promise<number> {
    return this.#resume('write').write(src)
  }

  /** `poll(2)` bits. In PRE_COPY without POLLIN once the server had nothing: {@link ready} asks it again. */
  poll(): number {
    return this.#life.poll()
  }

  /** Waits for one of `events`, or the end; a server that had nothing is asked from time to time meanwhile. */
  async ready(events: number, options: { signal?: AbortSignal } = {}): Promise<number> {
    const forget = this.#side instanceof ReadAhead ? this.#side.watch() : undefined
    try {
      return await this.#life.ready(events, options)
    } finally {
      forget?.()
    }
  }

  /** No estimates. @throws {@link VfioError} ENOTTY: vfio-user does not carry them; EBADF closed */
  precopyInfo(): PrecopyInfo {
    this.#life.checkOpen('ioctl')
    const reason = 'vfio-user does not carry it, go on without it'
    throw new VfioError('ENOTTY', `Cannot get precopy info: ${reason}`, { syscall: 'ioctl' })
  }

  /**
   * The next 1 to `maxBytes` stream bytes where they were received. Leases queue and survive the session's end.
   *
   * @throws {@link VfioError} as `DataSession.lease`; ECONNRESET the connection is gone
   */
  lease(maxBytes: number): Awaitable<Uint8Array> {
    return this.#save('lease').lease(maxBytes)
  }

  /** Gives back the oldest lease. @throws {@link VfioError} EINVAL none is out; EBADF resuming */
  release(): void {
    this.#save('release').release()
  }

  /**
   * Where the next 1 to `maxBytes` stream bytes belong: in the message that is sent once it is full, at the latest
   * when RESUMING is left. So an error may come later than the bytes that caused it.
   *
   * @throws {@link VfioError} as `DataSession.window`; ECONNRESET the connection is gone
   */
  window(maxBytes: number): Awaitable<Uint8Array> {
    return this.#resume('window').window(maxBytes)
  }

  /** The first `byteLength` bytes of the window were filled. @throws {@link VfioError} as `DataSession.commit` */
  commit(byteLength: number): void {
    this.#resume('commit').commit(byteLength)
  }

  /** Lets go of the session. The device keeps its state, and what was committed is sent when RESUMING is left. */
  close(): void {
    this.#life.close()
  }

  #save(syscall: string): ReadAhead {
    if (!(this.#side instanceof ReadAhead)) this.#life.checkOpen(syscall, 'save')
    return this.#side as ReadAhead
  }

  #resume(syscall: string): WriteBehind {
    if (!(this.#side instanceof WriteBehind)) this.#life.checkOpen(syscall, 'resume')
    return this.#side as WriteBehind
  }
}
