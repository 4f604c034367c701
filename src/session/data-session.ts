/**
 * The data_fd: what the user of a device reads its state from or writes it to.
 *
 * One non-blocking byte stream, readable (saving) or writable (resuming), never seekable. Errnos follow
 * facts B.1, and always in this order: EBADF, ENODEV, EBUSY, then the driver's.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { MigrationSession } from './migration-session.ts'
import { precopyIoctl } from './precopy-ioctl.ts'
import { ResumeSide } from './resume-side.ts'
import { SaveSide } from './save-side.ts'
import type { Absorbed, PrecopyInfo, SessionWorker } from './session-end.ts'
import type { SessionLife } from './session-life.ts'
import { resumeStream, saveStream } from './web-streams.ts'

/**
 * A local data session. `setState` and `ioctl` hand it out; it cannot be made otherwise.
 *
 * @example
 * ```ts
 * const session = await device.setState(DeviceState.STOP_COPY)
 * const buffer = new Uint8Array(65536)
 * for (let n; (n = session.read(buffer)) > 0; ) sink.write(buffer.slice(0, n))
 * ```
 */
export class DataSession implements MigrationSession {
  readonly #life: SessionLife
  readonly #side: SaveSide | ResumeSide

  /** @internal */
  constructor(life: SessionLife, side: SaveSide | ResumeSide) {
    this.#life = life
    this.#side = side
  }

  get direction(): 'save' | 'resume' {
    return this.#life.direction
  }

  /** Aborted with an ENODEV error when the device ends the session, before the device may run again. */
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
   * @throws {@link VfioError} EBADF closed or resuming; ENODEV ended; EBUSY while a lease is out or an arc
   * is under way; EFAULT a detached `dst`; ENOMSG nothing now, more may come (PRE_COPY); EAGAIN not ready;
   * the device's failure
   */
  read(dst: Uint8Array): number {
    return this.#save('read').read(dst)
  }

  /**
   * Takes all of `src`; the stream may be cut anywhere.
   *
   * @returns `src.length`
   * @throws {@link VfioError} EBADF closed or saving; ENODEV ended; EBUSY while a window is out or an arc
   * is under way; EAGAIN, EFAULT and ENOMEM (longer than what is left): nothing consumed. Any other is a
   * failure of content and sticky: every later write throws it again.
   */
  write(src: Uint8Array): number {
    return this.#resume('write').write(src)
  }

  /** `poll(2)` bits; POLLERR | POLLHUP after the end, POLLNVAL after close, 0 while an arc is under way. */
  poll(): number {
    return this.#life.poll()
  }

  /**
   * Waits for one of `events`, or POLLERR, POLLHUP or POLLNVAL.
   *
   * @returns those of them that were seen; rejects with the signal's reason when aborted
   */
  ready(events: number, options: { signal?: AbortSignal } = {}): Promise<number> {
    return this.#life.ready(events, options)
  }

