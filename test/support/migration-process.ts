/** Ends of migrations as processes of their own, which can be told what to do and killed. @module */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { HandoverTicket, MigrateReport, ReceiveReport } from '../../src/migrate/index.ts'

const SCRIPT = fileURLToPath(new URL('../processes/end.mjs', import.meta.url))
/** No answer, and no event that is waited for, may take longer. */
const HARD_LIMIT_MS = 60_000

/** How an end is set up; see `test/processes/end.mjs`. */
export interface EndSetup {
  readonly role: 'source' | 'destination'
  readonly memoryBytes: number
  readonly seed?: number
  readonly workload?: { readonly pagesPerSecond: number }
  /** URL to take migrations at. */
  readonly listen?: string
  /** Where running intervals are written. */
  readonly log?: string
  /** Where a destination keeps its ticket. */
  readonly ticketPath?: string
  /** Milliseconds before an arc, by 'FROM-TO'. */
  readonly slow?: Readonly<Record<string, number>>
  readonly receive?: { readonly readyTimeoutMs?: number; readonly lingerMs?: number }
}

/** What an end tells of its own accord. */
export interface EndEvent {
  readonly event: 'up' | 'connection' | 'phase' | 'received' | 'nothing-came' | 'receive-failed' | 'resolved'
  readonly phase?: string
  readonly owner?: string
  readonly ticket?: HandoverTicket
  readonly code?: string
  readonly message?: string
  readonly report?: ReceiveReport
}

/** What `migrate` came to. */
export interface MigrateResult {
  readonly owner?: string
  readonly ticket?: HandoverTicket
  readonly code?: string
  readonly message?: string
  readonly report?: MigrateReport
}

/** A running end. */
export class MigrationProcess {
  readonly events: EndEvent[] = []
  /** CLOCK_MONOTONIC nanoseconds at which it was known to be gone. */
  goneNs: bigint | undefined
  readonly gone: Promise<void>
  readonly #child: ChildProcess
  readonly #watchers = new Set<() => void>()
  readonly #answers = new Map<number, (result: unknown) => void>()
  #commands = 0

  /** Starts a process and waits until it is up. */
  static async start(setup: EndSetup, nodeArguments: readonly string[] = []): Promise<MigrationProcess> {
    const started = new MigrationProcess(setup, nodeArguments)
    await started.event(({ event }) => event === 'up')
    return started
  }

  private constructor(setup: EndSetup, nodeArguments: readonly string[]) {
    this.#child = fork(SCRIPT, [JSON.stringify(setup)], { execArgv: [...nodeArguments] })
    this.#child.on('message', (message) =>
      this.#take(message as EndEvent & { id?: number; result?: unknown }),
    )
    this.gone = new Promise((resolve) => {
      this.#child.on('exit', () => {
        this.goneNs = process.hrtime.bigint()
        for (const look of this.#watchers) look()
        resolve()
      })
    })
  }

  /** Does a command; undefined when the process died before it answered. */
  async command<T>(command: string, words: object = {}): Promise<T | undefined> {
    const id = ++this.#commands
    const answer = new Promise<T>((resolve) => this.#answers.set(id, resolve as (result: unknown) => void))
    if (this.goneNs === undefined) this.#child.send({ id, command, ...words }, () => {})
    return within(`an answer to "${command}"`, Promise.race([answer, this.gone.then(() => undefined)]))
  }

  /** Waits for an event, also one of the past; undefined when the process died before. */
  async event(matches: (event: EndEvent) => boolean): Promise<EndEvent | undefined> {
    let look: (() => void) | undefined
    const found = new Promise<EndEvent | undefined>((resolve) => {
      look = () => {
        const event = this.events.find(matches)
        if (event !== undefined || this.goneNs !== undefined) resolve(event)
      }
      this.#watchers.add(look)
      look()
    })
    try {
      return await within('an event', found)
    } finally {
      this.#watchers.delete(look as () => void)
    }
  }

  /** SIGKILL, now. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Kills it if it still runs, and waits until it is gone. */
  async end(): Promise<void> {
    this.kill()
    await this.gone
  }

  #take(message: EndEvent & { id?: number; result?: unknown }): void {
    if (message.id !== undefined) {
      this.#answers.get(message.id)?.(message.result)
      this.#answers.delete(message.id)
      return
    }
    this.events.push(message)
    for (const look of this.#watchers) look()
  }
}

async function within<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${HARD_LIMIT_MS} ms`)), HARD_LIMIT_MS)
  })
  try {
    return await Promise.race([work, expired])
  } finally {
    clearTimeout(timer)
  }
}
