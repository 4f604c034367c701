import { afterEach, describe, expect, it, vi } from 'vitest'
import type { ByteDuplex } from '../../../src/transport/index.ts'
import { webSocketDuplex } from '../../../src/web/web-socket.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { outcome } from '../../support/vfio-error.ts'
import { duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'
import { connected, FakeWebSocket } from './fake-channels.ts'

/** A socket of a browser is taken as it is. */
const connectInBrowser: (socket: WebSocket) => ByteDuplex = webSocketDuplex

function sockets(): [FakeWebSocket, FakeWebSocket] {
  return connected(new FakeWebSocket(), new FakeWebSocket())
}

afterEach(() => vi.unstubAllGlobals())

duplexSuite('webSocketDuplex', async () => {
  const [here, there] = sockets()
  return [webSocketDuplex(here), webSocketDuplex(there)]
})

describe('webSocketDuplex', () => {
  it('connects to a URL, with subprotocols', async () => {
    const [here, there] = sockets()
    const asked: unknown[] = []
    // A function, since it is called with `new`.
    vi.stubGlobal('WebSocket', function (this: unknown, ...given: unknown[]) {
      asked.push(...given)
      return here
    })
    const url = new URL('ws://127.0.0.1:9/device')
    const pair = [webSocketDuplex(url, { protocols: ['a'] }), webSocketDuplex(there)] as const
    await pair[0].open!()
    expect(asked).toEqual([url, ['a']])
    await finish(pair)
    vi.stubGlobal('WebSocket', function () {
      throw new SyntaxError('not a URL')
    })
    expect(outcome(() => webSocketDuplex('mailto:me'))).toBe('EINVAL')
  })

  it('sends no more while 2 MiB are buffered, and looks again by itself', async () => {
    const [here, there] = sockets()
    const pair = [webSocketDuplex(here), webSocketDuplex(there)] as const
    await pair[0].open!()
    here.rate = 0
    const written = pair[0].write([new Uint8Array(4_000_000)])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(here.bufferedAmount - 2 * 1024 * 1024).toBeLessThan(100)
    here.rate = 1024 * 1024
    here.move()
    await written
    expect(here.peakBuffered).toBeLessThanOrEqual(2 * 1024 * 1024 + 100)
    await finish(pair)
    expect([here.listenerCount, there.listenerCount]).toEqual([0, 0])
  })

  it('leaves no timer when it is aborted while the socket is full', async () => {
    const [here] = sockets()
    const duplex = webSocketDuplex(here)
    await new Promise((resolve) => setImmediate(resolve))
    here.emit('message', { data: 'open 1 4194304 1048576' })
    here.rate = 0
    const writing = codeOf(() => duplex.write([new Uint8Array(4_000_000)]))
    await new Promise((resolve) => setTimeout(resolve, 10))
    vi.useFakeTimers()
    try {
      const aborting = duplex.abort('enough')
      expect(await writing).toBe('ECANCELED')
      // The browser itself waits longer for the other end.
      await vi.advanceTimersByTimeAsync(2000)
      await aborting
      expect([vi.getTimerCount(), here.listenerCount]).toEqual([0, 0])
    } finally {
      vi.useRealTimers()
    }
  })

  it('is EPIPE when the socket does not open or was closed, ETIMEDOUT when the other end says nothing', async () => {
    const failing = new FakeWebSocket()
    const duplex = webSocketDuplex(failing)
    const opening = failureOf(() => duplex.open!())
    failing.emit('error')
    failing.readyState = 3
    failing.emit('close', { code: 1006 })
    expect((await opening).cause).toMatchObject({ message: 'The WebSocket ended with code 1006' })
    expect(await codeOf(() => duplex.write([pattern(1)]))).toBe('EPIPE')
    expect(failing.listenerCount).toBe(0)
    expect(outcome(() => connectInBrowser(failing as unknown as WebSocket))).toBe('EPIPE')
    const [here] = sockets()
    expect(await codeOf(() => webSocketDuplex(here, { connectTimeoutMs: 20 }).open!())).toBe('ETIMEDOUT')
  })
})
