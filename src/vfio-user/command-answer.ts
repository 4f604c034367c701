/**
 * What a command is answered with.
 *
 * @module
 */

import { Errno, VfioError } from '../errors.ts'
import type { Struct } from '../uapi/struct.ts'
import type { QueuedCommand } from './command-queue.ts'

/** The payload of a reply. */
export interface Answer {
  /** Behind the header; must stay as they are until {@link sent}. */
  readonly chunks: readonly Uint8Array[]
  /** Descriptors that go with it; they stay whose they are. */
  readonly fds?: readonly number[]
  /** Called once the reply was written, or cannot be. */
  readonly sent?: () => Promise<void> | void
  /** Called after that when no other command waits: what can be done before the next one comes. */
  readonly idle?: () => void
}

/** A reply that is its header alone. */
export const HEADER_ONLY: Answer = { chunks: [] }

/** A reply of these bytes. */
export function answer(...chunks: Uint8Array[]): Answer {
  return { chunks }
}

/** A refusal of a command. */
export function refusal(
  reason: string,
  code: 'EINVAL' | 'ENOENT' | 'EOPNOTSUPP' | 'ENOSPC' | 'ENODEV' | 'EAGAIN' = 'EINVAL',
): VfioError {
  return new VfioError(code, `Cannot answer: ${reason}`, { syscall: 'vfio-user' })
}

/**
 * The structure at the payload's front.
 *
 * @throws {@link VfioError} EINVAL when the payload is shorter
 */
export function headOf<Value>(struct: Struct<Value>, { payload }: QueuedCommand): Value {
  if (payload.length < struct.byteLength) {
    throw refusal(`the payload has ${payload.length} bytes, send ${struct.byteLength}`)
  }
  return struct.decode(payload)
}

/** As {@link headOf} of a structure that begins with argsz, which must cover it. */
export function argumentsOf<Value extends { argsz: number }>(
  struct: Struct<Value>,
  command: QueuedCommand,
): Value {
  const value = headOf(struct, command)
  if (value.argsz >= struct.byteLength) return value
  throw refusal(`argsz is ${value.argsz}, set it to ${struct.byteLength} or more`)
}

/** The positive errno of a failure; EIO of what is no VfioError or has no number. */
export function errnoOf(error: unknown): number {
  return (VfioError.is(error) && Math.abs(error.errno)) || Errno.EIO
}
