/**
 * Errors of stopcopy: one class, told apart by errno, as a driver author knows them.
 *
 * Numbers are Linux's (x86 and arm64 generic); the sign is Node's, so that
 * `util.getSystemErrorName(error.errno)` works on every platform's copy of a stream.
 *
 * @module
 */

/** Linux errno values by name (positive, as in `<errno.h>`). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EPIPE: 32,
  ENOMSG: 42,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ECONNRESET: 104,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  ECANCELED: 125,
} as const

/** Name of an errno this package raises itself. */
export type ErrnoName = keyof typeof Errno

/** What a {@link VfioError} carries besides its message. */
export interface VfioErrorOptions {
  /** The operation that failed: 'ioctl', 'read', 'write', 'setState', ... */
  syscall?: string
  /** Device state after the failure, where the failed call could have moved it. */
  state?: number
  /** What it came from. */
  cause?: unknown
  /** errno of a peer that has no name here; used with code 'UNKNOWN' (positive or negative). */
  errno?: number
  /** Where a migration stream failed: the section's name and the byte offset in the stream. */
  section?: string
  /** Byte offset in the stream; see {@link section}. */
  offset?: number
}

const BRAND = 'stopcopy.error'
/** V8 and JavaScriptCore; absent elsewhere. */
const StackLimit = Error as { stackTraceLimit?: number }

/**
 * Every failure of this package. Branch on `code`; the message is for people and reads
 * "Cannot <action>: <reason>, <remedy>".
 *
 * @example
 * ```ts
 * import { VfioError } from 'stopcopy'
 * const error = new VfioError('ENOTTY', 'Cannot migrate: the device has no migration feature')
 * console.log(error.code, error.errno, VfioError.is(error, 'ENOTTY')) // ENOTTY -25 true
 * ```
 */
export class VfioError extends Error {
  /** Errno name, or 'UNKNOWN' where a peer's errno has no name. */
  readonly code: ErrnoName | 'UNKNOWN'
  /** Negative errno, Node's sign: EINVAL is -22. */
  readonly errno: number
  /** The operation that failed: 'ioctl', 'read', 'write', 'setState', ... */
  readonly syscall: string | undefined
  /** Device state after the failure (a transition may stop midway). */
  readonly state: number | undefined
  /** Section in which a migration stream failed. */
  readonly section: string | undefined
  /** Byte offset at which it did. */
  readonly offset: number | undefined

  /** An error by its errno's name. */
  constructor(code: ErrnoName | 'UNKNOWN', message: string, options: VfioErrorOptions = {}) {
    // ENOMSG and EAGAIN are flow control, raised per read: a stack trace would cost more than the read.
    const quiet = code === 'ENOMSG' || code === 'EAGAIN'
    const limit = StackLimit.stackTraceLimit
    if (quiet) StackLimit.stackTraceLimit = 0
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    if (quiet && limit !== undefined) StackLimit.stackTraceLimit = limit
    this.name = 'VfioError'
    this.code = code
    this.errno = code === 'UNKNOWN' ? -Math.abs(options.errno ?? 0) : -Errno[code]
    this.syscall = options.syscall
    this.state = options.state
    this.section = options.section
    this.offset = options.offset
  }

  /** Tells VfioErrors of several copies of this package from other errors. */
  get brand(): 'stopcopy.error' {
    return BRAND
  }

  /**
   * True when `error` is a VfioError, also one of another copy of this package or another realm;
   * with `code`, only when it has that code.
   */
  static is(error: unknown, code?: ErrnoName | 'UNKNOWN'): error is VfioError {
    if (typeof error !== 'object' || error === null) return false
    if ((error as { brand?: unknown }).brand !== BRAND) return false
    return code === undefined || (error as VfioError).code === code
  }

  /** The error for a negative or positive errno number of a peer or a kernel module. */
  static fromErrno(errno: number, message: string, options: VfioErrorOptions = {}): VfioError {
    const name = errnoName(errno)
    return name === undefined
      ? new VfioError('UNKNOWN', message, { ...options, errno })
      : new VfioError(name, message, options)
  }
}

/** The name of an errno number of either sign, or undefined. */
export function errnoName(errno: number): ErrnoName | undefined {
  const wanted = Math.abs(errno)
  for (const [name, value] of Object.entries(Errno)) if (value === wanted) return name as ErrnoName
  return undefined
}

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>
