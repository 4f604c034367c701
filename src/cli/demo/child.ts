/**
 * A child process of the demo as its parent sees it: orders go there, news comes back.
 *
 * @module
 */

import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VfioError } from '../../errors.ts'
import type { DemoNews, DemoOrder } from './messages.ts'

/** The script beside this one: .js when built. */
const SCRIPT = new URL(`./process${extname(fileURLToPath(import.meta.url))}`, import.meta.url)

/** One process; {@link end} it in every case. */
export class DemoChild {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #news: DemoNews[] = []
  readonly #waiters = new Set<() => void>()
  readonly #exited: Promise<void>
  #failure: Error | undefined

  constructor(name: string, onNews: (news: DemoNews) => void) {
    this.#name = name
    this.#child = fork(SCRIPT, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#child.on('message', (message) => {
      const news = message as DemoNews
      if (news.type === 'failed') this.#fail(news.failure.message)
      this.#news.push(news)
      onNews(news)
      this.#look()
    })
    this.#exited = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#fail(error.message)
        resolve()
      })
      this.#child.on('exit', (code, signal) => {
        this.#fail(`the ${name} process ended too early (${signal ?? code})`)
        resolve()
      })
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  order(order: DemoOrder): void {
    this.#child.send(order, (error) => {
      if (error !== null) this.#fail(error.message)
    })
  }

  /**
   * The first news of a type.
   *
   * @throws {@link VfioError} EIO when the process failed or ended; the signal's reason
   */
  async news<T extends DemoNews['type']>(type: T, signal: AbortSignal): Promise<DemoNews & { type: T }> {
    for (;;) {
      signal.throwIfAborted()
      const found = this.#news.find((news): news is DemoNews & { type: T } => news.type === type)
      if (found !== undefined) return found
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          this.#waiters.delete(settle)
          signal.removeEventListener('abort', settle)
          resolve()
        }
        this.#waiters.add(settle)
        signal.addEventListener('abort', settle)
      })
    }
  }

  /** Ends the process; settles when it is gone. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  #fail(reason: string): void {
    this.#failure ??= new VfioError('EIO', `Cannot go on with the demo: ${this.#name}: ${reason}`)
    this.#look()
  }

  #look(): void {
    for (const settle of this.#waiters) settle()
  }
}
