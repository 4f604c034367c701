/** Damage that `verify` must see: in-process, since every bit has its turn. @module */

import { beforeAll, describe, expect, it } from 'vitest'
import { VfioError } from '../../src/errors.ts'
import { verify } from '../../src/migrate/index.ts'
import { bulkStream, BytesSource, flip, mttyStream, randomNumbers } from './stream-bytes.ts'

beforeAll(() => {
  // Sixty thousand refusals, and nobody looks at their stack traces.
  Error.stackTraceLimit = 0
})

/** The refusal of a damaged stream; undefined when there was none. */
async function refusal(bytes: Uint8Array): Promise<VfioError | undefined> {
  const source = new BytesSource(bytes)
  try {
    await verify(source)
    return undefined
  } catch (error) {
    if (!VfioError.is(error)) throw error
    expect(source.isCanceled).toBe(true)
    return error
  }
}

/** Whether it is one line that names a section and an offset, which lies before the damage. */
function namesPlace(error: VfioError | undefined, damageOffset: number): boolean {
  if (error?.section === undefined || error.offset === undefined) return false
  const { section, offset, message } = error
  return (
    offset <= damageOffset && message.includes(`${section} at offset ${offset}`) && !message.includes('\n')
  )
}

const SMALL = { bulk: (): Promise<Uint8Array> => bulkStream(4097, 3), mtty: mttyStream }

describe.each(['bulk', 'mtty'] as const)('verify of a small %s stream', (type) => {
  it('takes it as it is', async () => {
    expect(await refusal(await SMALL[type]())).toBeUndefined()
  })

  it('refuses every flipped bit, and names section and offset', { timeout: 120_000 }, async () => {
    const bytes = await SMALL[type]()
    const missed: number[] = []
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      flip(bytes, bit)
      if (!namesPlace(await refusal(bytes), bit >>> 3)) missed.push(bit)
      flip(bytes, bit)
    }
    expect(missed).toEqual([])
  })

  it('refuses every truncation, and names section and offset', async () => {
    const bytes = await SMALL[type]()
    const missed: number[] = []
    for (let length = 0; length < bytes.length; length++)
      if (!namesPlace(await refusal(bytes.subarray(0, length)), length)) missed.push(length)
    expect(missed).toEqual([])
  })

  it('refuses appended bytes, and names where they begin', async () => {
    const bytes = await SMALL[type]()
    for (const appended of [[0], [1], [255], [0, 0], Array.from({ length: 4096 }, () => 0), [...bytes]]) {
      const error = await refusal(Uint8Array.from([...bytes, ...appended]))
      expect(error).toMatchObject({ code: 'EPROTO', section: 'the end', offset: bytes.length })
      expect(namesPlace(error, bytes.length)).toBe(true)
    }
  })
})

describe('verify of a stream of 64 MiB + 3', () => {
  it('refuses 1,000 random flipped bits, and names section and offset', { timeout: 180_000 }, async () => {
    const bytes = await bulkStream(64 * 1024 * 1024 + 3, 4)
    const random = randomNumbers(0x5eed)
    const missed: number[] = []
    for (let count = 0; count < 1000; count++) {
      const bit = random(bytes.length * 8)
      flip(bytes, bit)
      if (!namesPlace(await refusal(bytes), bit >>> 3)) missed.push(bit)
      flip(bytes, bit)
    }
    expect(missed).toEqual([])
    expect(await refusal(bytes)).toBeUndefined()
  })
})
