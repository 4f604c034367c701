/**
 * A driver that fails where it is told to, around a real one.
 *
 * Everything that is not told to fail goes to the wrapped driver unchanged, so what a test sees is
 * the failure path of the code above the driver and the driver's own recovery.
 *
 * @module
 */

import type { DeviceIdentity, DeviceRegions, DirtyLogOps, Driver } from '../device/driver.ts'
import { Errno, VfioError } from '../errors.ts'
import type { Awaitable, ErrnoName } from '../errors.ts'
import type { PrecopyInfo, ResumeEnd, SaveEnd, SessionEnd } from '../session/session-end.ts'
import { POLLOUT } from '../uapi/poll.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'

/** Name of a device state, such as 'STOP_COPY'. */
export type StateName = keyof typeof DeviceState

/** One arc, such as 'STOP->STOP_COPY'. */
export type ArcName = `${StateName}->${StateName}`

/** What fails, and how. */
export interface Faults {
  /** The arc that fails, each time it is tried, before the wrapped driver sees it. */
  failAt?: ArcName | { from: DeviceState; to: DeviceState } | undefined
  /** Stream offset in bytes: a saving session delivers what comes before it and then fails. */
  failRead?: number | undefined
  /** Stream offset in bytes: a write that would cover it fails, and so does every later one. */
  failWrite?: number | undefined
  /** errno of the failure, by name or number of either sign; default EIO. */
  errno?: ErrnoName | number | undefined
  /** The failing arc moves the device to ERROR instead of keeping the last completed state. */
  toError?: boolean | undefined
  /** So many failures of `failAt`, then the arc works; default all of them. */
  times?: number | undefined
  /** Every reset fails. */
  failReset?: boolean | undefined
}

/**
 * Wraps a driver and injects failure.
 *
 * @example
 * ```ts
 * import { VfioDevice, DeviceState } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { FaultyDevice } from 'stopcopy/testing'
 * const faulty = new FaultyDevice(createMtty(), { failAt: 'STOP->STOP_COPY', errno: 'EBUSY' })
 * const device = await VfioDevice.open(faulty)
 * await device.setState(DeviceState.STOP_COPY).catch((error) => console.log(error.code)) // EBUSY
 * console.log(await device.state() === DeviceState.STOP) // true: the last completed state
 * faulty.faults.failAt = undefined // healed
 * ```
 */
export class FaultyDevice implements Driver {
  /** May be changed at any time; read and write faults apply to sessions opened afterwards. */
  readonly faults: Faults
  /** Every arc tried, in order, failed ones included. */
  readonly transitions: ArcName[] = []
  /** How often the driver was reset. */
  resets = 0
  /** Absent in the wrapped driver means ENOTTY, so it must be absent here too. */
  readonly throttle?: (percent: number) => Awaitable<void>
  readonly #driver: Driver

  /**
   * Wraps `driver`.
   *
   * @throws {@link VfioError} EINVAL for an arc or an errno that does not exist: it would never fail
   */
  constructor(driver: Driver, faults: Faults = {}) {
    this.#driver = driver
    this.faults = { ...faults }
    checkFaults(this.faults)
    if (driver.throttle !== undefined) this.throttle = (percent) => driver.throttle?.(percent)
  }

  get flags(): number {
    return this.#driver.flags
  }

  /** Of the wrapped driver. */
  get identity(): DeviceIdentity {
    return this.#driver.identity
  }

  get profile(): 'strict' | 'exact' {
    return this.#driver.profile ?? 'strict'
  }

  /** Of the wrapped driver. */
  get dirtyLog(): DirtyLogOps | undefined {
    return this.#driver.dirtyLog
  }

  /** Of the wrapped driver. */
  get regions(): DeviceRegions | undefined {
    return this.#driver.regions
  }

  open(): Awaitable<void> {
    return this.#driver.open?.()
  }

  close(): Awaitable<void> {
    return this.#driver.close?.()
  }

  stopCopyLength(): Awaitable<number> {
    return this.#driver.stopCopyLength()
  }

  reset(): Awaitable<void> {
    this.resets++
    if (this.faults.failReset === true) throw this.#failure('Cannot reset', DeviceState.ERROR)
    return this.#driver.reset()
  }

