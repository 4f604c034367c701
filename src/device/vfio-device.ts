/**
 * A driver as a user sees it: the kernel's vfio core, with typed calls and the byte ioctl over one path.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { DataSession } from '../session/data-session.ts'
import { checkDmaLoggingReport, checkDmaLoggingStart, dmaBitmapByteLength } from '../uapi/dma-logging.ts'
import { DeviceFeature } from '../uapi/features.ts'
import { VFIO_DEVICE_FEATURE, VFIO_DEVICE_RESET } from '../uapi/requests.ts'
import type { DeviceState } from '../uapi/state.ts'
import { userBytes } from '../uapi/user-memory.ts'
import { DeviceCore } from './device-core.ts'
import type { DeviceIdentity, DeviceRegions, DmaRange, Driver } from './driver.ts'
import { featureIoctl } from './feature-ioctl.ts'
import { FdTable } from './fd-table.ts'
import { gateRegions } from './gated-regions.ts'
import type { MigrationDevice } from './migration-device.ts'

/**
 * One open device. Calls are serialised by one state lock, first come first served; the state never moves
 * except by a call. After {@link close} every call is EBADF.
 *
 * @example
 * ```ts
 * const device = await VfioDevice.open(createMtty())
 * const session = await device.setState(DeviceState.STOP_COPY)
 * ```
 */
export class VfioDevice implements MigrationDevice {
  /** Numbers of the sessions that `ioctl` opened. */
  readonly fds: FdTable
  /** Register access, gated by state; undefined when the driver has none. */
  readonly regions: DeviceRegions | undefined
  readonly #core: DeviceCore

  private constructor(core: DeviceCore, fds: FdTable) {
    this.fds = fds
    this.#core = core
    const { regions } = core.driver
    this.regions = regions && gateRegions(regions, () => core.stateNow)
  }

  /**
   * Opens a driver; its state is RUNNING.
   *
   * @param options - `fds`: the table for fd numbers; default one of the device's own, limit 1024
   * @throws {@link VfioError} EINVAL when it is incomplete (facts A.5) or open already; else as the
   * driver's `open`, EIO when that throws no VfioError
   */
  static async open(driver: Driver, options: { fds?: FdTable } = {}): Promise<VfioDevice> {
    return new VfioDevice(await DeviceCore.open(driver), options.fds ?? new FdTable())
  }

  /** Who it is, for the other end's checks. */
  get identity(): DeviceIdentity {
    return this.#core.driver.identity
  }

