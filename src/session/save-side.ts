/**
 * The saving half of a data session: read, lease and release, precopy info.
 *
 * What the driver's end returns is brought into the contract here: a 0 in PRE_COPY is ENOMSG, because
 * only STOP_COPY has a permanent end, and a driver without leases gets copied ones.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { POLLIN, POLLRDNORM } from '../uapi/poll.ts'
import { DeviceState } from '../uapi/state.ts'
import { checkAttached } from './attached.ts'
import { CopiedLeases } from './copied-leases.ts'
import { driverError } from './driver-error.ts'
import type { PrecopyInfo, SaveEnd, SessionWorker } from './session-end.ts'
import type { SessionLife } from './session-life.ts'

/** Works with a {@link SaveEnd} on behalf of one session. */
export class SaveSide {
  /** Whether the driver answers the precopy ioctl at all. */
  readonly hasPrecopyInfo: boolean
  readonly #life: SessionLife
  readonly #copies: CopiedLeases | undefined
  #end: SaveEnd | undefined
  #leasesOut = 0
  #over = false

  constructor(life: SessionLife, end: SaveEnd) {
    this.#life = life
    this.#end = end
    this.#copies = end.lease === undefined ? new CopiedLeases() : undefined
    this.hasPrecopyInfo = end.precopyInfo !== undefined
  }

  /** @param rawEnd - whether a driver's raw 0 in PRE_COPY may be shown (profile exact, `read` only) */
  read(dst: Uint8Array, rawEnd = true): number {
    const end = this.#enter('read')
    if (this.#leasesOut > 0) {
      throw new VfioError('EBUSY', 'Cannot read: a lease is out, release it', { syscall: 'read' })
    }
    if (dst.length === 0) {
      checkAttached(dst, 'read')
      return 0
    }
    const byteLength = this.#readEnd(end, dst, 'read')
    if (byteLength === 0 && !(rawEnd && end.rawEnd === true)) this.#checkPermanentEnd('read')
    return byteLength
  }

  lease(maxBytes: number): Uint8Array {
    const end = this.#enter('lease')
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
      throw new VfioError('EINVAL', `Cannot lease ${maxBytes} bytes: that is no size, ask for one or more`, {
        syscall: 'lease',
      })
    }
    const bytes =
      this.#copies === undefined
        ? this.#fromEnd('lease', () => end.lease!(maxBytes))
        : this.#copies.lease(maxBytes, (dst) => this.#readEnd(end, dst, 'lease'))
    if (bytes.length > maxBytes) throw driverBug('lease', `returned ${bytes.length} of ${maxBytes} bytes`)
    if (bytes.length === 0) this.#checkPermanentEnd('lease')
    else this.#leasesOut++
    return bytes
  }

  async attachWorker(worker: SessionWorker): Promise<void> {
    await this.#end!.attachWorker?.(worker)
  }

  /** How many leases were not released yet. */
  get leasesOut(): number {
    return this.#leasesOut
  }

  /** Works after the end and after close too: bytes on their way to a socket are given back late. */
  release(): void {
    if (this.#leasesOut === 0) {
      this.#life.checkOpen('release')
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first', { syscall: 'release' })
    }
    this.#leasesOut--
    if (this.#copies === undefined) this.#end?.release?.()
    else this.#copies.release()
    this.#dropEnd()
    this.#life.wake()
  }

  /** The checks that follow the ioctl's own: ENODEV and EINVAL in the kernel's order (facts B.1). */
  precopyInfo(): PrecopyInfo {
    const life = this.#life
    life.checkOpen('ioctl')
    // A closed device has no state any more that could be EINVAL.
    if (life.context.isDeviceClosed()) life.checkNotEnded('ioctl')
    if (!inPreCopy(life.context.deviceState())) {
      throw new VfioError('EINVAL', 'Cannot get precopy info: the device is not in PRE_COPY, enter it', {
        syscall: 'ioctl',
      })
    }
    life.checkLive('ioctl')
    const { initialBytes, dirtyBytes, reinit } = this.#fromEnd('ioctl', () => this.#end!.precopyInfo!())
    return { initialBytes, dirtyBytes, reinit: reinit && life.context.precopyInfoV2() }
  }

  poll(): number {
    const events = this.#end!.poll()
    return this.#copies?.exhausted === true ? events & ~(POLLIN | POLLRDNORM) : events
  }

  end(): void {
    this.#over = true
    try {
      this.#end!.end()
    } catch {
      // It must not throw; the session is over all the same, and there is nobody left to tell.
    }
    this.#dropEnd()
  }

  reclaim(): void {
    // Closed by a listener of `ended`: the end comes first, and then this again.
    if (!this.#over) return
    const end = this.#end
    this.#end = undefined
    for (let count = this.#leasesOut; count > 0; count--) {
      try {
        end?.release?.()
      } catch {
        // As in end(): there is nobody left to tell.
      }
    }
  }

  #enter(syscall: string): SaveEnd {
    this.#life.checkOpen(syscall, 'save')
    this.#life.checkLive(syscall)
    return this.#end!
  }

  #readEnd(end: SaveEnd, dst: Uint8Array, syscall: string): number {
    const byteLength = this.#fromEnd(syscall, () => end.read(dst))
    if (Number.isSafeInteger(byteLength) && byteLength >= 0 && byteLength <= dst.length) return byteLength
    throw driverBug(syscall, `returned ${byteLength} of ${dst.length} bytes`)
  }

  #fromEnd<T>(syscall: string, call: () => T): T {
    try {
      return call()
    } catch (error) {
      // ENOMSG means "more may come", which nothing can after the device stopped.
      if (VfioError.is(error, 'ENOMSG') && !inPreCopy(this.#life.context.deviceState())) {
        throw driverBug(syscall, 'threw ENOMSG outside PRE_COPY')
      }
      throw driverError(error, syscall, `${syscall} the data session`)
    }
  }

  #checkPermanentEnd(syscall: string): void {
    if (!inPreCopy(this.#life.context.deviceState())) return
    throw new VfioError('ENOMSG', `Cannot ${syscall}: nothing to read now, wait or enter STOP_COPY`, {
      syscall,
    })
  }

  /** Leases may point into the driver's memory, so its end goes with the last of them. */
  #dropEnd(): void {
    if (this.#over && this.#leasesOut === 0) this.#end = undefined
  }
}

function inPreCopy(state: DeviceState): boolean {
  return state === DeviceState.PRE_COPY || state === DeviceState.PRE_COPY_P2P
}

function driverBug(syscall: string, what: string): VfioError {
  return new VfioError('EIO', `Cannot ${syscall}: the driver ${what}, fix its SaveEnd`, { syscall })
}