  /**
   * Takes the arc, unless it is to fail.
   *
   * @throws {@link VfioError} `faults.errno` at the arc `faults.failAt`; otherwise as the wrapped driver.
   */
  async transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    const arc = `${deviceStateName(from)}->${deviceStateName(to)}` as ArcName
    this.transitions.push(arc)
    if (this.#failsAt(arc, from, to)) {
      if (this.faults.times !== undefined) this.faults.times--
      throw this.#failure(`Cannot take arc ${arc}`, this.faults.toError ? DeviceState.ERROR : from)
    }
    const end = await this.#driver.transition(from, to, options)
    if (end === undefined) return undefined
    return end.direction === 'save' ? this.#faultyRead(end) : this.#faultyWrite(end)
  }

  #failsAt(arc: ArcName, from: DeviceState, to: DeviceState): boolean {
    const { failAt, times = 1 } = this.faults
    if (times <= 0) return false
    return typeof failAt === 'string' ? failAt === arc : failAt?.from === from && failAt.to === to
  }

  #failure(action: string, state?: DeviceState): VfioError {
    const message = `${action}: a fault was injected here, clear it in \`faults\``
    const options = state === undefined ? {} : { state }
    const { errno = 'EIO' } = this.faults
    return typeof errno === 'number'
      ? VfioError.fromErrno(errno, message, options)
      : new VfioError(errno, message, options)
  }

  #faultyRead(end: SaveEnd): SaveEnd {
    const { failRead } = this.faults
    if (failRead === undefined) return end
    return new FaultySaveEnd(end, failRead, () => this.#failure(`Cannot read past byte ${failRead}`))
  }

  #faultyWrite(end: ResumeEnd): ResumeEnd {
    const { failWrite } = this.faults
    if (failWrite === undefined) return end
    return new FaultyResumeEnd(end, failWrite, () => this.#failure(`Cannot write byte ${failWrite}`))
  }
}

function checkFaults({ failAt, errno }: Faults): void {
  const states = Object.keys(DeviceState)
  const [from, to, ...rest] =
    typeof failAt === 'object' ? [failAt.from, failAt.to].map(deviceStateName) : (failAt?.split('->') ?? [])
  if (
    failAt !== undefined &&
    !(rest.length === 0 && states.includes(from ?? '') && states.includes(to ?? ''))
  ) {
    throw new VfioError(
      'EINVAL',
      `Cannot inject faults: ${JSON.stringify(failAt)} is no arc, use 'STOP->STOP_COPY'`,
    )
  }
  const known = typeof errno === 'number' ? Number.isInteger(errno) : errno === undefined || errno in Errno
  if (!known)
    throw new VfioError('EINVAL', `Cannot inject faults: ${errno} is no errno, use a name such as 'EIO'`)
}

/** Leaves out `lease`, so that every byte passes `read`, where the fault is. */
class FaultySaveEnd implements SaveEnd {
  readonly direction = 'save'
  readonly rawEnd: boolean
  /** Absent in the wrapped end means ENOTTY, so it must be absent here too. */
  readonly precopyInfo?: () => PrecopyInfo
  readonly #end: SaveEnd
  readonly #failure: () => VfioError
  #left: number

  constructor(end: SaveEnd, failRead: number, failure: () => VfioError) {
    this.#end = end
    this.#left = failRead
    this.#failure = failure
    this.rawEnd = end.rawEnd ?? false
    if (end.precopyInfo !== undefined) this.precopyInfo = () => end.precopyInfo!()
  }

  read(dst: Uint8Array): number {
    if (this.#left === 0) throw this.#failure()
    const byteLength = this.#end.read(dst.subarray(0, this.#left))
    this.#left -= byteLength
    return byteLength
  }

  poll(): number {
    return this.#end.poll()
  }

  attach(wake: () => void): void {
    this.#end.attach?.(wake)
  }

  end(): void {
    this.#end.end()
  }
}

/** Leaves out `window`, so that every byte passes `write`, where the fault is. */
class FaultyResumeEnd implements ResumeEnd {
  readonly direction = 'resume'
  readonly stickyFailures: boolean
  readonly #end: ResumeEnd
  readonly #failure: () => VfioError
  #left: number
  #hasFailed = false

  constructor(end: ResumeEnd, failWrite: number, failure: () => VfioError) {
    this.#end = end
    this.#left = failWrite
    this.#failure = failure
    this.stickyFailures = end.stickyFailures ?? true
  }

  write(src: Uint8Array): number {
    if (this.#hasFailed || src.length > this.#left) {
      this.#hasFailed = true
      throw this.#failure()
    }
    const byteLength = this.#end.write(src)
    this.#left -= byteLength
    return byteLength
  }

  poll(): number {
    return this.#end.poll?.() ?? POLLOUT
  }

  admit(byteLength: number): void {
    this.#end.admit?.(byteLength)
  }

  attach(wake: () => void): void {
    this.#end.attach?.(wake)
  }

  end(): void {
    this.#end.end()
  }
}
