// oxlint-disable unicorn/require-post-message-target-origin -- channels have no origin to name
import { describe, expect, it } from 'vitest'
import { broadcastChannelDuplex } from '../../../src/web/broadcast-channel.ts'
import { acceptBroadcast, connectBroadcast } from '../../../src/web/broadcast-rendezvous.ts'
import type { ByteDuplex } from '../../../src/transport/index.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { outcome } from '../../support/vfio-error.ts'
import { drain, duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'

let names = 0

function makePair(name = `channel-${names++}`, self = 'a', peer = 'b'): [ByteDuplex, ByteDuplex] {
  return [
    broadcastChannelDuplex(name, { self, peer }),
    broadcastChannelDuplex(name, { self: peer, peer: self }),
  ]
}

duplexSuite('broadcastChannelDuplex', async () => makePair())

describe('broadcastChannelDuplex', () => {
  it('keeps pairs on one channel apart, and passes over what others say', async () => {
    const stranger = new BroadcastChannel('shared')
    const [first, second] = [makePair('shared', 'a', 'b'), makePair('shared', 'c', 'd')]
    for (const word of [null, 'end', { to: 'a' }, { to: 'a', from: 'd', text: 'end' }])
      stranger.postMessage(word)
    await Promise.all([first[0].write([pattern(5000, 1)]), second[0].write([pattern(5000, 2)])])
    await Promise.all([first[0].close(), second[0].close()])
    expect(Buffer.compare(await drain(first[1]), pattern(5000, 1))).toBe(0)
    expect(Buffer.compare(await drain(second[1]), pattern(5000, 2))).toBe(0)
    await Promise.all([finish(first), finish(second)])
    stranger.close()
  })

  it('refuses a message of the peer that is none of ours', async () => {
    const stranger = new BroadcastChannel('forged')
    const duplex = broadcastChannelDuplex('forged', { self: 'a', peer: 'b' })
    const reading = failureOf(() => duplex.read(new Uint8Array(1)))
    stranger.postMessage({ to: 'a', from: 'b' })
    expect((await reading).code).toBe('EPROTO')
    stranger.close()
  })

  it('leaves a channel open that it was given', async () => {
    const [given, other] = [new BroadcastChannel('given'), new BroadcastChannel('given')]
    const duplex = broadcastChannelDuplex(given, { self: 'a', peer: 'b' })
    await duplex.abort('done')
    const heard = new Promise((resolve) =>
      other.addEventListener('message', ({ data }) => resolve(data), { once: true }),
    )
    given.postMessage('still here')
    // The duplex said "open" and "abort" before this listener; they may arrive first.
    expect(await heard).toBeDefined()
    given.close()
    other.close()
  })

  it.each([
    ['a', 'a'],
    ['', 'b'],
    ['a', ''],
  ])('refuses "%s" and "%s" as the two ends', (self, peer) => {
    expect(outcome(() => broadcastChannelDuplex('names', { self, peer }))).toBe('EINVAL')
  })
})

describe('acceptBroadcast and connectBroadcast', () => {
  it.each(['accepts', 'connects'])('meet when the page that %s is first', async (first) => {
    const name = `meet-${first}`
    const calls = [() => acceptBroadcast(name), () => connectBroadcast(name)]
    if (first === 'connects') calls.reverse()
    const opening = calls[0]!()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const pair = await Promise.all([opening, calls[1]!()])
    await pair[0].write([pattern(100)])
    await pair[0].close()
    expect(await drain(pair[1])).toHaveLength(100)
    await finish(pair)
  })

  it('pair each page that connects with one that accepts, over channels of their own', async () => {
    const hall = new BroadcastChannel('many')
    const overheard: unknown[] = []
    hall.addEventListener('message', ({ data }) => overheard.push(data))
    const connecting = Array.from({ length: 3 }, () => connectBroadcast('many'))
    const accepting: ByteDuplex[] = []
    for (let round = 0; round < 3; round++) accepting.push(await acceptBroadcast('many'))
    const connected = await Promise.all(connecting)
    await Promise.all(accepting.map(async (duplex, at) => duplex.write([Uint8Array.of(at)])))
    await Promise.all(accepting.map(async (duplex) => duplex.close()))
    const got = await Promise.all(connected.map((duplex) => drain(duplex)))
    expect(new Set(got.map(([at]) => at))).toEqual(new Set([0, 1, 2]))
    await Promise.all([...accepting, ...connected].map(async (duplex) => duplex.cancel('done')))
    await Promise.all(connected.map((duplex) => codeOf(() => duplex.close())))
    expect(overheard.every((word) => Object.hasOwn(word as object, 'kind'))).toBe(true)
    hall.close()
  })

  it('pass over words that are none of theirs', async () => {
    const stranger = new BroadcastChannel('noise')
    const accepting = acceptBroadcast('noise')
    for (const word of [1, null, {}, { kind: 'take' }, { kind: 'take', from: 'x', to: 'y' }])
      stranger.postMessage(word)
    const pair = await Promise.all([accepting, connectBroadcast('noise')])
    await finish(pair)
    stranger.close()
  })

  it('give up when canceled or when nobody accepts', async () => {
    const controller = new AbortController()
    const reason = new Error('closed the page')
    const accepting = failureOf(() => acceptBroadcast('nobody', { signal: controller.signal }))
    const connecting = failureOf(() => connectBroadcast('no-one', { signal: controller.signal }))
    controller.abort(reason)
    for (const failure of [await accepting, await connecting]) {
      expect(failure).toMatchObject({ code: 'ECANCELED', cause: reason })
    }
    expect(await codeOf(() => acceptBroadcast('nobody', { signal: controller.signal }))).toBe('ECANCELED')
    expect(await codeOf(() => connectBroadcast('empty', { connectTimeoutMs: 20 }))).toBe('ETIMEDOUT')
  })
})
