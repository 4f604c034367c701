/**
 * Where a command writes: stdout, or stderr while stdout carries a stream.
 *
 * @module
 */

import pc from 'picocolors'
import type { Interrupts } from './interrupts.ts'
import { toJson } from './json-output.ts'

/** The colours in use; each returns its text unchanged where there are none. */
export type Colors = ReturnType<typeof pc.createColors>

/** Widest line of prose, also on a wider terminal. */
const PROSE_COLUMNS = 100

/** The person or machine on the other side. */
export class Terminal {
  readonly #interrupts: Interrupts
  #stream: NodeJS.WriteStream = process.stdout
  #isLines = false

  constructor(interrupts: Interrupts) {
    this.#interrupts = interrupts
  }

  /** Aborted by SIGINT and SIGTERM. */
  get signal(): AbortSignal {
    return this.#interrupts.signal
  }

  /** Lets a second signal not end the process until the result is called: something would be lost. */
  hold(): () => void {
    return this.#interrupts.hold()
  }

  /** From now on JSON is one object a line. */
  useJsonLines(): void {
    this.#isLines = true
  }

  /** Whether JSON is one object a line; each has a `type` then. */
  get hasJsonLines(): boolean {
    return this.#isLines
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

  /** Writes the one object of `--json`, or the next of its lines. */
  json(value: unknown): void {
    process.stdout.write(`${toJson(value, this.#isLines ? 0 : 2)}\n`)
  }
}

function isSet(variable: string | undefined): boolean {
  return variable !== undefined && variable !== '' && variable !== '0'
}