  /**
   * Estimates of what is unread, in bytes.
   *
   * @throws {@link VfioError} EBADF closed; ENOTTY resuming, or the driver has none; EINVAL outside
   * PRE_COPY and PRE_COPY_P2P; ENODEV ended (EINVAL comes first, facts B.1)
   */
  precopyInfo(): PrecopyInfo {
    this.#life.checkOpen('ioctl')
    if (this.#side instanceof SaveSide && this.#side.hasPrecopyInfo) return this.#side.precopyInfo()
    throw new VfioError('ENOTTY', 'Cannot get precopy info: this session has none, go on without it', {
      syscall: 'ioctl',
    })
  }

  /**
   * VFIO_MIG_GET_PRECOPY_INFO on the 24 bytes at `address` of `memory`.
   *
   * @returns 0
   * @throws {@link VfioError} EBADF closed, then as facts B.1: ENOTTY, EFAULT, EINVAL, ENODEV
   */
  ioctl(request: number, memory: Uint8Array, address = 0): number {
    this.#life.checkOpen('ioctl')
    return precopyIoctl(this.#side instanceof SaveSide ? this.#side : undefined, request, memory, address)
  }

  /**
   * The next 1 to `maxBytes` stream bytes without a copy where the driver can, else a copy of at most
   * 64 KiB. Leases queue and do not change before their {@link release}; they survive the way into
   * STOP_COPY.
   *
   * @returns an empty view (not a lease) at the permanent end
   * @throws {@link VfioError} as {@link read}; EAGAIN also when too many are out; EINVAL for `maxBytes` < 1
   */
  lease(maxBytes: number): Uint8Array {
    return this.#save('lease').lease(maxBytes)
  }

  /**
   * Gives back the oldest lease; also after the session ended or was closed. When it is both, or the
   * device is closed, the memory of leases still out is given back without it.
   *
   * @throws {@link VfioError} EINVAL when none is out; EBADF when it is closed too, or resuming
   */
  release(): void {
    this.#save('release').release()
  }

  /**
   * Where the next 1 to `maxBytes` stream bytes belong; never empty. One at a time: until its
   * {@link commit}, `write`, another `window` and leaving RESUMING are EBUSY.
   *
   * @throws {@link VfioError} as {@link write}; EINVAL for `maxBytes` < 1
   */
  window(maxBytes: number): Uint8Array {
    return this.#resume('window').window(maxBytes)
  }

  /**
   * The first `byteLength` bytes of the window were filled; 0 gives it back. After EAGAIN the window
   * stays out, after any other failure of the driver it is given back.
   *
   * @throws {@link VfioError} as {@link write}; EINVAL when no window is out or it is shorter
   */
  commit(byteLength: number): void {
    this.#resume('commit').commit(byteLength)
  }

  /**
   * Takes the first bytes of `src`, which is not empty: a `write` that may be short. Where the result has a
   * `reading`, the bytes must not change before it is settled. Bytes in the device's own engine, such as the
   * leases of another device there, are copied and verified in one pass.
   *
   * @throws {@link VfioError} as {@link write}; EAGAIN also while earlier bytes are still being verified that
   * these must wait for
   */
  absorb(src: Uint8Array): Absorbed {
    return this.#resume('write').absorb(src)
  }

  /**
   * Lets a worker share the session's work, if the device can use it.
   *
   * @throws {@link VfioError} EBADF closed session or worker; EIO when the worker's thread ended
   */
  async attachWorker(worker: SessionWorker): Promise<void> {
    this.#life.checkOpen('attach a worker')
    if (!this.#life.ended.aborted) await this.#side.attachWorker(worker)
  }

  /**
   * The session as a stream of owned chunks of at most {@link STREAM_CHUNK_BYTES}. It stays open across
   * ENOMSG, closes at the permanent end and fails with ENODEV when the session ends before. Cancelling
   * closes the session.
   *
   * @throws {@link VfioError} EBADF closed or resuming
   */
  readable(): ReadableStream<Uint8Array> {
    this.#life.checkOpen('read', 'save')
    return saveStream(this.#life, this.#save('read'))
  }

  /**
   * The session as a stream to write to. Closing it does not leave RESUMING; aborting closes the session.
   *
   * @throws {@link VfioError} EBADF closed or saving
   */
  writable(): WritableStream<Uint8Array> {
    this.#life.checkOpen('write', 'resume')
    return resumeStream(this.#life, this.#resume('write'))
  }

  /** Lets go of the session and its fd number. The device keeps its state and what was written. */
  close(): void {
    this.#life.close()
  }

  #save(syscall: string): SaveSide {
    if (!(this.#side instanceof SaveSide)) this.#life.checkOpen(syscall, 'save')
    return this.#side as SaveSide
  }

  #resume(syscall: string): ResumeSide {
    if (!(this.#side instanceof ResumeSide)) this.#life.checkOpen(syscall, 'resume')
    return this.#side as ResumeSide
  }
}
