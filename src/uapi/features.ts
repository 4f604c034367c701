/**
 * Feature indices and operation bits of VFIO_DEVICE_FEATURE.
 *
 * @module
 */

/**
 * Feature indices. 13 and up are contested by proposals and have no name here.
 *
 * @see VFIO_DEVICE_FEATURE_MIGRATION and its siblings
 */
export const DeviceFeature = {
  PCI_VF_TOKEN: 0,
  /** GET: capability flags. */
  MIGRATION: 1,
  /** GET: the state. SET: a transition; returns the data fd of the session it opens. */
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  /** SET: log DMA writes to the given ranges. */
  DMA_LOGGING_START: 6,
  /** SET: stop logging. */
  DMA_LOGGING_STOP: 7,
  /** GET: bitmap of the pages written since the last report. */
  DMA_LOGGING_REPORT: 8,
  /** GET: bytes STOP_COPY would deliver. */
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  /** SET: precopy_info returns defined flags (2026). */
  MIG_PRECOPY_INFOv2: 12,
} as const
/** A feature's index. */
export type DeviceFeature = (typeof DeviceFeature)[keyof typeof DeviceFeature]

const NAMES = Object.keys(DeviceFeature)

/** The name of a feature index, or `feature 13` where it has none. */
export function deviceFeatureName(feature: number): string {
  return NAMES[feature] ?? `feature ${feature}`
}

/** Bits 0 to 15 of the flags of a feature call: the feature index. */
export const VFIO_DEVICE_FEATURE_MASK = 0xffff
/** Read the feature. */
export const VFIO_DEVICE_FEATURE_GET = 0x1_0000
/** Write or execute the feature. */
export const VFIO_DEVICE_FEATURE_SET = 0x2_0000
/** Ask whether the feature, with the GET and SET bits beside this one, is supported. */
export const VFIO_DEVICE_FEATURE_PROBE = 0x4_0000
