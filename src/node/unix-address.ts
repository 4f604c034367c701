/**
 * Sockets of the address family UNIX, by the C library's calls.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { Libc } from './libc.ts'
import { systemFailure } from './system-failure.ts'
import { parseTransportUrl } from './transport-url.ts'

const AF_UNIX = 1
const SOCK_STREAM = 1
/** SOCK_CLOEXEC and SOCK_NONBLOCK. */
export const SOCKET_FLAGS: number = 0o2000000 | 0o4000

/** The path of a URL. @throws {@link VfioError} EINVAL when it is none of a UNIX socket */
export function unixPath(url: string): string {
  const target = parseTransportUrl(url)
  if (target.scheme === 'unix') return target.path
  throw new VfioError(
    'EINVAL',
    `Cannot pass file descriptors over "${url}": only UNIX sockets carry them, write unix:PATH`,
  )
}

/** A `sockaddr_un`: family, path, zero. */
export function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path)
  const address = new Uint8Array(2 + name.length + 1)
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(name, 2)
  return address
}

/** A socket that waits for nothing. */
export function openUnixSocket(calls: Libc, action: string): number {
  const fd = calls.socket(AF_UNIX, SOCK_STREAM | SOCKET_FLAGS, 0)
  if (fd < 0) throw systemFailure(action, 'socket', fd)
  return fd
}
