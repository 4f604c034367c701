/**
 * Failures as the command tells them: one line for people, one object for machines, an exit code.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { plainLine } from './plain-line.ts'

/** Exit codes of the command. */
export const ExitCode = { DONE: 0, FAILED: 1, USAGE: 2 } as const

/** Most characters of a section's name. */
const SECTION_CHARACTERS = 64

/** The command line asks for something that makes no sense: exit code 2. */
export class UsageError extends Error {}

/** An interrupted command left something that outlives it; the message says in what state. */
export class InterruptedError extends Error {}

/** The twin of the one line, as `--json` prints it. */
export interface Failure {
  /** Errno name; UNKNOWN when there is none. */
  readonly code: string
  /** Negative, Node's sign; 0 when there is none. */
  readonly errno: number
  readonly message: string
  /** Where a stream failed: the section and its byte offset in the stream. */
  readonly section?: string
  readonly offset?: number
}

/** What is to be said about an error of any kind. */
export function failureOf(error: unknown): Failure {
  const { code, errno } = numbersOf(error)
  const place = placeOf(error)
  const message = oneLine(error instanceof Error ? error.message : String(error))
  return {
    code,
    errno,
    message: withPlace(message, place),
    ...(place.section === undefined ? {} : { section: place.section }),
    ...(place.offset === undefined ? {} : { offset: place.offset }),
  }
}

/** The one line on stderr. */
export function failureLine({ message, code }: Failure): string {
  return `stopcopy: ${message}${code === 'UNKNOWN' || message.includes(code) ? '' : ` (${code})`}`
}

function numbersOf(error: unknown): { code: string; errno: number } {
  // A name that is none of the protocol's, such as EISDIR, is the cause's.
  if (VfioError.is(error, 'UNKNOWN') && error.cause !== undefined) return numbersOf(error.cause)
  if (VfioError.is(error)) return { code: error.code, errno: error.errno }
  if (error instanceof UsageError) return { code: 'EINVAL', errno: -22 }
  // Errors of Node's system calls carry both, with the same sign.
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown }
  return typeof code === 'string' && typeof errno === 'number'
    ? { code, errno }
    : { code: 'UNKNOWN', errno: 0 }
}

function placeOf(error: unknown): { section?: string | undefined; offset?: number | undefined } {
  if (!VfioError.is(error)) return {}
  const { section, offset } = error
  return { section: section === undefined ? undefined : plainLine(section, SECTION_CHARACTERS), offset }
}

/** Every failure of a stream says where, also one whose message was written without it. */
function withPlace(
  message: string,
  { section, offset }: { section?: string | undefined; offset?: number | undefined },
): string {
  if (section === undefined || offset === undefined || message.includes(`offset ${offset}`)) return message
  return `${message} [${section} at offset ${offset}]`
}

/** One plain line, as a peer may have worded it, without the advice that only a program can follow. */
function oneLine(text: string): string {
  return plainLine(text).replaceAll(', see the cause', '')
}