  /**
   * VFIO_DEVICE_FEATURE (features 1, 2, 6, 7, 8, 9, 12) and VFIO_DEVICE_RESET.
   *
   * `memory` is the caller's; `address` and every pointer in a structure is an offset into it. Input is
   * copied in before the promise is returned, results are written once, just before it settles.
   *
   * @returns 0
   * @throws {@link VfioError} EBADF closed; ENOTTY unknown request or feature; EFAULT memory that is out
   * of range, or was detached or shortened meanwhile; EMFILE no fd number free; then as the typed calls
   */
  async ioctl(request: number, memory: Uint8Array, address = 0): Promise<number> {
    this.#core.checkOpen('ioctl')
    if (request === VFIO_DEVICE_FEATURE) return featureIoctl(this.#core, this.fds, memory, address)
    if (request !== VFIO_DEVICE_RESET) {
      const name = `0x${request.toString(16)}`
      throw new VfioError(
        'ENOTTY',
        `Cannot call ioctl ${name}: the device has no such request, use DEVICE_FEATURE or DEVICE_RESET`,
        {
          syscall: 'ioctl',
        },
      )
    }
    await this.#core.reset()
    return 0
  }

  /** Capability flags. @throws {@link VfioError} ENOTTY when the device cannot migrate */
  async migrationFlags(): Promise<number> {
    return this.#core.flags()
  }

  /** The state, after calls and resets before this one. @throws {@link VfioError} ENOTTY as above */
  async state(): Promise<DeviceState> {
    return this.#core.state()
  }

  /**
   * Walks to `target`; no fd number is taken.
   *
   * A reset that comes while this is under way is applied at its end: then it still resolves as it went,
   * with a session that has ended, and the state is RUNNING (facts A.7).
   *
   * @param options - `signal`: seen between arcs and by the driver; EINTR, and the state must be read back
   * @returns the session when the last arc opened one
   * @throws {@link VfioError} whose `state` says where the device is: ENOTTY cannot migrate; EINVAL no such
   * way, or the state is ERROR; EBUSY leaving RESUMING with a window out; EINVAL leaving it with a stream
   * that failed or is incomplete; EINVAL when a driver returns a session's end where none belongs, or none
   * where one does (the arc was made, it cannot be walked back); the driver's own, EIO for what is no
   * VfioError
   */
  async setState(
    target: DeviceState,
    options: { signal?: AbortSignal } = {},
  ): Promise<DataSession | undefined> {
    const handle = await this.#core.setState(target, options.signal)
    return handle?.session
  }

  /** Bytes STOP_COPY would deliver if it were entered now. @throws {@link VfioError} ENOTTY as above */
  async stopCopyLength(): Promise<number> {
    return this.#core.stopCopyLength()
  }

  /** Lets precopy info show REINIT until close. @throws {@link VfioError} EINVAL without PRE_COPY */
  async enablePrecopyInfoV2(): Promise<void> {
    this.#core.enablePrecopyInfoV2()
  }

  /**
   * Slows the device's own work, so that it dirties less memory; the state does not change. A reset and a
   * load bring back full speed. 0 finds out whether the device can.
   *
   * @param percent - an integer of 0 (full speed) to 99
   * @throws {@link VfioError} ENOTTY when the driver cannot; EINVAL outside; the driver's own
   */
  async throttle(percent: number): Promise<void> {
    await this.#core.throttle(percent)
  }

  /**
   * A small device of the same code, open and running, to rehearse a hand-over with: this one is left alone.
   *
   * @returns undefined when the driver has none
   * @throws {@link VfioError} as {@link open}
   */
  async standIn(): Promise<VfioDevice | undefined> {
    const driver = await this.#core.driver.standIn?.()
    return driver && VfioDevice.open(driver)
  }

  /**
   * Starts logging DMA writes. A reset does not stop it unless the driver does; closing does.
   *
   * @param options - `pageSize` in bytes, a power of two; `ranges`: 1 to 256, aligned to it, disjoint
   * @returns the page size in use, bytes
   * @throws {@link VfioError} ENOTTY no logging; EINVAL, E2BIG, EOVERFLOW as facts A.6; the driver's own
   */
  async dmaLoggingStart(options: { pageSize: number; ranges: readonly DmaRange[] }): Promise<number> {
    this.#core.dirtyLog(DeviceFeature.DMA_LOGGING_START)
    const ranges = options.ranges.map(({ iova, length }) => ({ iova, length }))
    const start = { pageSize: wholeNumber(options.pageSize), ranges }
    checkDmaLoggingStart(start)
    return Number(await this.#core.startLogging(start))
  }

  /**
   * Sets in `bitmap` the bits of pages written since the last report, and clears none: bit n is the page
   * at iova + n * pageSize. After any error everything must be taken for dirty.
   *
   * @param bitmap - ceil(pages / 64) * 8 bytes or more
   * @throws {@link VfioError} ENOTTY no logging; EINVAL page size below 4096 or no power of two; EOVERFLOW;
   * EFAULT a bitmap too short; the driver's own, EINVAL when logging is off or elsewhere
   */
  async dmaLoggingReport(
    range: { iova: bigint; length: bigint; pageSize: number },
    bitmap: Uint8Array,
  ): Promise<void> {
    this.#core.dirtyLog(DeviceFeature.DMA_LOGGING_REPORT)
    const { iova, length } = range
    const pageSize = wholeNumber(range.pageSize)
    checkDmaLoggingReport({ iova, length, pageSize })
    const byteLength = dmaBitmapByteLength(length, pageSize)
    userBytes(bitmap, 0, byteLength)
    const dirty = await this.#core.reportDirty({ iova, length }, pageSize)
    dirty.orInto(userBytes(bitmap, 0, byteLength))
  }

  /** Stops logging; no error when it is stopped. @throws {@link VfioError} ENOTTY no logging */
  async dmaLoggingStop(): Promise<void> {
    await this.#core.stopLogging()
  }

  /**
   * Ends the session and puts the driver back to RUNNING. Marked at once; applied at once, or by the call
   * under way when it is done; resolves when applied.
   *
   * @throws {@link VfioError} EIO when the driver fails, and the state is ERROR
   */
  async reset(): Promise<void> {
    await this.#core.reset()
  }

  /**
   * Ends the session (ENODEV), stops logging and gives the driver back, which can be opened again. Waits
   * for the calls before it.
   *
   * @throws {@link VfioError} the driver's first failure; the device is closed all the same
   */
  async close(): Promise<void> {
    await this.#core.close()
  }
}

function wholeNumber(pageSize: number): bigint {
  if (Number.isSafeInteger(pageSize)) return BigInt(pageSize)
  throw new VfioError(
    'EINVAL',
    `Cannot log DMA by pages of ${pageSize} bytes: that is no whole number, pass a power of two`,
  )
}
