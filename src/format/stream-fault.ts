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

/** The error of a place in a stream: "Cannot read migration stream: section 3 (PAGES) at offset 4711: ...". */
export function streamError(fault: StreamFault, section: string, offset: number): VfioError {
  return new VfioError(
    fault.code,
    `Cannot read migration stream: ${section} at offset ${offset}: ${fault.message}, ${fault.remedy}`,
    { section, offset, syscall: 'write' },
  )
}
