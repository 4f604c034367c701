/**
 * Where a command writes: stdout, or stderr while stdout carries a stream.
 *
 * @module
 */

import pc from 'picocolors'
import { toJson } from './json-output.ts'

/** The colours in use; each returns its text unchanged where there are none. */
export type Colors = ReturnType<typeof pc.createColors>

/** Widest line of prose, also on a wider terminal. */
const PROSE_COLUMNS = 100

/** The person or machine on the other side. */
export class Terminal {
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  #stream: NodeJS.WriteStream = process.stdout

  constructor(signal: AbortSignal) {
    this.signal = signal
  }

  /** From now on stdout carries a stream: what people read goes to stderr. */
  leaveStdout(): void {
    this.#stream = process.stderr
  }

  /** Whether stdout carries a stream. */
  get hasLeftStdout(): boolean {
    return this.#stream !== process.stdout
  }

  /** Colours where people look: on a terminal without NO_COLOR, or with FORCE_COLOR. */
  get colors(): Colors {
    const { NO_COLOR, FORCE_COLOR, TERM } = process.env
    if (isSet(NO_COLOR)) return pc.createColors(false)
    // Never undefined, for which picocolors would look for itself and take any CI for a terminal.
    const { isTTY = false } = this.#stream as { isTTY?: boolean }
    return pc.createColors(isSet(FORCE_COLOR) || (isTTY && TERM !== 'dumb'))
  }

  /** Columns that prose may take. */
  get columns(): number {
    return Math.min(this.#stream.columns ?? PROSE_COLUMNS, PROSE_COLUMNS)
  }

  /** Writes lines for people. */
  print(lines: readonly string[] | string): void {
    const text = typeof lines === 'string' ? lines : lines.join('\n')
    this.#stream.write(`${text}\n`)
  }

  /** Writes the one object of `--json`. */
  json(value: unknown): void {
    process.stdout.write(`${toJson(value)}\n`)
  }
}

function isSet(variable: string | undefined): boolean {
  return variable !== undefined && variable !== '' && variable !== '0'
}
