/**
 * Data of feature DMA_LOGGING_START (SET).
 *
 * ```text
 *  0           8            12         16              24
 *  | page_size | num_ranges | reserved | ranges (ptr)  |
 * ```
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_dma_logging_control`. */
export interface DmaLoggingControl {
  /** In: the granularity wanted, bytes. Out: the one in use. */
  pageSize: bigint
  /** How many ranges there are. */
  numRanges: number
  /** Never looked at. */
  reserved: number
  /** Address of `numRanges` {@link DmaLoggingRange} structures. */
  ranges: bigint
}

/** `struct vfio_device_feature_dma_logging_control`: 24 bytes. */
export const DmaLoggingControl: Struct<DmaLoggingControl> = defineStruct<DmaLoggingControl>(
  'vfio_device_feature_dma_logging_control',
  {
    pageSize: ['page_size', 'u64'],
    numRanges: ['num_ranges', 'u32'],
    reserved: ['__reserved', 'u32'],
    ranges: ['ranges', 'u64'],
  },
)
