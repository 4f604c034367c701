/**
 * Data of feature MIG_DATA_SIZE (GET).
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_mig_data_size`. */
export interface FeatureMigDataSize {
  /** Bytes STOP_COPY would deliver if it were entered now; an estimate. */
  stopCopyLength: bigint
}

/** `struct vfio_device_feature_mig_data_size`: 8 bytes. */
export const FeatureMigDataSize: Struct<FeatureMigDataSize> = defineStruct<FeatureMigDataSize>(
  'vfio_device_feature_mig_data_size',
  { stopCopyLength: ['stop_copy_length', 'u64'] },
)
