/**
 * Waiting, as long as nobody interrupts it.
 *
 * @module
 */

import { setTimeout as delay } from 'node:timers/promises'

/** Settles after `delayMs`. @throws the signal's reason when it is aborted before */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  try {
    await delay(delayMs, undefined, { signal })
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}
