/**
 * VFIO_MIG_GET_PRECOPY_INFO, the only ioctl of a data session (facts B.1).
 *
 * The answer is written field by field: older drivers echo the caller's memory in what they do not fill.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { VFIO_MIG_GET_PRECOPY_INFO } from '../uapi/requests.ts'
import {
  PrecopyInfoStruct,
  VFIO_PRECOPY_INFO_REINIT,
  parsePrecopyInfo,
} from '../uapi/structs/precopy-info.ts'
import type { SaveSide } from './save-side.ts'

/**
 * @param side - undefined on a resuming session, where every request is ENOTTY
 * @throws {@link VfioError} in this order: ENOTTY for another request or a driver without precopy info,
 * EFAULT, EINVAL for argsz below 24, EINVAL outside PRE_COPY, ENODEV after the end, the driver's own,
 * EFAULT on the way back
 */
export function precopyIoctl(
  side: SaveSide | undefined,
  request: number,
  memory: Uint8Array,
  address: number,
): number {
  if (request !== VFIO_MIG_GET_PRECOPY_INFO || side === undefined || !side.hasPrecopyInfo) {
    const name = `0x${request.toString(16)}`
    throw new VfioError(
      'ENOTTY',
      `Cannot call ioctl ${name}: this data session has no such request, go on without it`,
      {
        syscall: 'ioctl',
      },
    )
  }
  const { argsz } = parsePrecopyInfo(memory, address)
  const { initialBytes, dirtyBytes, reinit } = side.precopyInfo()
  PrecopyInfoStruct.encodeInto(memory, address, {
    argsz,
    flags: reinit ? VFIO_PRECOPY_INFO_REINIT : 0,
    initialBytes: BigInt(initialBytes),
    dirtyBytes: BigInt(dirtyBytes),
  })
  return 0
}
