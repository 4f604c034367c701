/**
 * Content failures of a stream, with the place named.
 *
 * @module
 */

import { type ErrnoName, VfioError } from '../errors.ts'

/** Thrown by a {@link StreamHandler} to refuse what it was given; the reader adds the place. */
export class StreamFault extends Error {
  readonly code: ErrnoName
  readonly remedy: string

  constructor(code: ErrnoName, reason: string, remedy: string = 'save the device again') {
    super(reason)
    this.code = code
    this.remedy = remedy
  }
}

/**
 * The error of a place in a stream: "Cannot read migration stream: section 3 (PAGES) at offset 4711: ...".
 * An error that is no {@link StreamFault} becomes its cause; it keeps its code, or is EIO.
 */
export function streamError(error: unknown, section: string, offset: number): VfioError {
  const at = `Cannot read migration stream: ${section} at offset ${offset}`
  const place = { section, offset, syscall: 'write' }
  if (error instanceof StreamFault)
    return new VfioError(error.code, `${at}: ${error.message}, ${error.remedy}`, place)
  const code = VfioError.is(error) && error.code !== 'UNKNOWN' ? error.code : 'EIO'
  const reason = error instanceof Error ? error.message : String(error)
  return new VfioError(code, `${at}: ${reason}`, { ...place, cause: error })
}
