/**
 * What is shown while nobody can tell who runs a machine, and the ways out of it.
 *
 * @module
 */

import type { HandoverOutcome } from 'stopcopy'
import type { Link } from '../worker/messages.ts'
import { element } from './format.ts'

/** A person's way out: asking the other side, or knowing better. */
export type Way = 'ask' | 'run' | 'discard'

/** A hand-over whose connection broke after it was committed. */
export interface UndecidedHandover {
  /** A new connection to the other side. */
  connect(): Promise<Link>
  settle(how: Link | 'run' | 'discard'): Promise<HandoverOutcome['owner']>
  /** It is known now. */
  settled(owner: HandoverOutcome['owner']): void
}

const BUTTONS: Readonly<Record<Way, string>> = {
  ask: 'ask-again',
  run: 'verdict-run',
  discard: 'verdict-discard',
}

/** The panel: hidden but for such a hand-over. */
export class UndecidedPanel {
  readonly #place = element('undecided')
  #handover: UndecidedHandover | undefined

  /** @param chosen - a way was chosen; `take` goes it */
  constructor(chosen: (way: Way) => void) {
    for (const [way, id] of Object.entries(BUTTONS))
      element(id).addEventListener('click', () => chosen(way as Way))
  }

  show(handover: UndecidedHandover | undefined): void {
    this.#handover = handover
    this.#place.hidden = handover === undefined
  }

  /** @returns what is known then @throws MachineFailure when the other side cannot be asked */
  async take(way: Way): Promise<string> {
    const handover = this.#handover
    if (handover === undefined) return ''
    const owner = await handover.settle(way === 'ask' ? await handover.connect() : way)
    if (owner === 'undecided')
      return 'The other side knows nothing of it, which decides nothing: make sure that it will not run, and decide.'
    this.show(undefined)
    handover.settled(owner)
    if (owner === 'source') return 'Settled: it runs here, where it was.'
    return owner === 'destination' ? 'Settled: the other side runs it.' : 'Settled: it was given up here.'
  }
}
