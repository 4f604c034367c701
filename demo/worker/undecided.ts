/**
 * Hand-overs whose connection broke when neither side could tell who runs the machine.
 *
 * @module
 */

import { type HandoverOutcome, type HandoverTicket, Receiver, resolveHandover } from 'stopcopy'
import { connectionOf } from './links.ts'
import type { Link } from './messages.ts'

/**
 * Asks the other side who runs it, or believes the person, who has made sure that the other side will not.
 *
 * @throws {VfioError} as `resolveHandover`; it stays undecided then
 */
export async function settle(
  ticket: HandoverTicket,
  how: Link | 'run' | 'discard',
): Promise<HandoverOutcome['owner']> {
  const told = typeof how === 'string' ? { verdict: how } : await connectionOf(how, 'connect')
  const { owner } = await resolveHandover(ticket, told)
  return owner
}

/** Answers what a source asks of a hand-over to this Worker. */
export async function answerQuestions(link: Link): Promise<void> {
  await new Receiver([]).accept(await connectionOf(link, 'accept'))
}
