/**
 * The destination's ticket: where the caller keeps one, it is there before READY is said, again before the
 * devices start, and gone when the hand-over is settled.
 *
 * @module
 */

import type { HandoverTicket } from '../handover/ticket.ts'

type Keep = ((ticket: HandoverTicket | undefined) => unknown) | undefined

/** One migration's ticket. */
export class KeptTicket {
  readonly #id: string
  readonly #devices: () => readonly string[]
  readonly #keep: Keep

  /** @param devices - their types, for people */
  constructor(id: string, devices: () => readonly string[], keep: Keep) {
    this.#id = id
    this.#devices = devices
    this.#keep = keep
  }

  of(phase: HandoverTicket['phase']): HandoverTicket {
    return { version: 1, id: this.#id, role: 'destination', phase, devices: this.#devices() }
  }

  /** @throws what keeping it failed with */
  async keep(phase: HandoverTicket['phase']): Promise<void> {
    await this.#keep?.(this.of(phase))
  }

  /** Never rejects: the hand-over is decided, and a ticket that stays behind only says so again. */
  async forget(): Promise<void> {
    try {
      await this.#keep?.(undefined)
    } catch {
      // See above.
    }
  }
}
