import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { get } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { VfioError } from '../../../src/errors.ts'
import {
  connectWebSocket,
  type ConnectWebSocketOptions,
  listenWebSocket,
  type ListenWebSocketOptions,
  type Connection,
  type Listener,
} from '../../../src/node/index.ts'
import { parseWebSocketUrl } from '../../../src/node/web-socket-url.ts'
import { webSocketDuplex } from '../../../src/web/web-socket.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { TLS_CERTIFICATE, TLS_KEY } from '../../support/tls-identity.ts'
import { outcome } from '../../support/vfio-error.ts'
import { drain, duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'

const TLS = { ca: TLS_CERTIFICATE, cert: TLS_CERTIFICATE, key: TLS_KEY }

interface Server {
  readonly listener: Listener
  /** The next connection. */
  readonly accept: () => Promise<Connection>
  readonly refused: VfioError[]
}

const servers: Listener[] = []

afterEach(async () => {
  await Promise.all(servers.splice(0).map((listener) => listener.close()))
})

async function serve(url = 'ws:127.0.0.1:0/device', options: ListenWebSocketOptions = {}): Promise<Server> {
  const accepted: Connection[] = []
  const waiting: ((connection: Connection) => void)[] = []
  const refused: VfioError[] = []
  const listener = await listenWebSocket(
    url,
    (connection) => {
      const next = waiting.shift()
      if (next === undefined) accepted.push(connection)
      else next(connection)
    },
    { onRefused: (error) => refused.push(error), ...options },
  )
  servers.push(listener)
  const accept = (): Promise<Connection> => {
    const first = accepted.shift()
    return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first)
  }
  return { listener, accept, refused }
}

async function makePair(
  url?: string,
  listening?: ListenWebSocketOptions,
  connecting?: ConnectWebSocketOptions,
): Promise<[Connection, Connection]> {
  const { listener, accept } = await serve(url, listening)
  const pair = await Promise.all([connectWebSocket(listener.url, connecting), accept()])
  await listener.close()
  return pair
}

/** Settles when nothing is left of a connection. */
function gone({ closed }: Connection): Promise<void> {
  return new Promise((resolve) => {
    if (closed.aborted) resolve()
    else closed.addEventListener('abort', () => resolve())
  })
}

/** Waits until no socket, server or timer keeps the program alive; the system takes some turns for it. */
async function nothingLeft(): Promise<void> {
  const startMs = performance.now()
  for (;;) {
    await turn()
    const kinds = process.getActiveResourcesInfo()
    const left = kinds.filter((kind) => /TCP|TLS|Connect|Timeout|Server/.test(kind))
    if (left.length > 0 && performance.now() - startMs < 5000) continue
    expect(left).toEqual([])
    return
  }
}

/** A TCP client that says `text` and waits until it is hung up on. @returns what it was told */
function hungUpOn(url: string, text: string): Promise<string> {
  const { port } = parseWebSocketUrl(url)
  return new Promise((resolve) => {
    let told = ''
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (data) => (told += data.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(told))
  })
}

duplexSuite('connectWebSocket and listenWebSocket', () => makePair(), 10)
duplexSuite(
  'connectWebSocket and listenWebSocket over TLS',
  () => makePair('wss:127.0.0.1:0', { tls: TLS }, { tls: TLS }),
  5,
)
duplexSuite(
  'webSocketDuplex of a page and listenWebSocket',
  async () => {
    const { listener, accept } = await serve()
    const duplex = webSocketDuplex(new WebSocket(listener.url))
    return [duplex, await accept()]
  },
  5,
)

