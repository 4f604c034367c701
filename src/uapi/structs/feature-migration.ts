/**
 * Data of feature MIGRATION (GET).
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_migration`. */
export interface FeatureMigration {
  /** {@link MigrationFlag} bits; a client ignores the ones it does not know. */
  flags: bigint
}

/** `struct vfio_device_feature_migration`: 8 bytes. */
export const FeatureMigration: Struct<FeatureMigration> = defineStruct<FeatureMigration>(
  'vfio_device_feature_migration',
  { flags: ['flags', 'u64'] },
)
