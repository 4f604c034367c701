/**
 * ioctl request numbers. VFIO requests carry neither a direction nor a size: type `;` and an index.
 *
 * @module
 */

/** The ioctl type character of VFIO, `;`. */
export const VFIO_TYPE = 0x3b

/** First index of VFIO's requests. */
export const VFIO_BASE = 100

/** Device fd: reset the device; state RUNNING, sessions ended. */
export const VFIO_DEVICE_RESET = 0x3b6f

/** Device fd: get, set or probe a feature. */
export const VFIO_DEVICE_FEATURE = 0x3b75

/** Data fd of a saving session: what is still unread. Another request on a container fd. */
export const VFIO_MIG_GET_PRECOPY_INFO = 0x3b79
