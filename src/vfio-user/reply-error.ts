/**
 * Error replies as errors.
 *
 * @module
 */

import { Errno, VfioError } from '../errors.ts'
import { commandName, VfioUserCommand } from './command.ts'
import type { MessageHeader } from './header.ts'

/** Above it a number is no errno: libvfio-user's client draws the line here, too. */
const HIGHEST_ERRNO = 4096

/** What an error reply says; EINVAL where it says nothing: peers send 0 and numbers that are no errno. */
export function replyError({ command, errno }: MessageHeader, action: string): VfioError {
  const number = errno === 0 || errno > HIGHEST_ERRNO ? Errno.EINVAL : errno
  // Servers take one client at a time, ours too.
  const reason =
    command === VfioUserCommand.VERSION && number === Errno.EBUSY
      ? 'the server has another client, wait until that has left'
      : `the server refused ${commandName(command)} with errno ${errno}, see what it says about it`
  return VfioError.fromErrno(number, `Cannot ${action}: ${reason}`, { syscall: 'vfio-user' })
}

/** The error of a reply that makes no sense inside; the connection is still in step. */
export function senselessReply(action: string, what: string): VfioError {
  return new VfioError('EPROTO', `Cannot ${action}: the server answered ${what}, fix the server`, {
    syscall: 'vfio-user',
  })
}

/** A server that broke the protocol: the connection cannot be used any more. */
export function broken(what: string): VfioError {
  return new VfioError('EPROTO', `Cannot use the server: it sent ${what}, fix the server`, {
    syscall: 'vfio-user',
  })
}
