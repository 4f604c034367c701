/**
 * The C library's calls that Node does not have, by koffi: an optional package, loaded when it is asked for.
 *
 * Results are as the kernel gives them: a negative one is an errno. Structures are those of 64-bit
 * little-endian Linux, which is checked.
 *
 * @module
 */

import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import { VfioError } from '../errors.ts'

/** A watched descriptor. After `close` nothing else may be called. */
export interface PollHandle {
  start(events: PollEvents, onEvents: PollListener): void
  stop(): void
  close(): void
}

/** What to watch for. */
export interface PollEvents {
  readonly readable: boolean
  readonly writable: boolean
}

/** A negative status is an error condition of the descriptor, and nothing is watched any more. */
export type PollListener = (status: number, events: PollEvents) => void

type Call<Args extends unknown[]> = (...args: Args) => number
/** Address of memory, or memory itself. */
type Pointer = bigint | Uint8Array

/** What is used of libc and of koffi. */
export interface Libc {
  readonly socket: Call<[domain: number, type: number, protocol: number]>
  readonly bind: Call<[fd: number, address: Pointer, length: number]>
  readonly listen: Call<[fd: number, backlog: number]>
  readonly accept4: Call<[fd: number, address: null, length: null, flags: number]>
  readonly connect: Call<[fd: number, address: Pointer, length: number]>
  readonly setsockopt: Call<[fd: number, level: number, name: number, value: Pointer, length: number]>
  readonly shutdown: Call<[fd: number, how: number]>
  readonly recvmsg: Call<[fd: number, message: Pointer, flags: number]>
  readonly sendmsg: Call<[fd: number, message: Pointer, flags: number]>
  readonly poll: Call<[fds: Pointer, count: number, timeoutMs: number]>
  readonly eventfd: Call<[count: number, flags: number]>
  readonly memfd_create: Call<[name: string, flags: number]>
  readonly ftruncate: Call<[fd: number, length: number]>
  readonly fcntl: Call<[fd: number, command: number, argument: number]>
  readonly read: Call<[fd: number, dst: Pointer, length: number]>
  readonly write: Call<[fd: number, src: Pointer, length: number]>
  readonly pread: Call<[fd: number, dst: Pointer, length: number, position: bigint]>
  readonly pwrite: Call<[fd: number, src: Pointer, length: number, position: bigint]>
  readonly mmap: Call<
    [address: number, length: number, access: number, flags: number, fd: number, offset: bigint]
  >
  readonly munmap: Call<[address: number, length: number]>
  readonly sysconf: Call<[name: number]>
  /** Frees the number, whatever it returns. */
  readonly close: Call<[fd: number]>
  /** Watches a descriptor by the event loop and makes it non-blocking. Only one watch at a time. */
  poller(fd: number, events: PollEvents, onEvents: PollListener): PollHandle
  /** Where the bytes lie. They stay there as long as their buffer lives. */
  addressOf(bytes: Uint8Array | BigUint64Array): bigint
  /** Memory that is not JavaScript's. */
  view(address: number, byteLength: number): ArrayBuffer
}

type Poll = (fd: number, events: PollEvents, onEvents: PollListener) => PollHandle

/** What is used of koffi 3. */
interface Koffi {
  readonly version: string
  readonly node?: { readonly poll?: Poll }
  load(path: null): { func(name: string, result: string, parameters: string[]): Call<unknown[]> }
  errno(): number
  address(value: unknown): bigint
  view(address: bigint, byteLength: number): ArrayBuffer
}

const EINTR = 4
/** Those whose flags and structures are the generic ones. */
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64', 'ppc64']

let loaded: Libc | VfioError | undefined

/** The calls. @throws {@link VfioError} EOPNOTSUPP where they cannot be had, with the reason */
export function libc(): Libc {
  loaded ??= load()
  if (VfioError.is(loaded)) throw loaded
  return loaded
}

/**
 * Why no file descriptors can be passed here: EOPNOTSUPP with the reason and what to do. Undefined where they
 * can: with Node on 64-bit Linux where the package `koffi` is installed. Bun and Deno read the same bytes by
 * `connect` and `listen`, without descriptors.
 *
 * @example
 * ```ts
 * import { fdPassingObstacle } from 'stopcopy/node'
 * console.log(fdPassingObstacle()?.message ?? 'descriptors can be passed')
 * ```
 */
