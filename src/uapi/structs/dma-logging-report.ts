/**
 * Data of feature DMA_LOGGING_REPORT (a GET, though most of it is input).
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_dma_logging_report`. */
export interface DmaLoggingReport {
  /** First address reported on. */
  iova: bigint
  /** Bytes reported on. */
  length: bigint
  /** Bytes per bit of the bitmap. */
  pageSize: bigint
  /** Address of the bitmap; bits are only ever set in it. */
  bitmap: bigint
}

/** `struct vfio_device_feature_dma_logging_report`: 32 bytes. */
export const DmaLoggingReport: Struct<DmaLoggingReport> = defineStruct<DmaLoggingReport>(
  'vfio_device_feature_dma_logging_report',
  {
    iova: ['iova', 'u64'],
    length: ['length', 'u64'],
    pageSize: ['page_size', 'u64'],
    bitmap: ['bitmap', 'u64'],
  },
)
