/**
 * Errors that say in which state they left the device.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** `error` itself when it says `state` already, else a copy that does, with the original as its cause. */
export function withState(error: VfioError, state: number): VfioError {
  if (error.state === state) return error
  const { code, message, errno, section, offset, syscall } = error
  return new VfioError(code, message, {
    cause: error,
    errno,
    state,
    ...(syscall === undefined ? {} : { syscall }),
    ...(section === undefined ? {} : { section }),
    ...(offset === undefined ? {} : { offset }),
  })
}
