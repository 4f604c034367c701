/** What a case expects. No test framework runs in all four runtimes. */

/** Throws unless both are the same value. */
export function expectSame(got, expected) {
  if (!Object.is(got, expected)) throw new Error(`expected ${String(expected)}, got ${String(got)}`)
}

/** Throws unless both hold the same bytes. */
export function expectBytes(got, expected) {
  expectSame(got.length, expected.length)
  const at = got.findIndex((byte, index) => byte !== expected[index])
  if (at >= 0) throw new Error(`expected byte ${at} to be ${expected[at]}, got ${got[at]}`)
}

/** The error with which a promise is rejected. */
export async function refusal(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected an error, got success')
}
