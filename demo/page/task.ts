/**
 * One long action at a time: its progress, its end, and what may not be pressed meanwhile.
 *
 * @module
 */

import { MachineFailure } from './machine-client.ts'
import { element } from './format.ts'

/** Shows what is under way. */
export class Task {
  readonly #progress = element<HTMLProgressElement>('progress')
  readonly #message = element('message')
  readonly #busy: (busy: boolean) => void
  #isBusy = false

  constructor(busy: (busy: boolean) => void) {
    this.#busy = busy
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  /** Runs `work` unless something else is under way; its result is what is said at the end. */
  async run(words: string, work: () => Promise<string>): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#busy(true)
    this.#progress.hidden = false
    this.#progress.removeAttribute('value')
    this.say(`${words}…`)
    try {
      this.say(await work(), 'done')
    } catch (error) {
      const code = error instanceof MachineFailure && error.code !== 'UNKNOWN' ? `${error.code}: ` : ''
      this.say(`${code}${error instanceof Error ? error.message : String(error)}`, 'failed')
    } finally {
      this.#isBusy = false
      this.#progress.hidden = true
      this.#busy(false)
    }
  }

  /** @param part - 0 to 1; undefined: nobody knows */
  at(part: number | undefined): void {
    if (part === undefined || !Number.isFinite(part)) this.#progress.removeAttribute('value')
    else this.#progress.value = Math.min(1, Math.max(0, part))
  }

  say(text: string, kind: 'under-way' | 'done' | 'failed' = 'under-way'): void {
    this.#message.textContent = text
    this.#message.dataset['kind'] = kind
  }
}
