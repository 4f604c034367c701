/**
 * One element of the array that DMA_LOGGING_START points at.
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_dma_logging_range`. */
export interface DmaLoggingRange {
  /** First device-visible address. */
  iova: bigint
  /** Bytes. */
  length: bigint
}

/** `struct vfio_device_feature_dma_logging_range`: 16 bytes. */
export const DmaLoggingRange: Struct<DmaLoggingRange> = defineStruct<DmaLoggingRange>(
  'vfio_device_feature_dma_logging_range',
  { iova: ['iova', 'u64'], length: ['length', 'u64'] },
)
