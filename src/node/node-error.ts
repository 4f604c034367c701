/**
 * Node's system errors as errors of this package.
 *
 * @module
 */

import { Errno, type ErrnoName, VfioError } from '../errors.ts'

/** What the common ones mean to whoever named the file, and what to do. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder, check the path',
  EACCES: 'permission denied, choose a place you may use',
  EPERM: 'the system does not allow it, choose another place',
  EROFS: 'the file system is read-only, choose another place',
  EISDIR: 'it is a folder, name a file',
  ENOTDIR: 'a part of the path is a file, check the path',
  ENOSPC: 'no space is left, free some',
}

/**
 * A VfioError as it is; a system error by its name, since its number is another one on each platform;
 * UNKNOWN with the number kept where the name is none of ours; EIO for what is no system error.
 */
export function nodeError(error: unknown, action: string): VfioError {
  if (VfioError.is(error)) return error
  const { code, errno, syscall, message } = error as NodeJS.ErrnoException
  const text = `Cannot ${action}: ${REASONS[code ?? ''] ?? `${message}, see the cause`}`
  const options = { cause: error, ...(syscall === undefined ? {} : { syscall }) }
  if (typeof code === 'string' && Object.hasOwn(Errno, code)) {
    return new VfioError(code as ErrnoName, text, options)
  }
  return typeof errno === 'number'
    ? new VfioError('UNKNOWN', text, { ...options, errno })
    : new VfioError('EIO', text, options)
}

/** `call`, with its failure as {@link nodeError}. */
export async function attempt<T>(action: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw nodeError(error, action)
  }
}
