import { describe, expect, it } from 'vitest'
import type { ByteDuplex } from '../../../src/transport/index.ts'
import { rtcDataChannelDuplex } from '../../../src/web/rtc-data-channel.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { outcome } from '../../support/vfio-error.ts'
import { drain, duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'
import { connected, FakeDataChannel } from './fake-channels.ts'

/** A channel of a browser is taken as it is. */
const connectInBrowser: (channel: RTCDataChannel) => ByteDuplex = rtcDataChannelDuplex

function channels(): [FakeDataChannel, FakeDataChannel] {
  return connected(new FakeDataChannel(), new FakeDataChannel())
}

duplexSuite('rtcDataChannelDuplex', async () => {
  const [here, there] = channels()
  return [rtcDataChannelDuplex(here), rtcDataChannelDuplex(there)]
})

describe('rtcDataChannelDuplex', () => {
  it.each([
    ['unordered', { ordered: false }],
    ['with few retransmits', { maxRetransmits: 0 }],
    ['with a life time of packets', { maxPacketLifeTime: 100 }],
  ])('refuses a channel that is %s', (_, properties) => {
    const channel = Object.assign(new FakeDataChannel(), properties)
    expect(outcome(() => rtcDataChannelDuplex(channel))).toBe('EINVAL')
    expect(channel.listenerCount).toBe(0)
  })

  it('refuses a channel that was closed', () => {
    const channel = Object.assign(new FakeDataChannel(), { readyState: 'closed' as const })
    expect(outcome(() => connectInBrowser(channel as unknown as RTCDataChannel))).toBe('EPIPE')
  })

  it('sends messages of 64 KiB, and no more while 1 MiB is buffered', async () => {
    const [here, there] = channels()
    const pair = [rtcDataChannelDuplex(here), rtcDataChannelDuplex(there)] as const
    await pair[0].open!()
    here.rate = 0
    const written = pair[0].write([new Uint8Array(3_000_000)])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(here.bufferedAmount - 1024 * 1024).toBeLessThan(100)
    here.rate = 100_000
    here.move()
    await written
    expect(here.peakBuffered).toBeLessThanOrEqual(1024 * 1024 + 100)
    const sizes = here.sent.filter((message) => typeof message !== 'string').map(({ length }) => length)
    expect(Math.max(...sizes)).toBe(65_536)
    await finish(pair)
    expect([here.readyState, there.readyState]).toEqual(['closed', 'closed'])
    expect([here.listenerCount, there.listenerCount]).toEqual([0, 0])
  })

  it('is EPIPE when the channel is closed at the other side or before it opened', async () => {
    const [here, there] = channels()
    const pair = [rtcDataChannelDuplex(here), rtcDataChannelDuplex(there)] as const
    await pair[0].open!()
    const reading = failureOf(() => pair[0].read(new Uint8Array(1)))
    there.close()
    expect((await reading).code).toBe('EPIPE')
    const never = new FakeDataChannel()
    const duplex = rtcDataChannelDuplex(never)
    never.close()
    expect(await codeOf(() => duplex.write([pattern(1)]))).toBe('EPIPE')
  })

  it('keeps what the browser says about the end of the channel', async () => {
    const [here, there] = channels()
    const pair = [rtcDataChannelDuplex(here), rtcDataChannelDuplex(there)] as const
    await pair[0].open!()
    const error = new Error('User-Initiated Abort, reason=Close called')
    const reading = failureOf(() => pair[0].read(new Uint8Array(1)))
    here.emit('error', { error })
    there.close()
    expect(await reading).toMatchObject({ code: 'EPIPE', cause: error })
    expect(here.listenerCount).toBe(0)
  })

  it('sends the reason of an abort before it closes the channel', async () => {
    const [here, there] = channels()
    const pair = [rtcDataChannelDuplex(here), rtcDataChannelDuplex(there)] as const
    await pair[0].write([pattern(500_000)])
    here.rate = 10_000
    await pair[0].abort('battery low')
    expect((await failureOf(() => drain(pair[1]))).message).toContain('battery low')
  })
})
