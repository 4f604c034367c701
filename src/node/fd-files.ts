/**
 * What can be done with file descriptors of eventfds and of memory.
 *
 * @module
 */

import { readlinkSync } from 'node:fs'
import { VfioError } from '../errors.ts'
import type { FdFiles, MapAccess, MappedMemory } from '../vfio-user/index.ts'
import { FdReadiness } from './fd-readiness.ts'
import { libc, type Libc } from './libc.ts'
import { mapFile } from './mapped-memory.ts'
import { descriptorFailure } from './system-failure.ts'

const EFD_NONBLOCK = 0o4000
const EFD_CLOEXEC = 0o2000000
const MFD_CLOEXEC = 0x1
const MFD_ALLOW_SEALING = 0x2
const F_ADD_SEALS = 1033
const F_SEAL_SHRINK_GROW = 0x2 | 0x4
const POLLIN = 0x1
const POLLOUT = 0x4
const EAGAIN = 11
const COUNT_BYTES = 8

/**
 * Eventfds, memory files and mappings, without a connection: for the memory that a device shows to whoever
 * connects later.
 *
 * @throws {@link VfioError} EOPNOTSUPP where there are none, see {@link fdPassingObstacle}
 * @example
 * ```ts
 * import { fdFiles, fdPassingObstacle } from 'stopcopy/node'
 * if (fdPassingObstacle() === undefined) {
 *   const files = fdFiles()
 *   const fd = files.createMemory(4096)
 *   const memory = files.map(fd, 0n, 4096, { write: true })
 *   memory.bytes[0] = 1
 *   memory.unmap()
 *   files.close(fd)
 * }
 * ```
 */
export function fdFiles(): FdFiles {
  return new SystemFdFiles(libc())
}

/** By the C library's calls. */
export class SystemFdFiles implements FdFiles {
  readonly #libc: Libc
  readonly #count = new BigUint64Array(1)
  readonly #countAddress: bigint
  readonly #one = new BigUint64Array([1n])
  readonly #oneAddress: bigint
  readonly #pollfd = new DataView(new ArrayBuffer(8))
  readonly #pollfdAddress: bigint

  constructor(calls: Libc) {
    this.#libc = calls
    this.#countAddress = calls.addressOf(this.#count)
    this.#oneAddress = calls.addressOf(this.#one)
    this.#pollfdAddress = calls.addressOf(new Uint8Array(this.#pollfd.buffer))
  }

  isEvent(fd: number): boolean {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventfd]'
    } catch (error) {
      throw new VfioError('EBADF', `Cannot use descriptor ${fd}: it is not open, pass one that is`, {
        cause: error,
      })
    }
  }

  signal(fd: number): void {
    // A full one would make us wait: its owner may have made it blocking, and changing that changes it for both.
    if (!this.#isReady('signal', fd, POLLOUT)) return
    const result = this.#libc.write(fd, this.#oneAddress, COUNT_BYTES)
    if (result !== -EAGAIN) this.#check('signal', fd, 'write', result)
  }

  map(fd: number, offset: bigint, byteLength: number, access: MapAccess): MappedMemory {
    return mapFile(this.#libc, fd, offset, byteLength, access)
  }

  readAt(fd: number, position: bigint, dst: Uint8Array): void {
    this.#whole('read', fd, position, dst, (bytes, at) =>
      this.#libc.pread(fd, this.#libc.addressOf(bytes), bytes.length, at),
    )
  }

  writeAt(fd: number, position: bigint, src: Uint8Array): void {
    this.#whole('write', fd, position, src, (bytes, at) =>
      this.#libc.pwrite(fd, this.#libc.addressOf(bytes), bytes.length, at),
    )
  }

  createMemory(byteLength: number): number {
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw new VfioError('EINVAL', `Cannot make memory of ${byteLength} bytes: that is no size, ask for one`)
    }
    const calls = this.#libc
    const fd = calls.memfd_create('stopcopy', MFD_CLOEXEC | MFD_ALLOW_SEALING)
    this.#check('make', 'memory', 'memfd_create', fd)
    const resized = calls.ftruncate(fd, byteLength)
    // Whoever maps it need not fear that it shrinks.
    const sealed = resized < 0 ? resized : calls.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK_GROW)
    if (sealed < 0) calls.close(fd)
    this.#check('make', 'memory', resized < 0 ? 'ftruncate' : 'fcntl', sealed)
    return fd
  }

  createEvent(): number {
    return this.#check('make', 'an event', 'eventfd', this.#libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))
  }

  readEvent(fd: number): bigint {
    if (!this.#isReady('read', fd, POLLIN)) return 0n
    const result = this.#libc.read(fd, this.#countAddress, COUNT_BYTES)
    if (result === -EAGAIN) return 0n
    this.#check('read', fd, 'read', result)
    return this.#count[0] as bigint
  }

  watchEvent(fd: number, onCount: (count: bigint) => void): () => void {
    const readiness = new FdReadiness(this.#libc, fd, () => {
      const count = this.readEvent(fd)
      if (count > 0n) onCount(count)
    })
    readiness.want(true, false)
    return () => readiness.close()
  }

  close(fd: number): void {
    this.#check('close', fd, 'close', this.#libc.close(fd))
  }

  #isReady(action: string, fd: number, events: number): boolean {
    this.#pollfd.setInt32(0, fd, true)
    this.#pollfd.setInt16(4, events, true)
    this.#check(action, fd, 'poll', this.#libc.poll(this.#pollfdAddress, 1, 0))
    const found = this.#pollfd.getInt16(6, true)
    // Anything else than "not now" is for the call itself to tell.
    return found !== 0
  }

  #whole(
    action: string,
    fd: number,
    position: bigint,
    bytes: Uint8Array,
    call: (rest: Uint8Array, at: bigint) => number,
  ): void {
    if (position < 0n || position >= 2n ** 63n) {
      throw new VfioError('EINVAL', `Cannot ${action} at ${position}: that is no position, stay below 2^63`)
    }
    for (let done = 0; done < bytes.length;) {
      const moved = this.#check(action, fd, action, call(bytes.subarray(done), position + BigInt(done)))
      if (moved === 0) {
        throw new VfioError(
          'EINVAL',
          `Cannot ${action} ${bytes.length} bytes of descriptor ${fd} at ${position}: the file is shorter, make it longer`,
        )
      }
      done += moved
    }
  }

  #check(action: string, what: number | string, syscall: string, result: number): number {
    if (result >= 0) return result
    const name = typeof what === 'number' ? `descriptor ${what}` : what
    throw descriptorFailure(`${action} ${name}`, syscall, result)
  }
}
