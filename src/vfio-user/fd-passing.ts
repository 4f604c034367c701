/**
 * File descriptors beside the bytes: the small interface behind which a runtime's way of passing them stands.
 * The core works without.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ByteDuplex } from '../transport/index.ts'

/** Bytes of a file mapped into this process. */
export interface MappedMemory {
  /** Shared with whoever else maps the file; not to be touched after {@link unmap}. */
  readonly bytes: Uint8Array
  /** Ends the mapping; calling it again has no effect. */
  unmap(): void
}

/** What can be done with descriptors. All calls fail with a VfioError of the system's errno. */
export interface FdPassing {
  /** Descriptors that came with the bytes read since the last call; the caller owns them and closes them. */
  take(): number[]
  /** Writes bytes with descriptors beside the first of them. They stay the caller's. */
  write(chunks: Uint8Array[], fds: readonly number[]): Awaitable<void>
  /** Adds 1 to an eventfd. */
  signal(fd: number): void
  /** Maps `byteLength` bytes of a file from `offset`, shared. */
  map(fd: number, offset: bigint, byteLength: number, access: { readonly write: boolean }): MappedMemory
  /** Reads or writes bytes of a file at a position: for regions that are not mapped. */
  readAt(fd: number, position: bigint, dst: Uint8Array): void
  /** As {@link readAt}, the other way. */
  writeAt(fd: number, position: bigint, src: Uint8Array): void
  /** Makes a file of memory (memfd) of `byteLength` zero bytes. */
  createMemory(byteLength: number): number
  /** Makes an eventfd. */
  createEvent(): number
  /** What an eventfd counted, and sets it to zero; 0 when there was nothing. */
  readEvent(fd: number): bigint
  /** Gives a descriptor back to the system. */
  close(fd: number): void
}

/** A connection that carries descriptors. */
export interface FdDuplex extends ByteDuplex {
  /** How they are passed. */
  readonly fds: FdPassing
}

/** The descriptors of a connection, where it carries them. */
export function fdPassingOf(duplex: ByteDuplex): FdPassing | undefined {
  return (duplex as Partial<FdDuplex>).fds
}
