/** What a refusal looks like in an assertion. @module */

import { VfioError } from '../../src/errors.ts'

/** 'EINVAL' when `action` throws a VfioError with that code, 'ok' when it returns; other errors go on. */
export function outcome(action: () => unknown): string {
  try {
    action()
    return 'ok'
  } catch (error) {
    if (VfioError.is(error)) return error.code
    throw error
  }
}
