/**
 * Tickets: what is left of a hand-over that was cut before it was decided, as plain data that JSON keeps.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { ID_BYTES } from './frame.ts'

/** Names a hand-over, to settle it with `resolveHandover` when the ends meet again. */
export interface HandoverTicket {
  /** Of the ticket's form. */
  readonly version: 1
  /** Migration id, 32 hexadecimal digits. */
  readonly id: string
  /** Which side it is of. */
  readonly role: 'source' | 'destination'
  /**
   * destination: 'ready' before COMMIT came, 'committed' from then on. source: always 'committed'.
   * A destination that finds its own 'ready' ticket after it was restarted knows that its devices never ran.
   */
  readonly phase: 'ready' | 'committed'
  /** Types of the devices, for people. */
  readonly devices: readonly string[]
}

/** @throws {@link VfioError} EINVAL when the value, as from a file, is no ticket */
export function checkTicket(value: unknown): HandoverTicket {
  const ticket = (value ?? {}) as Partial<HandoverTicket>
  const valid =
    ticket.version === 1 &&
    typeof ticket.id === 'string' &&
    new RegExp(`^[0-9a-f]{${ID_BYTES * 2}}$`).test(ticket.id) &&
    (ticket.role === 'source' || ticket.role === 'destination') &&
    (ticket.phase === 'ready' || ticket.phase === 'committed') &&
    Array.isArray(ticket.devices)
  if (valid) return ticket as HandoverTicket
  throw new VfioError(
    'EINVAL',
    'Cannot settle the hand-over: this is no ticket, pass report.ticket or what onTicket was given',
  )
}