describe('connectWebSocket', () => {
  it('says who the other end is', async () => {
    const { listener, accept } = await serve('ws:localhost:0')
    expect(listener.url).toMatch(/^ws:\/\/localhost:[1-9]\d*\/$/)
    const pair = await Promise.all([connectWebSocket(listener.url), accept()])
    expect(pair[0].peer).toBe(listener.url)
    expect(pair[1].peer).toMatch(/^ws:\/\/(127\.0\.0\.1|\[::1\]):[1-9]\d*$/)
    await finish(pair)
  })

  it('leaves no socket, server or timer behind, however a connection ends', async () => {
    const pairs = [await makePair(), await makePair(), await makePair()] as const
    const [cleanly, aborted, canceled] = pairs
    await finish(cleanly)
    await aborted[0].abort('no')
    await canceled[1].cancel('no')
    await Promise.all(pairs.flat().map((connection) => gone(connection)))
    // Whether an end has to wonder what the other one knows.
    expect(pairs.map((pair) => pair.map(({ closed }) => (closed.reason as VfioError).code))).toEqual([
      ['ENOTCONN', 'ENOTCONN'],
      ['ECANCELED', 'EPIPE'],
      ['EPIPE', 'ECANCELED'],
    ])
    expect(await codeOf(() => aborted[1].write([pattern(1)]))).toBe('EPIPE')
    await nothingLeft()
  })

  it('is EPIPE at both ends when the connection is cut', async () => {
    const sockets: Socket[] = []
    const { listener, accept } = await serve()
    const { port } = parseWebSocketUrl(listener.url)
    const proxy = createServer((socket) => {
      const onward = connectTcp(port, '127.0.0.1')
      for (const each of [socket, onward]) each.on('error', () => {})
      sockets.push(socket, onward)
      socket.pipe(onward).pipe(socket)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const { port: proxyPort } = proxy.address() as { port: number }
    const pair = await Promise.all([connectWebSocket(`ws:127.0.0.1:${proxyPort}/device`), accept()])
    const calls = [
      codeOf(() => pair[0].read(new Uint8Array(1))),
      codeOf(() => pair[0].write([new Uint8Array(5_000_000)])),
      codeOf(async () => {
        for (;;) await pair[1].lease(1_000_000)
      }),
      codeOf(() => pair[1].close()),
    ]
    for (const socket of sockets) socket.destroy()
    expect(await Promise.all(calls)).toEqual(['EPIPE', 'EPIPE', 'EPIPE', 'EPIPE'])
    await Promise.all(pair.map((connection) => gone(connection)))
    for (const { closed } of pair) expect(closed.reason).toMatchObject({ code: 'ECONNRESET' })
    proxy.close()
  })

  it('gives up on a stalled network within seconds of an abort', async () => {
    const { listener, accept } = await serve()
    const socket = new WebSocket(listener.url)
    const duplex = webSocketDuplex(socket)
    const there = await accept()
    socket.pause()
    const writing = codeOf(() => there.write([new Uint8Array(4_000_000)]))
    expect(await writing).toBe('ok')
    await there.abort('enough')
    expect(there.closed.aborted).toBe(true)
    socket.resume()
    expect(
      await codeOf(async () => {
        for (;;) await duplex.lease!(1_000_000)
      }),
    ).toBe('EPIPE')
  })

  it('fails when nobody listens, at another path, and at a server of something else', async () => {
    const { listener, refused } = await serve()
    const closed = await serve()
    await closed.listener.close()
    expect((await failureOf(() => connectWebSocket(closed.listener.url))).message).toContain(
      `Cannot connect to "${closed.listener.url}"`,
    )
    const failure = await failureOf(() => connectWebSocket(listener.url.replace('device', 'other')))
    expect([failure.code, failure.message.includes('404, check the path')]).toEqual(['EPROTO', true])
    expect(refused.map(({ code }) => code)).toEqual(['EPERM'])
    const echo = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    echo.on('connection', (socket) =>
      socket.on('message', (data: Buffer) => socket.send(data.toString().repeat(2))),
    )
    await new Promise((resolve) => echo.once('listening', resolve))
    const { port } = echo.address() as { port: number }
    expect(await codeOf(() => connectWebSocket(`ws:127.0.0.1:${port}`))).toBe('EPROTO')
    echo.close()
  })

  it('gives up on a server that does not answer', async () => {
    const held: Socket[] = []
    const mute = createServer((socket) => held.push(socket))
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
    const { port } = mute.address() as { port: number }
    const url = `ws:127.0.0.1:${port}`
    expect(await codeOf(() => connectWebSocket(url, { connectTimeoutMs: 50 }))).toBe('ETIMEDOUT')
    const controller = new AbortController()
    const connecting = failureOf(() => connectWebSocket(url, { signal: controller.signal }))
    const reason = new Error('changed my mind')
    controller.abort(reason)
    expect(await connecting).toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(await codeOf(() => connectWebSocket(url, { signal: controller.signal }))).toBe('ECANCELED')
    for (const socket of held) socket.destroy()
    await new Promise((resolve) => mute.close(resolve))
    await nothingLeft()
  })

  it('checks certificates, of servers and where asked for of clients', async () => {
    const { listener, refused } = await serve('wss:127.0.0.1:0', { tls: { ...TLS, requestClientCert: true } })
    const { port } = parseWebSocketUrl(listener.url)
    expect(await codeOf(() => connectWebSocket(listener.url))).not.toBe('ok')
    expect(await codeOf(() => connectWebSocket(listener.url, { tls: { ca: TLS_CERTIFICATE } }))).not.toBe(
      'ok',
    )
    expect(refused.length).toBeGreaterThan(0)
    const named = { ...TLS, servername: 'example.org' }
    expect((await failureOf(() => connectWebSocket(listener.url, { tls: named }))).message).toContain(
      'example.org',
    )
    const connection = await connectWebSocket(`wss://localhost:${port}`, { tls: TLS })
    await connection.abort('done')
  })
})

describe('listenWebSocket', () => {
  it.each(['ws:0.0.0.0:0', 'ws:[::]:0', 'ws:192.168.0.1:0', 'ws:example.org:0'])(
    'refuses %s without allowRemote',
    async (url) => {
      const failure = await failureOf(() => listenWebSocket(url, () => {}))
      expect([failure.code, failure.message.includes('`allowRemote`')]).toEqual(['EPERM', true])
    },
  )

  it('listens where other machines reach it when allowed to', async () => {
    const { listener } = await serve('ws:0.0.0.0:0', { allowRemote: true })
    expect(parseWebSocketUrl(listener.url).host).toBe('0.0.0.0')
  })

  it('refuses a certificate that is missing, a window without room, an address in use and a canceled call', async () => {
    const { listener } = await serve()
    const aborted = { signal: AbortSignal.abort() }
    expect(await codeOf(() => listenWebSocket('wss:127.0.0.1:0', () => {}))).toBe('EINVAL')
    expect(await codeOf(() => listenWebSocket('ws:127.0.0.1:0', () => {}, { windowBytes: 1024 }))).toBe(
      'EINVAL',
    )
    expect(await codeOf(() => connectWebSocket(listener.url, { windowBytes: 1024 }))).toBe('EINVAL')
    expect((await failureOf(() => listenWebSocket(listener.url, () => {}))).message).toContain(
      'somebody else listens there',
    )
    expect(await codeOf(() => listenWebSocket('ws:127.0.0.1:0', () => {}, aborted))).toBe('ECANCELED')
  })

  it('closes by its signal and leaves its connections alone', async () => {
    const controller = new AbortController()
    const { listener, accept } = await serve(undefined, { signal: controller.signal })
    const pair = await Promise.all([connectWebSocket(listener.url), accept()])
    controller.abort()
    await new Promise((resolve) => setImmediate(resolve))
    expect(await codeOf(() => connectWebSocket(listener.url))).not.toBe('ok')
    await pair[0].write([pattern(10)])
    await pair[0].close()
    expect(await drain(pair[1])).toHaveLength(10)
    await finish(pair)
  })

  it('lets pages of no other origin than those named connect', async () => {
    const { listener, accept } = await serve(undefined, { origins: ['https://here.example'] })
    const code = (origin: string): Promise<string> =>
      codeOf(() => webSocketDuplex(new WebSocket(listener.url, { origin })).open!())
    expect(await code('https://elsewhere.example')).toBe('EPIPE')
    expect(await code('null')).toBe('EPIPE')
    expect(await code('https://here.example')).toBe('ok')
    await (await accept()).abort('done')
  })

  it('agrees on a subprotocol where it has some', async () => {
    const { listener, accept } = await serve(undefined, { protocols: ['device.v1'] })
    expect(await codeOf(() => connectWebSocket(listener.url))).toBe('EPROTO')
    expect(await codeOf(() => connectWebSocket(listener.url, { protocols: ['other'] }))).toBe('EPROTO')
    const protocols = ['other', 'device.v1']
    const pair = await Promise.all([connectWebSocket(listener.url, { protocols }), accept()])
    await finish(pair)
  })

  it('answers plain HTTP with 426, and garbage with 400', async () => {
    const { listener } = await serve()
    const status = await new Promise((resolve, reject) => {
      get(listener.url.replace('ws', 'http'), (response) => {
        response.resume()
        resolve(response.statusCode)
      }).on('error', reject)
    })
    expect(status).toBe(426)
    expect(await hungUpOn(listener.url, 'GARBAGE\r\n\r\n')).toContain('400')
  })

  it.each([
    ['says nothing', ''],
    ['does not finish its request', 'GET /device HTTP/1.1\r\nHost: a\r\n'],
    [
      'says nothing over its WebSocket',
      'GET /device HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    ],
  ])('hangs up on a client that %s, and serves the next one', async (_, text) => {
    const { listener, accept } = await serve(undefined, { connectTimeoutMs: 100 })
    await hungUpOn(listener.url, text)
    await finish(await Promise.all([connectWebSocket(listener.url), accept()]))
  })

  it('hangs up on clients that are not connected yet when it is closed', async () => {
    const { listener } = await serve()
    const { port } = parseWebSocketUrl(listener.url)
    const socket = connectTcp(port, '127.0.0.1')
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('connect', resolve))
    // Accepted, since a later one is.
    await (await connectWebSocket(listener.url)).abort('done')
    const hungUp = new Promise((resolve) => socket.once('close', resolve))
    await listener.close()
    expect(await hungUp).toBeDefined()
  })

  it.each([
    [
      'data beyond the credit',
      (socket: WebSocket) => {
        for (let sent = 0; sent <= 4; sent++) socket.send(new Uint8Array(1024 * 1024))
      },
    ],
    ['a message that is too long', (socket: WebSocket) => socket.send(new Uint8Array(1024 * 1024 + 1))],
    ['a text that is too long', (socket: WebSocket) => socket.send('x'.repeat(2 * 1024 * 1024))],
    ['garbage as a control message', (socket: WebSocket) => socket.send('{"jsonrpc":"2.0"}')],
    ['a grant of what is not in flight', (socket: WebSocket) => socket.send('grant 5')],
  ])('refuses %s with EPROTO, and serves the next one', async (_, attack) => {
    const { listener, accept } = await serve()
    const socket = new WebSocket(listener.url)
    socket.on('open', () => socket.send('open 1 4194304 1048576'))
    socket.on('error', () => {})
    const connection = await accept()
    const reading = codeOf(async () => {
      await connection.open!()
      await connection.read(new Uint8Array(0))
      for (;;) {
        const written = await codeOf(() => connection.write([]))
        if (written !== 'ok') return connection.write([])
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    attack(socket)
    expect(await reading).toBe('EPROTO')
    await gone(connection)
    await finish(await Promise.all([connectWebSocket(listener.url), accept()]))
  })
})

describe('parseWebSocketUrl', () => {
  it.each([
    ['ws:localhost:80', { scheme: 'ws', host: 'localhost', port: 80, path: '/' }],
    ['ws://[::1]:0/a/b', { scheme: 'ws', host: '::1', port: 0, path: '/a/b' }],
    ['wss:10.0.0.1:65535/', { scheme: 'wss', host: '10.0.0.1', port: 65_535, path: '/' }],
  ])('takes %s', (url, parts) => {
    expect(parseWebSocketUrl(url)).toEqual(parts)
  })

  it.each([
    '',
    'ws:',
    'ws:host',
    'ws://host/path',
    'ws:host:65536',
    'ws:host:1x',
    'http://host:1/',
    'ws://u@host:1/',
    'ws:host:1/a b',
    'ws:host:1/a#b',
  ])('refuses "%s"', (url) => {
    expect(outcome(() => parseWebSocketUrl(url))).toBe('EINVAL')
  })
})
