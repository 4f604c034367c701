/**
 * The descriptors of one connection, as its users see them.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { FdPassing } from '../vfio-user/index.ts'
import { SystemFdFiles } from './fd-files.ts'
import type { Libc } from './libc.ts'

/** What a socket gives to it. */
interface FdCarrier {
  take(): number[]
  write(chunks: readonly Uint8Array[], fds: readonly number[]): Awaitable<void>
}

/** Files, and the way through the socket. */
export class FdSocketPassing extends SystemFdFiles implements FdPassing {
  readonly #carrier: FdCarrier

  constructor(calls: Libc, carrier: FdCarrier) {
    super(calls)
    this.#carrier = carrier
  }

  take(): number[] {
    return this.#carrier.take()
  }

  write(chunks: Uint8Array[], fds: readonly number[]): Awaitable<void> {
    return this.#carrier.write(chunks, fds)
  }
}
