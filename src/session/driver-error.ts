/**
 * What a user sees when a driver throws.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/**
 * The error itself when it is a VfioError, else EIO with the error as its cause: a driver's TypeError is
 * a failed device to the user, not a TypeError of theirs.
 *
 * @param action - what could not be done, as in "Cannot <action>"
 */
export function driverError(error: unknown, syscall: string, action: string): VfioError {
  if (VfioError.is(error)) return error
  return new VfioError('EIO', `Cannot ${action}: the driver failed, see the cause`, { syscall, cause: error })
}
