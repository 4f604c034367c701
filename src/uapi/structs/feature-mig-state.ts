/**
 * Data of feature MIG_DEVICE_STATE (GET and SET).
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature_mig_state`. */
export interface FeatureMigState {
  /** The state asked for, or the state the device is in; any u32 can come from a caller. */
  deviceState: number
  /** fd of the session the call opened, or {@link NO_DATA_FD}. */
  dataFd: number
}

/** `struct vfio_device_feature_mig_state`: 8 bytes. */
export const FeatureMigState: Struct<FeatureMigState> = defineStruct<FeatureMigState>(
  'vfio_device_feature_mig_state',
  { deviceState: ['device_state', 'u32'], dataFd: ['data_fd', 's32'] },
)

/** `data_fd` of a call that opened no session. */
export const NO_DATA_FD: number = -1
