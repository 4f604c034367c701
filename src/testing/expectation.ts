/**
 * What a conformance case expects, and the sentence that says what came instead. No test framework.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ErrnoName } from '../errors.ts'

/** An expectation that was not met; the suite turns it into the case's Error. */
export class Mismatch extends Error {
  override readonly name = 'Mismatch'
}

/** Throws unless `holds`; `did` says what was done, `expected` and `got` what differs. */
export function expectThat(holds: boolean, did: string, expected: string, got: unknown): void {
  if (!holds) throw new Mismatch(`${did}: expected ${expected}, got ${String(got)}`)
}

/** Throws unless both values are the same. */
export function expectSame(did: string, got: unknown, expected: unknown): void {
  expectThat(Object.is(got, expected), did, String(expected), got)
}

/** Throws unless both streams are byte for byte equal; names the first difference. */
export function expectSameBytes(did: string, got: Uint8Array, expected: Uint8Array): void {
  const at = expected.findIndex((value, index) => got[index] !== value)
  if (at >= 0 && at < got.length) {
    throw new Mismatch(`${did}: expected byte ${at} to be ${expected[at]}, got ${got[at]}`)
  }
  expectThat(got.length === expected.length, did, `${expected.length} bytes`, `${got.length}`)
}

/** Throws unless `action` fails with one of `codes`; without `codes`, with any errno. */
export async function expectErrno(
  did: string,
  action: () => unknown,
  ...codes: readonly ErrnoName[]
): Promise<VfioError> {
  const expected = codes.length === 0 ? 'an errno' : codes.join(' or ')
  try {
    await action()
  } catch (error) {
    if (!VfioError.is(error))
      throw new Mismatch(`${did}: expected ${expected}, got ${String(error)}`, { cause: error })
    const isExpected = codes.length === 0 || (codes as readonly string[]).includes(error.code)
    expectThat(isExpected, did, expected, error.code)
    return error
  }
  throw new Mismatch(`${did}: expected ${expected}, got success`)
}
