/**
 * Calls that clean up after a failure.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'

/** Runs a call whose failure changes nothing any more. */
export async function settle(call: () => Awaitable<void>): Promise<void> {
  try {
    await call()
  } catch {
    // An earlier error is under way to the caller, and it is the one to report.
  }
}
