import { expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { concat, CRC32C_STREAM, takeApart } from '../../support/stream-builder.ts'
import { openRecorder, readStream, smallStream } from './stream-recorder.ts'

const STREAM = smallStream()
/** Offsets at which something begins: the stream header, sections, END. */
const STARTS = [0, ...takeApart(STREAM).sections.map(({ offset }) => offset), STREAM.length - 64]

/** Where the thing begins that the byte belongs to. */
function startOf(offset: number): number {
  return Math.max(...STARTS.filter((start) => start <= offset))
}

function failureOf(call: () => unknown): VfioError {
  try {
    call()
  } catch (error) {
    if (VfioError.is(error)) return error
    throw error
  }
  throw new Error('the call did not fail')
}

it.each([
  ['XXH3-64', STREAM],
  ['CRC-32C', smallStream({ header: { flags: CRC32C_STREAM } })],
])('every flipped bit of a stream under %s is refused where it is', (_, stream) => {
  const wrong: string[] = []
  for (let bit = 0; bit < stream.length * 8; bit++) {
    const damaged = stream.slice()
    damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ (1 << (bit & 7))
    const { reader, recorder } = openRecorder()
    const { code, offset, section, message } = failureOf(() => reader.write(damaged))
    const start = startOf(bit >>> 3)
    const named = start === 0 ? /^the stream header$/ : /^section \d \((header|[A-Z]+)\)$/
    const good =
      (code === 'EBADMSG' || (code === 'EPROTO' && bit < 64)) &&
      offset === start &&
      named.test(section ?? '') &&
      message.includes(`${section} at offset ${start}: `) &&
      !recorder.completed
    if (!good) wrong.push(`bit ${bit}: ${message}`)
    reader.dispose()
  }
  expect(wrong).toEqual([])
})

it('the first failure is thrown again by every later call', () => {
  const damaged = STREAM.slice()
  damaged[140] = 0xff
  const { reader } = openRecorder()
  const failure = failureOf(() => reader.write(damaged))
  expect(reader.failure).toBe(failure)
  expect(failureOf(() => reader.write(STREAM))).toBe(failure)
  expect(failureOf(() => reader.write(new Uint8Array(0)))).toBe(failure)
  expect(failureOf(() => reader.window(10))).toBe(failure)
  expect(failureOf(() => reader.commit(0))).toBe(failure)
  expect(failureOf(() => reader.commit(1))).toBe(failure)
  expect(failureOf(() => reader.finish())).toBe(failure)
  expect(reader.ended).toBe(false)
  reader.dispose()
})

it('every truncation is EINVAL at finish(), names where it stops, and the rest may still be written', () => {
  for (let length = 0; length < STREAM.length; length++) {
    const { reader, recorder } = openRecorder()
    reader.write(STREAM.subarray(0, length))
    const failure = failureOf(() => reader.finish())
    const offset = startOf(length)
    expect(failure).toMatchObject({ code: 'EINVAL', offset })
    expect(failure.message).toContain(
      `${failure.section} at offset ${offset}: the stream is ${length === 0 ? 'empty' : `cut short at byte ${length}`}`,
    )
    expect(reader.failure).toBeUndefined()
    reader.write(STREAM.subarray(length))
    reader.finish()
    expect(recorder.completed).toBe(true)
    reader.dispose()
  }
})

it('an appended byte is refused at the end of the stream, written or committed', () => {
  const failure = failureOf(() => readStream(concat([STREAM, Uint8Array.of(0)])))
  expect(failure).toMatchObject({ code: 'EPROTO', section: 'the end', offset: STREAM.length })
  const { reader } = openRecorder()
  reader.write(STREAM)
  expect(reader.window(1000).length).toBeGreaterThan(0)
  reader.commit(0)
  reader.finish()
  const late = failureOf(() => reader.commit(1))
  expect(late).toMatchObject({ code: 'EPROTO', section: 'the end', offset: STREAM.length })
  expect(failureOf(() => reader.finish())).toBe(late)
  reader.dispose()
})

it('a second stream behind the first is refused', () => {
  expect(failureOf(() => readStream(concat([STREAM, STREAM]))).offset).toBe(STREAM.length)
})

it('something else than a stream is named as that', () => {
  const text = new TextEncoder().encode('a text file of more than 128 bytes. '.repeat(4))
  expect(failureOf(() => readStream(text))).toMatchObject({
    code: 'EPROTO',
    message:
      'Cannot read migration stream: the stream header at offset 0: this is not a stopcopy migration stream, check the file',
  })
})
