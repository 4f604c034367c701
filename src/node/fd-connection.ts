/**
 * A connection that carries file descriptors.
 *
 * @module
 */

import type { FdPassing } from '../vfio-user/index.ts'
import type { Connection, ConnectionOptions } from './connection.ts'

/**
 * A connection over a UNIX socket that carries file descriptors, too. It reads only when it is asked: that the
 * other end hung up is told by a read or a write, not before. Descriptors that nobody took are closed with it.
 */
export interface FdConnection extends Connection {
  /** The descriptors. */
  readonly fds: FdPassing
}

/** Options of both ends of a connection that carries descriptors. */
export interface FdConnectionOptions extends Omit<ConnectionOptions, 'receiveMemory'> {
  /** The connection fails with EMSGSIZE when more descriptors came than this and nobody took them. Default: 253. */
  readonly maxFds?: number | undefined
}
