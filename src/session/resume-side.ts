/**
 * The resuming half of a data session: write, window and commit, and the memory of a failed write.
 *
 * A content failure is sticky whatever the driver does about it: the stream has a hole from then on, so
 * every later write throws the same error and the device refuses to leave RESUMING with it.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { POLLOUT } from '../uapi/poll.ts'
import { checkAttached } from './attached.ts'
import { driverError } from './driver-error.ts'
import type { Absorbed, ResumeEnd, SessionWorker } from './session-end.ts'
import type { SessionLife } from './session-life.ts'

/** Most bytes of a window into the session's own staging buffer. */
export const STAGED_WINDOW_BYTES = 65_536

/** Failures that consume nothing, so the stream has no hole. */
const HARMLESS: ReadonlySet<string> = new Set(['EAGAIN', 'EBADF', 'EFAULT', 'EBUSY', 'ENOMEM'])

/** Works with a {@link ResumeEnd} on behalf of one session. */
export class ResumeSide {
  readonly #life: SessionLife
  readonly #sticky: boolean
  /** Outlives the end: profile exact checks the length of a write to a dead session first. */
  readonly #admit: ((byteLength: number) => void) | undefined
  #end: ResumeEnd | undefined
  #failure: VfioError | undefined
  #window: Uint8Array | undefined
  #staging: Uint8Array | undefined

  constructor(life: SessionLife, end: ResumeEnd) {
    this.#life = life
    this.#end = end
    this.#sticky = end.stickyFailures !== false
    this.#admit = end.admit?.bind(end)
  }

  /** The content failure every later write throws again. */
  get failure(): VfioError | undefined {
    return this.#failure
  }

  /** Whether someone may still be filling a window. */
  get windowOut(): boolean {
    return this.#window !== undefined && !this.#life.closed
  }

  write(src: Uint8Array): number {
    const end = this.#enter('write', src.length)
    this.#checkNoWindow('write')
    if (this.#failure !== undefined) throw this.#failure
    if (src.length > 0) this.#toEnd('write', () => writeAll(end, src, 'write'))
    else checkAttached(src, 'write')
    return src.length
  }

  absorb(src: Uint8Array): Absorbed {
    const end = this.#enter('write', src.length)
    if (end.absorb === undefined || src.length === 0) return { byteLength: this.write(src) }
    this.#checkNoWindow('write')
    if (this.#failure !== undefined) throw this.#failure
    return this.#toEnd('write', () => end.absorb!(src))
  }

  async attachWorker(worker: SessionWorker): Promise<void> {
    await this.#end!.attachWorker?.(worker)
  }

  window(maxBytes: number): Uint8Array {
    const end = this.#enter('window')
    this.#checkNoWindow('window')
    if (this.#failure !== undefined) throw this.#failure
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError(
        'EINVAL',
        `Cannot open a window of ${maxBytes} bytes: that is no size, ask for one or more`,
        {
          syscall: 'window',
        },
      )
    }
    const bytes =
      end.window === undefined ? this.#stage(maxBytes) : this.#toEnd('window', () => end.window!(maxBytes))
    if (bytes.length < 1 || bytes.length > maxBytes) {
      throw driverBug('window', `opened ${bytes.length} of ${maxBytes} bytes`)
    }
    this.#window = bytes
    return bytes
  }

  /** Gives the window back, filled or not; only after EAGAIN it stays out, for the same commit again. */
  commit(byteLength: number): void {
    const end = this.#enter('commit')
    const bytes = this.#window
    if (bytes === undefined) {
      throw new VfioError('EINVAL', 'Cannot commit: no window is out, open one', { syscall: 'commit' })
    }
    if (!Number.isSafeInteger(byteLength) || byteLength < 0 || byteLength > bytes.length) {
      throw new VfioError(
        'EINVAL',
        `Cannot commit ${byteLength} bytes: the window has ${bytes.length}, commit that many or fewer`,
        {
          syscall: 'commit',
        },
      )
    }
    this.#window = undefined
    try {
      this.#toEnd('commit', () => {
        if (end.window !== undefined) end.commit!(byteLength)
        else if (byteLength > 0) writeAll(end, bytes.subarray(0, byteLength), 'commit')
      })
    } catch (error) {
      if (VfioError.is(error, 'EAGAIN')) this.#window = bytes
      throw error
    }
  }

  poll(): number {
    return this.#end!.poll?.() ?? POLLOUT
  }

  end(): void {
    try {
      this.#end!.end()
    } catch {
      // It must not throw; the session is over all the same, and there is nobody left to tell.
    }
    this.#end = undefined
    this.#window = undefined
    this.#staging = undefined
  }

  /** A window dies with the session: `end` has let go of it. */
  reclaim(): void {}

  #enter(syscall: string, byteLength?: number): ResumeEnd {
    this.#life.checkOpen(syscall, 'resume')
    if (byteLength !== undefined) this.#admit?.(byteLength)
    this.#life.checkLive(syscall)
    return this.#end!
  }

  #checkNoWindow(syscall: string): void {
    if (this.#window === undefined) return
    throw new VfioError('EBUSY', `Cannot ${syscall}: a window is out, commit it`, { syscall })
  }

  #stage(maxBytes: number): Uint8Array {
    this.#staging ??= new Uint8Array(STAGED_WINDOW_BYTES)
    return this.#staging.subarray(0, Math.min(maxBytes, STAGED_WINDOW_BYTES))
  }

  #toEnd<T>(syscall: string, call: () => T): T {
    try {
      return call()
    } catch (error) {
      const failure = driverError(error, syscall, `${syscall} the data session`)
      if (this.#sticky && !HARMLESS.has(failure.code)) this.#failure = failure
      throw failure
    }
  }
}

function writeAll(end: ResumeEnd, src: Uint8Array, syscall: string): void {
  const taken = end.write(src)
  if (taken !== src.length) throw driverBug(syscall, `took ${taken} of ${src.length} bytes`)
}

function driverBug(syscall: string, what: string): VfioError {
  return new VfioError('EIO', `Cannot ${syscall}: the driver ${what}, fix its ResumeEnd`, { syscall })
}
