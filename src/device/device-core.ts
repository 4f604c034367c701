/**
 * One open device: what typed calls and the byte ioctl have in common, behind the state lock.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { driverError } from '../session/driver-error.ts'
import type { SessionHandle } from '../session/open-session.ts'
import type { DmaLoggingStart } from '../uapi/dma-logging.ts'
import { type FeatureCapabilities, findFeature } from '../uapi/feature-checks.ts'
import { DeviceFeature } from '../uapi/features.ts'
import type { DeviceState } from '../uapi/state.ts'
import { DirtyBitmap } from './dirty-bitmap.ts'
import type { DirtyLogOps, DmaRange, Driver } from './driver.ts'
import { checkDriver, claimDriver, releaseDriver } from './registration.ts'
import { StateLock } from './state-lock.ts'
import { StateWalk } from './state-walk.ts'

/** Everything a device does, without how it is called. */
export class DeviceCore {
  readonly driver: Driver
  readonly capabilities: FeatureCapabilities
  readonly #walk: StateWalk
  readonly #lock: StateLock
  /** Lives as long as the open device: the opt-in ends with the close. */
  #precopyInfoV2 = false
  /** Calls are refused from here on... */
  #closing = false
  /** ... and sessions see the device gone from here on, when the calls before the close are done. */
  #closed = false

  private constructor(driver: Driver, flags: number) {
    this.driver = driver
    this.capabilities = { flags, dmaLogging: driver.dirtyLog !== undefined }
    this.#walk = new StateWalk(driver, {
      isDeviceClosed: () => this.#closed,
      precopyInfoV2: () => this.#precopyInfoV2,
    })
    this.#lock = new StateLock(() => this.#walk.reset())
  }

  /** Registers and opens a driver; see `VfioDevice.open`. */
  static async open(driver: Driver): Promise<DeviceCore> {
    const flags = checkDriver(driver)
    claimDriver(driver)
    try {
      await driver.open?.()
    } catch (error) {
      releaseDriver(driver)
      throw driverError(error, 'open', 'open the device')
    }
    return new DeviceCore(driver, flags)
  }

  /** The last completed state, without waiting for a call under way; undefined when closed. */
  get stateNow(): DeviceState | undefined {
    return this.#closing ? undefined : this.#walk.state
  }

  /** EBADF once the device is closed. */
  checkOpen(syscall: string): void {
    if (!this.#closing) return
    throw new VfioError('EBADF', `Cannot ${syscall}: the device is closed, open it`, { syscall })
  }

  flags(): number {
    this.#checkFeature(DeviceFeature.MIGRATION)
    return this.capabilities.flags
  }

  /** Through the lock, so that a pending reset is seen applied. */
  state(): Promise<DeviceState> {
    this.#checkFeature(DeviceFeature.MIG_DEVICE_STATE)
    return this.#lock.run(() => this.#walk.state)
  }

  setState(target: number, signal?: AbortSignal): Promise<SessionHandle | undefined> {
    this.#checkFeature(DeviceFeature.MIG_DEVICE_STATE)
    return this.#lock.run(() => this.#walk.go(target, signal))
  }

  stopCopyLength(): Promise<number> {
    this.#checkFeature(DeviceFeature.MIG_DATA_SIZE)
    return this.#lock.run(() =>
      attempt('ask for the stop-copy length', async () => {
        const byteLength = await this.driver.stopCopyLength()
        if (Number.isSafeInteger(byteLength) && byteLength >= 0) return byteLength
        throw new RangeError(`a stop-copy length of ${byteLength}`)
      }),
    )
  }

  enablePrecopyInfoV2(): void {
    this.#checkFeature(DeviceFeature.MIG_PRECOPY_INFOv2)
    this.#precopyInfoV2 = true
  }

  /** ENOTTY without the hook, then EINVAL outside 0 to 99. */
  async throttle(percent: number): Promise<void> {
    this.checkOpen('throttle')
    if (this.driver.throttle === undefined)
      throw new VfioError('ENOTTY', 'Cannot throttle the device: its driver has no throttle(), add it', {
        syscall: 'throttle',
      })
    if (!Number.isInteger(percent) || percent < 0 || percent > 99)
      throw new VfioError(
        'EINVAL',
        `Cannot throttle the device by ${percent} percent: that is out of range, use an integer of 0 to 99`,
        { syscall: 'throttle' },
      )
    await this.#lock.run(async () => {
      try {
        await this.driver.throttle?.(percent)
      } catch (error) {
        throw driverError(error, 'throttle', 'throttle the device')
      }
    })
  }

  /** Page size in use. `start` has passed its checks. */
  startLogging(start: DmaLoggingStart): Promise<bigint> {
    const log = this.dirtyLog(DeviceFeature.DMA_LOGGING_START)
    return this.#lock.run(() => attempt('start DMA logging', () => log.start(start.ranges, start.pageSize)))
  }

  /** The dirty pages of a range that has passed its checks. */
  reportDirty(range: DmaRange, pageSize: bigint): Promise<DirtyBitmap> {
    const log = this.dirtyLog(DeviceFeature.DMA_LOGGING_REPORT)
    return this.#lock.run(() =>
      attempt('report dirty pages', async () => {
        const bitmap = new DirtyBitmap(range, pageSize)
        await log.report(range, (dirty) => bitmap.mark(dirty))
        return bitmap
      }),
    )
  }

  stopLogging(): Promise<void> {
    const log = this.dirtyLog(DeviceFeature.DMA_LOGGING_STOP)
    return this.#lock.run(() => attempt('stop DMA logging', () => log.stop()))
  }

  /** Marks a reset at once; resolves when it was applied. */
  reset(): Promise<void> {
    this.checkOpen('reset')
    return this.#lock.reset()
  }

  /** Ends the session and gives the driver back, whatever fails on the way; the first failure is told. */
  close(): Promise<void> {
    this.checkOpen('close')
    this.#closing = true
    return this.#lock.run(async () => {
      this.#closed = true
      this.#walk.endSession('the device was closed')
      this.#walk.reclaimLeases()
      try {
        // The core keeps no "is logging" flag (facts A.6): stopping what is stopped is no error.
        await attempt('stop DMA logging', () => this.driver.dirtyLog?.stop())
      } finally {
        try {
          await attempt('close the device', () => this.driver.close?.())
        } finally {
          releaseDriver(this.driver)
        }
      }
    })
  }

  /** The log operations, or ENOTTY. */
  dirtyLog(feature: DeviceFeature): DirtyLogOps {
    this.#checkFeature(feature)
    return this.driver.dirtyLog!
  }

  /** The presence check of the byte ioctl (facts A.1 step a), for typed calls. */
  #checkFeature(feature: DeviceFeature): void {
    this.checkOpen('ioctl')
    const request = { feature, get: false, set: false, probe: false, argsz: 0, payload: 0 }
    findFeature(request, this.capabilities)
  }
}

async function attempt<T>(action: string, call: () => T): Promise<Awaited<T>> {
  try {
    return await call()
  } catch (error) {
    throw driverError(error, 'ioctl', action)
  }
}
