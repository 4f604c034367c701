/**
 * What a device author implements. `defineDevice` builds one from a state schema.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { SessionEnd } from '../session/session-end.ts'
import type { DeviceState } from '../uapi/state.ts'

/** A value of a device's configuration, as a migration stream names it. */
export type ConfigurationValue = number | bigint | boolean | string

/** What must agree between the source and the destination of a migration. */
export interface DeviceIdentity {
  /** Device type, such as 'mtty'; at most 48 bytes of UTF-8. */
  readonly type: string
  /** Version of the device's state, 1 and up. */
  readonly version: number
  /** 8 bytes: XXH3-64 of the encoded configuration. */
  readonly fingerprint: Uint8Array
  /** What a data session carries: the checked stopcopy format, or the driver's own bytes. */
  readonly stream: 'stopcopy' | 'opaque'
  /** The names and values behind the fingerprint, so that a refusal can say which one differs. */
  readonly configuration?: Readonly<Record<string, ConfigurationValue>>
}

/** Register access, one region per BAR. */
export interface DeviceRegions {
  /** Fills `dst` from `offset` of region `index`; EINVAL outside the region. */
  read(index: number, offset: number, dst: Uint8Array): void
  /** Stores `src` at `offset` of region `index`; EINVAL outside the region. */
  write(index: number, offset: number, src: Uint8Array): void
}

/** A range of device-visible addresses (IOVA), in bytes. */
export interface DmaRange {
  /** First address. */
  readonly iova: bigint
  /** Bytes from there. */
  readonly length: bigint
}

/** DMA logging of a device: all three operations or none (`struct vfio_log_ops`). */
export interface DirtyLogOps {
  /**
   * Starts logging writes to `ranges` (already checked: aligned, disjoint, non-empty).
   * Resolves to the page size in use, in bytes. EINVAL when already started.
   */
  start(ranges: readonly DmaRange[], pageSize: bigint): Awaitable<bigint>
  /** Stops logging; no error when stopped. */
  stop(): Awaitable<void>
  /**
   * Calls `mark` for every dirty part of the range and clears it from the log.
   * EINVAL when logging is off or the range lies outside what is logged.
   */
  report(range: DmaRange, mark: (dirty: DmaRange) => void): Awaitable<void>
}

/** One device model. {@link VfioDevice} calls it for one base arc at a time and never re-enters it. */
export interface Driver {
  /** Capability flags: 1, 3, 5 or 7. 0 and absent mean: no migration feature. */
  readonly flags: number
  /** Who it is, for the other end's checks. */
  readonly identity: DeviceIdentity
  /** Takes memory; called by `VfioDevice.open`. A throw leaves nothing allocated. */
  open?(): Awaitable<void>
  /** Gives memory back; called by `VfioDevice.close`. */
  close?(): Awaitable<void>
  /**
   * Executes one base arc. Returns the driver's side of a session from the arcs that open one
   * (STOP to STOP_COPY, STOP to RESUMING, RUNNING to PRE_COPY, RUNNING_P2P to PRE_COPY_P2P).
   * A throw keeps the last completed state; a VfioError whose `state` is ERROR moves to ERROR.
   */
  transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Awaitable<void | SessionEnd>
  /** Bytes that STOP_COPY would still deliver if it were entered now, unread bytes included. */
  stopCopyLength(): Awaitable<number>
  /** Back to RUNNING; sessions have already ended. */
  reset(): Awaitable<void>
  /**
   * Slows the device's own work by `percent`, an integer of 0 (full speed) to 99, so that it dirties less
   * memory (auto-converge). No part of the migrated state: a device starts at full speed after open,
   * {@link reset} and a load. Absent: it cannot.
   */
  throttle?(percent: number): Awaitable<void>
  /**
   * Another small driver of the same code, for a rehearsal of a hand-over; `defineDevice` makes one. Absent, or
   * undefined: the first migration of a process runs this driver's code for the first time.
   */
  standIn?(): Awaitable<Driver | undefined>
  /** DMA logging; absent means ENOTTY. */
  readonly dirtyLog?: DirtyLogOps | undefined
  /** Register access. */
  readonly regions?: DeviceRegions | undefined
  /**
   * Where the Linux sample driver departs from the UAPI text in the core's common loop
   * (facts F): SET(ERROR) in ERROR succeeds silently, logging is a stateless no-op.
   */
  readonly profile?: 'strict' | 'exact'
}
