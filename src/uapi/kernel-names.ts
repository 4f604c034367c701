/**
 * The `VFIO_*` spellings of states, capability flags and feature indices, for code that is read
 * beside `<linux/vfio.h>`. Values are those of {@link DeviceState}, {@link MigrationFlag} and
 * {@link DeviceFeature}; a test compares them.
 *
 * @module
 */

/** {@link DeviceState.ERROR} */
export const VFIO_DEVICE_STATE_ERROR = 0
/** {@link DeviceState.STOP} */
export const VFIO_DEVICE_STATE_STOP = 1
/** {@link DeviceState.RUNNING} */
export const VFIO_DEVICE_STATE_RUNNING = 2
/** {@link DeviceState.STOP_COPY} */
export const VFIO_DEVICE_STATE_STOP_COPY = 3
/** {@link DeviceState.RESUMING} */
export const VFIO_DEVICE_STATE_RESUMING = 4
/** {@link DeviceState.RUNNING_P2P} */
export const VFIO_DEVICE_STATE_RUNNING_P2P = 5
/** {@link DeviceState.PRE_COPY} */
export const VFIO_DEVICE_STATE_PRE_COPY = 6
/** {@link DeviceState.PRE_COPY_P2P} */
export const VFIO_DEVICE_STATE_PRE_COPY_P2P = 7

/** {@link MigrationFlag.STOP_COPY} */
export const VFIO_MIGRATION_STOP_COPY = 1
/** {@link MigrationFlag.P2P} */
export const VFIO_MIGRATION_P2P = 2
/** {@link MigrationFlag.PRE_COPY} */
export const VFIO_MIGRATION_PRE_COPY = 4

/** {@link DeviceFeature.PCI_VF_TOKEN} */
export const VFIO_DEVICE_FEATURE_PCI_VF_TOKEN = 0
/** {@link DeviceFeature.MIGRATION} */
export const VFIO_DEVICE_FEATURE_MIGRATION = 1
/** {@link DeviceFeature.MIG_DEVICE_STATE} */
export const VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE = 2
/** {@link DeviceFeature.LOW_POWER_ENTRY} */
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY = 3
/** {@link DeviceFeature.LOW_POWER_ENTRY_WITH_WAKEUP} */
export const VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP = 4
/** {@link DeviceFeature.LOW_POWER_EXIT} */
export const VFIO_DEVICE_FEATURE_LOW_POWER_EXIT = 5
/** {@link DeviceFeature.DMA_LOGGING_START} */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_START = 6
/** {@link DeviceFeature.DMA_LOGGING_STOP} */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP = 7
/** {@link DeviceFeature.DMA_LOGGING_REPORT} */
export const VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT = 8
/** {@link DeviceFeature.MIG_DATA_SIZE} */
export const VFIO_DEVICE_FEATURE_MIG_DATA_SIZE = 9
/** {@link DeviceFeature.BUS_MASTER} */
export const VFIO_DEVICE_FEATURE_BUS_MASTER = 10
/** {@link DeviceFeature.DMA_BUF} */
export const VFIO_DEVICE_FEATURE_DMA_BUF = 11
/** {@link DeviceFeature.MIG_PRECOPY_INFOv2} */
export const VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 = 12
