/**
 * Errors that say in which state they left the device.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** `error` itself when it says `state` and `syscall` already, else a copy that does, with it as the cause. */
export function withState(
  error: VfioError,
  state: number,
  syscall: string | undefined = error.syscall,
): VfioError {
  if (error.state === state && error.syscall === syscall) return error
  const { code, message, errno, section, offset } = error
  return new VfioError(code, message, {
    cause: error,
    errno,
    state,
    ...(syscall === undefined ? {} : { syscall }),
    ...(section === undefined ? {} : { section }),
    ...(offset === undefined ? {} : { offset }),
  })
}
