import { describe, expect, it, vi } from 'vitest'
import { MESSAGE_WINDOW_BYTES, messageDuplex } from '../../../src/transport/message-duplex.ts'
import type { ByteDuplex } from '../../../src/transport/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { outcome } from '../../support/vfio-error.ts'
import { drain, duplexSuite, pattern } from './duplex-suite.ts'
import { channelPair, TestChannel } from './message-pair.ts'

duplexSuite('messageDuplex over a channel in memory', async () => {
  const [here, there] = channelPair(1024 * 1024)
  return [messageDuplex(here), messageDuplex(there)]
})

const WINDOW = 8192

/** A duplex whose other end is the test; it has 8 KiB of credit in each direction. */
function alone(hello: string | null = `opened 1 ${WINDOW} 1024`): {
  duplex: ByteDuplex
  channel: TestChannel
} {
  const channel = new TestChannel(1024)
  const duplex = messageDuplex(channel, { windowBytes: WINDOW })
  if (hello !== null) channel.deliver(hello)
  return { duplex, channel }
}

/** The code that a read and a write fail with. */
async function codes(duplex: ByteDuplex): Promise<string[]> {
  return [await codeOf(() => duplex.read(new Uint8Array(1))), await codeOf(() => duplex.write([pattern(1)]))]
}

