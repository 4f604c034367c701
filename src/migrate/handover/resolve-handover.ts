/**
 * Settles a hand-over that was cut after COMMIT had begun.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { type ByteDuplex, byteDuplex, type DuplexLike, settle } from '../../transport/index.ts'
import type { Owner } from '../report.ts'
import { within } from './deadline.ts'
import { FrameReader } from './frame-reader.ts'
import { FrameWriter, linkFailure } from './frame-writer.ts'
import { answerFor, incomingHandover, outcomeOf, outgoingHandover } from './known-handovers.ts'
import { MessageType } from './message-type.ts'
import { checkTicket, type HandoverTicket } from './ticket.ts'

/** How a hand-over was settled. */
export interface HandoverOutcome {
  /** Migration id, 32 hexadecimal digits. */
  readonly id: string
  /**
   * 'undecided': the other side knows nothing of it, which decides nothing.
   * 'none': the devices are gone with the process that had them, or were given up.
   */
  readonly owner: Owner | 'undecided'
}

/** The caller's own decision: it has made sure that the other side will not run. */
export interface HandoverVerdict {
  /** 'run': the devices here run. 'discard': they do not, and never will. */
  readonly verdict: 'run' | 'discard'
}

/** Options of {@link resolveHandover}. */
export interface ResolveOptions {
  /** For the other side's answer, or its question; default 10,000 ms. */
  readonly replyTimeoutMs?: number
  /** How often the source asks again; default 1000 ms. */
  readonly resendMs?: number
}

/**
 * Settles a hand-over when the ends meet again, or as the caller decides.
 *
 * With a connection, the source asks and the destination answers: call it at both ends of a connection, or at
 * the source with a connection to the `Receiver`. The source commits again; a destination that is ready starts
 * then, one that has started says so, one that has discarded lets the source run. Devices are found by the
 * ticket's id in this process. In a process that was restarted they are gone: such a source only learns who
 * has them ('destination' or 'none'), such a destination with a 'ready' ticket says DISCARDED.
 *
 * With a verdict **you have made sure that the other side will not run**: nothing is asked.
 *
 * @param ticket - `report.ticket`, or what `onTicket` was given, also read back from JSON
 * @throws {@link VfioError} EINVAL no ticket, or nothing to decide here; ETIMEDOUT no answer; EPIPE, EPROTO,
 * EBADMSG the connection; the hand-over stays undecided then
 * @example
 * ```ts
 * const report = await migrate(device, connection)
 * if (report.ticket) await resolveHandover(report.ticket, await connect('tcp:127.0.0.1:4711'))
 * ```
 */
export async function resolveHandover(
  ticket: HandoverTicket,
  how: DuplexLike | HandoverVerdict,
  options: ResolveOptions = {},
): Promise<HandoverOutcome> {
  const checked = checkTicket(ticket)
  if ('verdict' in how) return decide(checked, how.verdict)
  const { replyTimeoutMs = 10_000, resendMs = 1_000 } = options
  const meeting = new Meeting(checked, byteDuplex(how))
  try {
    const outcome = checked.role === 'source' ? meeting.ask(resendMs) : meeting.answer()
    return await within(
      outcome,
      replyTimeoutMs,
      () =>
        new VfioError('ETIMEDOUT', 'Cannot settle the hand-over: the other side did not answer, try again'),
    )
  } finally {
    await meeting.close()
  }
}

async function decide(
  { id, role, phase }: HandoverTicket,
  verdict: 'run' | 'discard',
): Promise<HandoverOutcome> {
  if (verdict !== 'run' && verdict !== 'discard')
    throw new VfioError('EINVAL', `Cannot settle the hand-over: "${String(verdict)}", use "run" or "discard"`)
  if (role === 'source') {
    const handover = outgoingHandover(id)
    if (handover === undefined) throw gone(verdict)
    await (verdict === 'run' ? handover.resume() : handover.giveUp())
    return { id, owner: verdict === 'run' ? 'source' : 'none' }
  }
  const handover = incomingHandover(id)
  if (handover !== undefined) {
    await handover.decide(verdict)
    return { id, owner: verdict === 'run' ? 'destination' : 'none' }
  }
  // The devices of an earlier process; what never ran needs no more than to be said.
  if (verdict === 'discard' && phase === 'ready' && outcomeOf(id) !== MessageType.RUNNING)
    return { id, owner: 'none' }
  throw gone(verdict)
}

