/**
 * Turns a client away whose device cannot be had.
 *
 * @module
 */

import { type ByteDuplex, settle } from '../transport/index.ts'
import { errnoOf } from './command-answer.ts'
import { errorHeader } from './header.ts'
import { MessageIntake } from './message-intake.ts'

/** Longest first message that is read. */
const MAX_BYTES = 65_536

/**
 * Answers the client's first command with `reason`, closes the connection, and throws `reason`.
 *
 * @param signal - stops waiting for that command
 */
export async function refuseClient(
  duplex: ByteDuplex,
  reason: unknown,
  signal: AbortSignal | undefined,
): Promise<never> {
  let onAbort: (() => void) | undefined
  const answered = new Promise<void>((resolve) => {
    onAbort = resolve
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted === true) resolve()
    const intake: MessageIntake = new MessageIntake(duplex, {
      maxBytes: MAX_BYTES,
      onMessage: ({ header: { id, command } }) => {
        intake.pause()
        const header = errorHeader({ id, command, payloadBytes: 0 }, errnoOf(reason))
        void settle(async () => duplex.write([header])).then(resolve)
      },
    })
    void settle(() => intake.run()).then(resolve)
  })
  await answered
  signal?.removeEventListener('abort', onAbort as () => void)
  await settle(() => duplex.close())
  await settle(() => duplex.cancel(reason))
  throw reason
}