describe('messageDuplex', () => {
  it('says what it takes first, and sends no data before it knows what the other end takes', async () => {
    const { duplex, channel } = alone('')
    const silent = alone(null)
    const written = silent.duplex.write([pattern(10)])
    await turn()
    expect(silent.channel.sent).toEqual([`open 1 ${WINDOW} 1024`])
    silent.channel.deliver('open 1 4096 2048')
    await written
    await silent.duplex.open!()
    expect(silent.channel.said).toEqual([`open 1 ${WINDOW} 1024`, `opened 1 ${WINDOW} 1024`])
    expect(channel.isClosed).toBe(true)
    expect(await codes(duplex)).toEqual(['EPROTO', 'EPROTO'])
  })

  it('connects when one end listens later and missed what the first one said', async () => {
    const [here, there] = channelPair()
    const early = messageDuplex(here)
    const written = early.write([pattern(3000)])
    await turn()
    const late = messageDuplex(there)
    await written
    await Promise.all([early.open!(), late.open!(), early.close()])
    expect(Buffer.compare(await drain(late), pattern(3000))).toBe(0)
    expect(there.said.filter((text) => text.startsWith('open'))).toHaveLength(1)
  })

  it.each([
    ['the smaller of the credit and its own window', `opened 1 ${1024 * 1024} 1024`, 8192],
    ['the credit', 'opened 1 4096 1024', 4096],
  ])('has no more in flight than %s', async (_, hello, inFlight) => {
    const { duplex, channel } = alone(hello)
    const written = duplex.write([new Uint8Array(20_000)])
    await turn()
    expect(channel.sentBytes).toBe(inFlight)
    channel.deliver('grant 2048')
    await turn()
    expect(channel.sentBytes).toBe(inFlight + 2048)
    const failing = failureOf(() => written)
    await duplex.abort('done')
    expect((await failing).code).toBe('ECANCELED')
  })

  it('sends messages no longer than either end allows', async () => {
    const { duplex, channel } = alone('opened 1 131072 65536')
    await duplex.write([new Uint8Array(1500), new Uint8Array(1500)])
    expect(channel.sent.slice(1).map(({ length }) => length)).toEqual([1024, 1024, 952])
  })

  it('counts a small message as 1 KiB, so that there are never many', async () => {
    const { duplex, channel } = alone()
    for (let round = 0; round < 8; round++) await duplex.write([pattern(1)])
    const ninth = duplex.write([pattern(1)])
    await turn()
    expect(channel.sentBytes).toBe(8)
    channel.deliver('grant 1024')
    await ninth
    for (let round = 0; round < 8; round++) channel.deliver(pattern(1))
    channel.deliver(pattern(1))
    expect(await codes(duplex)).toEqual(['EPROTO', 'EPROTO'])
  })

  it('waits while the channel is full', async () => {
    const { duplex, channel } = alone()
    channel.isFull = true
    const written = duplex.write([pattern(10)])
    await turn()
    expect(channel.sentBytes).toBe(0)
    channel.drain()
    await written
    expect(channel.sentBytes).toBe(10)
  })

  it('grants what was read and released, a quarter of the window at once', async () => {
    const { duplex, channel } = alone()
    for (let round = 0; round < 8; round++) channel.deliver(pattern(1024))
    const grants = (): string[] => channel.said.filter((text) => text.startsWith('grant'))
    await duplex.read(new Uint8Array(2047))
    expect(grants()).toEqual([])
    await duplex.read(new Uint8Array(1))
    expect(grants()).toEqual(['grant 2048'])
    const leases = [await duplex.lease!(100), await duplex.lease!(2000), await duplex.lease!(1024)]
    expect(leases.map(({ length }) => length)).toEqual([100, 924, 1024])
    duplex.release!()
    expect(grants()).toHaveLength(1)
    duplex.release!()
    duplex.release!()
    expect(grants()).toEqual(['grant 2048', 'grant 2048'])
    expect(outcome(() => duplex.release!())).toBe('EINVAL')
  })

  it('takes leases from where the messages lie', async () => {
    const { duplex, channel } = alone()
    const message = pattern(1000)
    channel.deliver(message.buffer)
    const lease = await duplex.lease!(600)
    expect([lease.buffer === message.buffer, lease.length]).toEqual([true, 600])
    const dst = new Uint8Array(1000)
    expect(await duplex.read(dst)).toBe(400)
    expect([...dst.subarray(0, 400)]).toEqual([...pattern(1000).subarray(600)])
  })

  it.each([
    ['data beyond the credit', Array.from({ length: 9 }, () => new Uint8Array(1024))],
    ['a message that is too long', [new Uint8Array(1025)]],
    ['an empty message', [new Uint8Array(0)]],
    ['data after the end', ['end', pattern(1)]],
    ['a second end', ['end', 'end']],
    ['a grant of what is not in flight', ['grant 1']],
    ['a confirmed end that was not told', ['ended']],
    ['a second answer', ['opened 1 8192 1024']],
    ['no control message', ['hello']],
    ['an empty text', ['']],
    ['a long text', [`abort ${'x'.repeat(1000)}`]],
    ['a grant of nothing', ['grant 0']],
    ['a grant without a number', ['grant']],
    ['a negative grant', ['grant -1']],
    ['a grant that is no whole number', ['grant 1.5']],
    ['a grant in another notation', ['grant 1e3']],
    ['a grant with more words', ['grant 1 1']],
    ['an end with more words', ['end now']],
    ['null', [null]],
    ['an object', [{ length: 4 }]],
    ['another view', [new Uint16Array(4)]],
    ['shared memory', [new Uint8Array(new SharedArrayBuffer(4))]],
  ])('refuses %s, says so and closes the channel', async (_, messages) => {
    const { duplex, channel } = alone()
    for (const message of messages) channel.deliver(message)
    expect(await codes(duplex)).toEqual(['EPROTO', 'EPROTO'])
    expect(channel.said.at(-1)).toMatch(/^abort Cannot .*, check the other end$/)
    expect(channel.isClosed).toBe(true)
  })

  it.each([
    ['data', pattern(1), 'EPROTO'],
    ['a grant', 'grant 1024', 'EPROTO'],
    ['another version', 'open 2 8192 1024', 'EOPNOTSUPP'],
    ['no version', 'open', 'EPROTO'],
    ['messages larger than half the window', 'open 1 8192 8192', 'EPROTO'],
    ['tiny messages', 'open 1 8192 1', 'EPROTO'],
    ['a window beyond all bounds', 'open 1 9999999999999999 1024', 'EPROTO'],
  ])('refuses %s as the first message', async (_, message, code) => {
    const { duplex, channel } = alone(null)
    const opening = codeOf(() => duplex.open!())
    channel.deliver(message)
    expect(await opening).toBe(code)
    expect(await codes(duplex)).toEqual([code, code])
  })

  it('settles a read and a write under way when the other end breaks the protocol', async () => {
    const { duplex, channel } = alone()
    const calls = [
      failureOf(() => duplex.read(new Uint8Array(1))),
      failureOf(() => duplex.write([pattern(9000)])),
    ]
    await turn()
    channel.deliver('grant 9999')
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(['EPROTO', 'EPROTO'])
    channel.deliver(pattern(10))
    channel.break()
    expect(await codes(duplex)).toEqual(['EPROTO', 'EPROTO'])
  })

  it('bounds a reason and makes one plain line of it, both ways', async () => {
    const { duplex, channel } = alone()
    await duplex.abort(new Error(`\u001b[31mred\n\u202e${'x'.repeat(1000)}`))
    const said = channel.said.at(-1)!
    expect(said).toMatch(/^abort {2}\[31mred {2}x+$/)
    expect(said).toHaveLength(206)
    const other = alone()
    other.channel.deliver('abort a\u001b[2Jb\rc')
    const failure = await failureOf(() => other.duplex.read(new Uint8Array(1)))
    expect(failure.message).toBe(
      'Cannot use the connection: the other end gave up ("a [2Jb c"), open a new one',
    )
    const silent = alone()
    silent.channel.deliver('abort')
    expect((await failureOf(() => silent.duplex.write([]))).message).toContain('without a reason')
    const odd = alone()
    await odd.duplex.abort(Object.create(null))
    expect(odd.channel.said.at(-1)).toBe('abort ')
  })

  it('is EPIPE when the channel ends, with why it did', async () => {
    const { duplex, channel } = alone()
    const reading = failureOf(() => duplex.read(new Uint8Array(1)))
    const cause = new Error('cable')
    channel.break(cause)
    expect(await reading).toMatchObject({ code: 'EPIPE', cause })
    expect(await codes(duplex)).toEqual(['EPIPE', 'EPIPE'])
    expect(channel.isClosed).toBe(true)
    const broken = alone()
    broken.channel.break(new VfioError('EPROTO', 'Cannot take a frame: it is too long'))
    expect(await codes(broken.duplex)).toEqual(['EPROTO', 'EPROTO'])
    const throwing = alone()
    throwing.channel.sendFailure = new Error('InvalidStateError')
    expect(await codeOf(() => throwing.duplex.write([pattern(1)]))).toBe('EPIPE')
  })

  it('lets what arrived completely be read after the channel ended', async () => {
    const { duplex, channel } = alone()
    channel.deliver(pattern(700))
    channel.deliver('end')
    expect(channel.said.at(-1)).toBe('ended')
    channel.break()
    expect(await drain(duplex)).toHaveLength(700)
    expect(await codeOf(() => duplex.close())).toBe('EPIPE')
  })

  it('close is EPIPE when the channel ends before all arrived', async () => {
    const { duplex, channel } = alone()
    await duplex.write([pattern(10)])
    const closing = failureOf(() => duplex.close())
    await turn()
    channel.break()
    expect((await closing).code).toBe('EPIPE')
  })

  it('cancel gives up both directions and takes nothing more', async () => {
    const { duplex, channel } = alone()
    const dst = new Uint8Array(4)
    const reading = failureOf(() => duplex.read(dst))
    await duplex.cancel('enough')
    channel.deliver(pattern(4, 1))
    expect((await reading).code).toBe('ECANCELED')
    expect([...dst]).toEqual([0, 0, 0, 0])
    expect(await codes(duplex)).toEqual(['ECANCELED', 'ECANCELED'])
    expect([channel.said.at(-1), channel.isClosed]).toEqual(['abort enough', true])
  })

  it('cancel after all has arrived lets this end write on', async () => {
    const { duplex, channel } = alone()
    channel.deliver(pattern(4))
    channel.deliver('end')
    await duplex.cancel('not needed')
    expect(await codes(duplex)).toEqual(['ECANCELED', 'ok'])
    const closing = duplex.close()
    await turn()
    channel.deliver('ended')
    await closing
    expect(channel.isClosed).toBe(true)
  })

  it('cancel after close leaves what was sent to the other end', async () => {
    const [here, there] = channelPair()
    const [near, far] = [messageDuplex(here), messageDuplex(there)]
    await near.write([pattern(100)])
    await near.close()
    expect(here.isClosed).toBe(false)
    await near.abort('no effect')
    expect(here.isClosed).toBe(false)
    await near.cancel('no answer wanted')
    expect(here.isClosed).toBe(true)
    expect((await failureOf(() => far.write([pattern(1)]))).message).toContain('no answer wanted')
    expect(await drain(far)).toHaveLength(100)
    expect(there.isClosed).toBe(true)
  })

  it('refuses a second read or write under way, and leases of no size', async () => {
    const { duplex } = alone()
    const calls = [
      failureOf(() => duplex.read(new Uint8Array(1))),
      failureOf(() => duplex.write([pattern(9000)])),
    ]
    expect(await codes(duplex)).toEqual(['EBUSY', 'EBUSY'])
    expect(outcome(() => duplex.lease!(0))).toBe('EINVAL')
    await duplex.abort('done')
    await Promise.all(calls)
  })

  it('gives up when the other end does not answer in time, and leaves no timer when it does', async () => {
    vi.useFakeTimers()
    try {
      const [here, there] = [new TestChannel(1024), new TestChannel(1024)]
      const options = { windowBytes: WINDOW, connectTimeoutMs: 1000 }
      const [slow, quick] = [messageDuplex(here, options), messageDuplex(there, options)]
      there.deliver('opened 1 8192 1024')
      expect(vi.getTimerCount()).toBe(1)
      vi.advanceTimersByTime(1000)
      expect(await codeOf(() => slow.open!())).toBe('ETIMEDOUT')
      expect(await codeOf(() => quick.open!())).toBe('ok')
      expect([here.isClosed, there.isClosed]).toEqual([true, false])
      const aborted = messageDuplex(new TestChannel(1024), options)
      await aborted.abort('no')
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    [512, MESSAGE_WINDOW_BYTES],
    [1.5, MESSAGE_WINDOW_BYTES],
    [2048, 4095],
    [2048, Number.NaN],
  ])('refuses messages of %s bytes in a window of %s', (maxMessageBytes, windowBytes) => {
    expect(outcome(() => messageDuplex(new TestChannel(maxMessageBytes), { windowBytes }))).toBe('EINVAL')
  })
})
