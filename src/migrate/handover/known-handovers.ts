/**
 * The hand-overs this process knows by their migration id: those under way, those that were cut, and how the
 * last ones ended, so that a repeated message gets its answer again.
 *
 * @module
 */

import type { OutgoingMessage } from './frame.ts'
import type { Frame } from './frame-reader.ts'
import { MessageType } from './message-type.ts'

/** A destination's side of a hand-over. */
export interface IncomingHandover {
  /** The answer to a message, when it has one now. */
  handle(message: Frame): Promise<OutgoingMessage | undefined>
  /** The caller's own decision. @throws {@link VfioError} EINVAL when it is decided already */
  decide(verdict: 'run' | 'discard'): Promise<void>
}

/** A source's side of a hand-over that is undecided. */
export interface OutgoingHandover {
  /** The destination runs: gives the devices up. */
  giveUp(): Promise<void>
  /** The destination does not: the devices run again, as far as they can. */
  resume(): Promise<void>
}

/** Most hand-overs that are remembered after their end. */
const REMEMBERED = 1024

const incoming = new Map<string, IncomingHandover>()
const outcomes = new Map<string, MessageType>()
const outgoing = new Map<string, OutgoingHandover>()

/** A destination's hand-over that may still need its devices. */
export function rememberIncoming(id: string, handover: IncomingHandover): void {
  incoming.set(id, handover)
}

/** An incoming hand-over is over: from now on every message of it gets this answer. */
export function rememberOutcome(id: string, type: MessageType): void {
  incoming.delete(id)
  outcomes.set(id, type)
  const [oldest] = outcomes.keys()
  if (outcomes.size > REMEMBERED && oldest !== undefined) outcomes.delete(oldest)
}

export function incomingHandover(id: string): IncomingHandover | undefined {
  return incoming.get(id)
}

/** How an incoming hand-over ended: RUNNING, FAILED or DISCARDED. */
export function outcomeOf(id: string): MessageType | undefined {
  return outcomes.get(id)
}

/** What this process says of a hand-over. */
export async function answerFor(message: Frame): Promise<OutgoingMessage | undefined> {
  const known = incoming.get(message.id)
  if (known !== undefined) return known.handle(message)
  return { type: outcomes.get(message.id) ?? MessageType.UNKNOWN }
}

/** A source's hand-over that is undecided. */
export function rememberOutgoing(id: string, handover: OutgoingHandover): void {
  outgoing.set(id, handover)
}

export function forgetOutgoing(id: string): void {
  outgoing.delete(id)
}

export function outgoingHandover(id: string): OutgoingHandover | undefined {
  return outgoing.get(id)
}
