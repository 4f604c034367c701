/** Promises that tests settle, and what asynchronous calls failed with. @module */

import { VfioError } from '../../src/errors.ts'

/** A promise and its settlers, for blocking a driver. */
export function deferred(): {
  promise: Promise<void>
  resolve: () => void
  reject: (reason: unknown) => void
} {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** The errno name a call throws or rejects with, or 'ok'; other errors go on. */
export async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call()
    return 'ok'
  } catch (error) {
    if (VfioError.is(error)) return error.code
    throw error
  }
}

/** The VfioError a call throws or rejects with. */
export async function failureOf(call: () => unknown): Promise<VfioError> {
  try {
    await call()
  } catch (error) {
    if (VfioError.is(error)) return error
    throw error
  }
  throw new Error('the call did not fail')
}

/** Lets everything that is ready run, promises and one turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