export function fdPassingObstacle(): VfioError | undefined {
  loaded ??= load()
  return VfioError.is(loaded) ? loaded : undefined
}

function load(): Libc | VfioError {
  if (process.platform !== 'linux') return refusal(`this is ${process.platform}, use Linux`)
  // Bun stops the process with a panic when an addon asks for libuv's poll.
  if ('bun' in process.versions) return refusal('Bun cannot watch descriptors for koffi, use Node')
  if ('deno' in process.versions) return refusal('it was not tried with Deno, use Node')
  if (!ARCHITECTURES.includes(process.arch) || endianness() !== 'LE') {
    return refusal(`the structures of ${process.arch} are not known, use one of ${ARCHITECTURES.join(', ')}`)
  }
  let koffi: Koffi
  try {
    // Not by `import`: neither a bundler nor another runtime is to look for it.
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND'
    return isAbsent
      ? refusal('the package koffi is not installed, npm install koffi')
      : refusal('the package koffi does not load, see the cause', error)
  }
  if (koffi.node?.poll === undefined) {
    return refusal(`koffi ${koffi.version} cannot watch descriptors, npm install koffi@3`)
  }
  return callsOf(koffi, koffi.node.poll)
}

function refusal(reason: string, cause?: unknown): VfioError {
  return new VfioError('EOPNOTSUPP', `Cannot pass file descriptors: ${reason}`, { cause })
}

function callsOf(koffi: Koffi, poll: Poll): Libc {
  const library = koffi.load(null)
  const call = (name: string, result: string, ...parameters: string[]): Call<unknown[]> => {
    const raw = library.func(name, result, parameters)
    return (...args: unknown[]) => {
      for (;;) {
        const value = raw(...args)
        if (value >= 0) return value
        const errno = koffi.errno()
        if (errno !== EINTR || name === 'close') return -errno
      }
    }
  }
  return {
    socket: call('socket', 'int', 'int', 'int', 'int'),
    bind: call('bind', 'int', 'int', 'void *', 'uint'),
    listen: call('listen', 'int', 'int', 'int'),
    accept4: call('accept4', 'int', 'int', 'void *', 'void *', 'int'),
    connect: call('connect', 'int', 'int', 'void *', 'uint'),
    setsockopt: call('setsockopt', 'int', 'int', 'int', 'int', 'void *', 'uint'),
    shutdown: call('shutdown', 'int', 'int', 'int'),
    recvmsg: call('recvmsg', 'int64', 'int', 'void *', 'int'),
    sendmsg: call('sendmsg', 'int64', 'int', 'void *', 'int'),
    poll: call('poll', 'int', 'void *', 'ulong', 'int'),
    eventfd: call('eventfd', 'int', 'uint', 'int'),
    memfd_create: call('memfd_create', 'int', 'str', 'uint'),
    ftruncate: call('ftruncate', 'int', 'int', 'int64'),
    fcntl: call('fcntl', 'int', 'int', 'int', 'int'),
    read: call('read', 'int64', 'int', 'void *', 'size_t'),
    write: call('write', 'int64', 'int', 'void *', 'size_t'),
    pread: call('pread', 'int64', 'int', 'void *', 'size_t', 'int64'),
    pwrite: call('pwrite', 'int64', 'int', 'void *', 'size_t', 'int64'),
    mmap: call('mmap', 'int64', 'int64', 'size_t', 'int', 'int', 'int', 'int64'),
    munmap: call('munmap', 'int', 'int64', 'size_t'),
    sysconf: call('sysconf', 'int64', 'int'),
    close: call('close', 'int', 'int'),
    poller: (fd, events, onEvents) => {
      try {
        return poll(fd, events, onEvents)
      } catch (error) {
        const reason = (error as Error).message
        throw new VfioError('EIO', `Cannot watch descriptor ${fd}: ${reason}, see the cause`, {
          cause: error,
        })
      }
    },
    addressOf: (bytes) => koffi.address(bytes),
    view: (address, byteLength) => koffi.view(BigInt(address), byteLength),
  }
}