function gone(verdict: string): VfioError {
  return new VfioError(
    'EINVAL',
    `Cannot settle the hand-over by "${verdict}": it is settled, or its devices were of another process`,
  )
}

/** The two ends on a new connection. */
class Meeting {
  readonly #ticket: HandoverTicket
  readonly #writer: FrameWriter
  readonly #reader: FrameReader
  #again: ReturnType<typeof setInterval> | undefined

  constructor(ticket: HandoverTicket, duplex: ByteDuplex) {
    this.#ticket = ticket
    this.#writer = new FrameWriter(duplex)
    this.#reader = new FrameReader(duplex)
  }

  /** The source: COMMIT once more. */
  async ask(resendMs: number): Promise<HandoverOutcome> {
    const { id } = this.#ticket
    const commit = (): Promise<void> => this.#writer.message(id, { type: MessageType.COMMIT })
    await commit()
    this.#again = setInterval(() => void commit().catch(() => {}), resendMs)
    for (;;) {
      const frame = await this.#next()
      if (frame.id !== id) continue
      // Looked up late: the caller may have decided meanwhile.
      const handover = outgoingHandover(id)
      switch (frame.type) {
        case MessageType.RUNNING:
          await handover?.giveUp()
          return { id, owner: 'destination' }
        case MessageType.FAILED:
        case MessageType.DISCARDED:
          await handover?.resume()
          return { id, owner: handover === undefined ? 'none' : 'source' }
        case MessageType.UNKNOWN:
          return { id, owner: 'undecided' }
        default:
      }
    }
  }

  /** The destination: waits to be asked. */
  async answer(): Promise<HandoverOutcome> {
    const { id } = this.#ticket
    for (;;) {
      const frame = await this.#next()
      const isOurs = frame.id === id
      const message =
        isOurs && this.#neverRan
          ? { type: MessageType.DISCARDED, payload: NEVER_RAN }
          : await answerFor(frame)
      if (message === undefined) continue
      await this.#writer.message(frame.id, message)
      if (!isOurs) continue
      if (message.type === MessageType.RUNNING) return { id, owner: 'destination' }
      if (message.type === MessageType.UNKNOWN) return { id, owner: 'undecided' }
      // The source runs on, if it still lives: it has asked.
      return { id, owner: 'source' }
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#again)
    const over = new VfioError('ECANCELED', 'Cannot use the connection: the hand-over was looked at')
    await settle(() => within(this.#writer.close(), CLOSE_MS, () => over))
    await settle(() => this.#writer.abort(over))
    await settle(() => this.#reader.cancel(over))
  }

  /** A ticket of an earlier process that had not seen COMMIT: its devices never left STOP, and are gone. */
  get #neverRan(): boolean {
    const { id, phase } = this.#ticket
    return phase === 'ready' && incomingHandover(id) === undefined && outcomeOf(id) === undefined
  }

  async #next(): Promise<NonNullable<Awaited<ReturnType<FrameReader['next']>>>> {
    const frame = await this.#reader.next().catch((error: unknown) => {
      throw linkFailure(error, 'use')
    })
    if (frame !== undefined) return frame
    throw new VfioError(
      'EPIPE',
      'Cannot settle the hand-over: the other side closed the connection, try again',
    )
  }
}

const CLOSE_MS = 1000
const NEVER_RAN: Uint8Array = new TextEncoder().encode(
  JSON.stringify({
    code: 'ECANCELED',
    message: 'Cannot receive: the destination was restarted before COMMIT',
  }),
)
