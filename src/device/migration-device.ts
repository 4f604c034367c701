/**
 * A migratable device as `migrate/` and the conformance suite see it, local or behind a socket.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { DeviceState } from '../uapi/state.ts'
import type { DeviceIdentity, DeviceRegions, DmaRange } from './driver.ts'

/** {@link VfioDevice} implements it, and so does the client of a remote device. */
export interface MigrationDevice {
  /** Who it is, for the other end's checks. */
  readonly identity: DeviceIdentity
  /** Capability flags; ENOTTY when the device cannot migrate. */
  migrationFlags(): Promise<number>
  /** The state now; ENOTTY when the device cannot migrate. */
  state(): Promise<DeviceState>
  /** Walks to `target`; resolves to the session when the last arc opens one. */
  setState(target: DeviceState, options?: { signal?: AbortSignal }): Promise<MigrationSession | undefined>
  /** Back to RUNNING, from ERROR too; sessions end. */
  reset(): Promise<void>
  /** Gives the device up; sessions end. */
  close(): Promise<void>
  /** Advisory, bytes; absent or ENOTTY: what is read is what is measured. */
  stopCopyLength?(): Promise<number>
  /** Lets precopy info show REINIT until close; EINVAL without PRE_COPY, absent as above. */
  enablePrecopyInfoV2?(): Promise<void>
  /** Slows the device by 0 to 99 percent; absent or ENOTTY: it cannot be slowed. 0 asks without harm. */
  throttle?(percent: number): Promise<void>
  /** A small open device of the same code, to rehearse a hand-over with; undefined, or absent: there is none. */
  standIn?(): Promise<MigrationDevice | undefined>
  /** Starts logging writes to `ranges`; resolves to the page size in use, bytes. ENOTTY without DMA logging. */
  dmaLoggingStart(options: { pageSize: number; ranges: readonly DmaRange[] }): Promise<number>
  /** ORs into `bitmap` a bit for each page of the range that was written since the last report. */
  dmaLoggingReport(
    range: { iova: bigint; length: bigint; pageSize: number },
    bitmap: Uint8Array,
  ): Promise<void>
  /** Stops logging; no error when it is stopped. */
  dmaLoggingStop(): Promise<void>
  /** Register access, gated by state. */
  readonly regions?: DeviceRegions | undefined
  /** The byte-level entry, where there is one. */
  ioctl?(request: number, memory: Uint8Array, address?: number): Awaitable<number>
}
