/**
 * Negative errnos of system calls as errors of this package.
 *
 * @module
 */

import { getSystemErrorName } from 'node:util'
import { VfioError } from '../errors.ts'
import { socketError } from './socket-error.ts'

const EACCES = 13

/** For a call on a socket that returned `result`, a negative errno. */
export function systemFailure(action: string, syscall: string, result: number): VfioError {
  const code = getSystemErrorName(result)
  return socketError(Object.assign(new Error(code), { code, errno: result, syscall }), action)
}

/** The same for a call on a descriptor of a file or an eventfd. */
export function descriptorFailure(action: string, syscall: string, result: number): VfioError {
  const text = `Cannot ${action}: ${getSystemErrorName(result)}, see what the descriptor is`
  // As everywhere in this package: it has no EACCES.
  if (result === -EACCES) return new VfioError('EPERM', text, { syscall })
  return VfioError.fromErrno(result, text, { syscall })
}
