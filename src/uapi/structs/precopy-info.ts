/**
 * Argument of VFIO_MIG_GET_PRECOPY_INFO on a saving data fd. It has no feature header.
 *
 * ```text
 *  0       4       8               16            24
 *  | argsz | flags | initial_bytes | dirty_bytes |
 * ```
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_precopy_info`. */
export interface PrecopyInfoStruct {
  /** Bytes of the structure that the caller has room for. */
  argsz: number
  /** {@link VFIO_PRECOPY_INFO_REINIT}; only meaningful after the INFOv2 opt-in. */
  flags: number
  /** What should reach the destination before the switchover, unread bytes. */
  initialBytes: bigint
  /** State that changed after it was first captured, unread bytes. */
  dirtyBytes: bigint
}

/** `struct vfio_precopy_info`: 24 bytes. */
export const PrecopyInfoStruct: Struct<PrecopyInfoStruct> = defineStruct<PrecopyInfoStruct>(
  'vfio_precopy_info',
  {
    argsz: ['argsz', 'u32'],
    flags: ['flags', 'u32'],
    initialBytes: ['initial_bytes', 'u64'],
    dirtyBytes: ['dirty_bytes', 'u64'],
  },
)

/** Output flag: a new initial chunk began. */
export const VFIO_PRECOPY_INFO_REINIT = 1

/**
 * Reads the caller's structure, after the request number was checked and before the device is asked
 * (facts B.1).
 *
 * @throws {@link VfioError} EFAULT when 24 bytes are not readable; EINVAL when argsz is below 24
 */
export function parsePrecopyInfo(memory: Uint8Array, address: number | bigint): PrecopyInfoStruct {
  const info = PrecopyInfoStruct.decode(memory, address)
  if (info.argsz < PrecopyInfoStruct.byteLength) {
    throw new VfioError(
      'EINVAL',
      `Cannot get precopy info: argsz is ${info.argsz}, set it to ${PrecopyInfoStruct.byteLength} or more`,
      { syscall: 'ioctl' },
    )
  }
  return info
}
