/**
 * File descriptors beside the bytes: the small interface behind which a runtime's way of passing them stands.
 * The core works without.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ByteDuplex, ByteSource } from '../transport/index.ts'

/** Bytes of a file mapped into this process. */
export interface MappedMemory {
  /** Shared with whoever else maps the file, until {@link unmap}; then they are nobody's. */
  readonly bytes: Uint8Array
  /** Ends the mapping; calling it again has no effect. Touching the bytes later does no harm. */
  unmap(): void
}

/** What is asked of a mapping. */
export interface MapAccess {
  /** Whether others see what is written to the bytes. Without it, what is written stays in this process. */
  readonly write: boolean
  /**
   * Refuses files that their owner can still shrink: touching what was cut off kills this process (SIGBUS).
   * For owners that are not trusted. Default: false.
   */
  readonly requireSealed?: boolean
}

/** What can be done with descriptors. All calls fail with a VfioError of the system's errno. */
export interface FdFiles {
  /** Whether a descriptor is an eventfd: to be asked before {@link signal} is used on what a peer sent. */
  isEvent(fd: number): boolean
  /** Adds 1 to an eventfd; one that is full stays as it is. Never waits. */
  signal(fd: number): void
  /** Maps `byteLength` bytes of a file from `offset`. EINVAL where the file is shorter, or no file. */
  map(fd: number, offset: bigint, byteLength: number, access: MapAccess): MappedMemory
  /** Reads all of `dst` from a file at a position: for regions that are not mapped. EINVAL beyond its end. */
  readAt(fd: number, position: bigint, dst: Uint8Array): void
  /** Writes all of `src` to a file at a position. */
  writeAt(fd: number, position: bigint, src: Uint8Array): void
  /** Makes a file of memory (memfd) of `byteLength` zero bytes, sealed against another size. */
  createMemory(byteLength: number): number
  /** Makes an eventfd. */
  createEvent(): number
  /** What an eventfd counted, and sets it to zero; 0 when there was nothing. */
  readEvent(fd: number): bigint
  /**
   * Calls back with what an eventfd counted, whenever it did; the function given back ends that, and is to be
   * called before the descriptor is closed. Its reads wait no more, also those of a peer who shares it.
   */
  watchEvent(fd: number, onCount: (count: bigint) => void): () => void
  /** Gives the number back. */
  close(fd: number): void
}

/** The descriptors of one connection. */
export interface FdPassing extends FdFiles {
  /** Descriptors that came with the bytes read since the last call; the caller owns them and closes them. */
  take(): number[]
  /** Writes bytes with descriptors beside the first of them. They stay the caller's. */
  write(chunks: Uint8Array[], fds: readonly number[]): Awaitable<void>
}

/** A connection that carries descriptors. */
export interface FdDuplex extends ByteDuplex {
  /** How they are passed. */
  readonly fds: FdPassing
}

/** The descriptors of a connection, where it carries them. */
export function fdPassingOf(duplex: ByteDuplex | ByteSource): FdPassing | undefined {
  return (duplex as Partial<FdDuplex>).fds
}
