/**
 * What each migration feature allows: which operations, how much data, and what a device must have.
 *
 * @module
 */

import { DeviceFeature, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET } from './features.ts'
import { DmaLoggingControl } from './structs/dma-logging-control.ts'
import { DmaLoggingReport } from './structs/dma-logging-report.ts'
import { FeatureMigDataSize } from './structs/feature-mig-data-size.ts'
import { FeatureMigState } from './structs/feature-mig-state.ts'
import { FeatureMigration } from './structs/feature-migration.ts'

/** One row of the table of facts A.1. */
export interface FeatureRule {
  /** The feature that the row is about. */
  readonly feature: DeviceFeature
  /** VFIO_DEVICE_FEATURE_GET and VFIO_DEVICE_FEATURE_SET bits the feature allows. */
  readonly ops: number
  /** Bytes behind the header that argsz must cover. */
  readonly minimumPayload: number
  /** What the device must have. */
  readonly requires: 'migration' | 'pre-copy' | 'dma-logging'
}

const GET = VFIO_DEVICE_FEATURE_GET
const SET = VFIO_DEVICE_FEATURE_SET

/** The features a migratable device answers, by index order. All others are ENOTTY. */
export const FEATURE_RULES: readonly FeatureRule[] = [
  rule(DeviceFeature.MIGRATION, GET, FeatureMigration.byteLength, 'migration'),
  rule(DeviceFeature.MIG_DEVICE_STATE, GET | SET, FeatureMigState.byteLength, 'migration'),
  rule(DeviceFeature.DMA_LOGGING_START, SET, DmaLoggingControl.byteLength, 'dma-logging'),
  rule(DeviceFeature.DMA_LOGGING_STOP, SET, 0, 'dma-logging'),
  rule(DeviceFeature.DMA_LOGGING_REPORT, GET, DmaLoggingReport.byteLength, 'dma-logging'),
  rule(DeviceFeature.MIG_DATA_SIZE, GET, FeatureMigDataSize.byteLength, 'migration'),
  rule(DeviceFeature.MIG_PRECOPY_INFOv2, SET, 0, 'pre-copy'),
]

function rule(
  feature: DeviceFeature,
  ops: number,
  minimumPayload: number,
  requires: FeatureRule['requires'],
): FeatureRule {
  return { feature, ops, minimumPayload, requires }
}
