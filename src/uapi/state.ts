/**
 * Device states and migration capability flags, as `<linux/vfio.h>` numbers them.
 *
 * @module
 */

/**
 * `enum vfio_device_mig_state`.
 *
 * @see VFIO_DEVICE_STATE_STOP_COPY and its siblings
 */
export const DeviceState = {
  /** The device failed; only a reset leaves this state, and it can never be requested. */
  ERROR: 0,
  /** No DMA, no interrupts, no change of internal state. */
  STOP: 1,
  /** Fully operational: the state after open and after every reset. */
  RUNNING: 2,
  /** As STOP, with a readable session; its end means that all state was delivered. */
  STOP_COPY: 3,
  /** Stopped and fed by a writable session. */
  RESUMING: 4,
  /** As RUNNING, but the device starts no new peer-to-peer DMA. */
  RUNNING_P2P: 5,
  /** Running with a readable session. */
  PRE_COPY: 6,
  /** As PRE_COPY, but the device starts no new peer-to-peer DMA. */
  PRE_COPY_P2P: 7,
} as const
/** A device state's number. */
export type DeviceState = (typeof DeviceState)[keyof typeof DeviceState]

/** How many device states there are; a state number at or above this is out of range. */
export const DEVICE_STATE_COUNT = 8

/**
 * Capability flags of feature MIGRATION.
 *
 * @see VFIO_MIGRATION_STOP_COPY, VFIO_MIGRATION_P2P, VFIO_MIGRATION_PRE_COPY
 */
export const MigrationFlag = {
  STOP_COPY: 1,
  P2P: 2,
  PRE_COPY: 4,
} as const
/** One of the capability flags. */
export type MigrationFlag = (typeof MigrationFlag)[keyof typeof MigrationFlag]

const NAMES = Object.entries(DeviceState).map(([name]) => name)

/** The name of a state number, or `state 9` where it has none. */
export function deviceStateName(state: number): string {
  return NAMES[state] ?? `state ${state}`
}
