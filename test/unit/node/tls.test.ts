import { connect as connectNet, type AddressInfo, createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { VfioError } from '../../../src/errors.ts'
import { connect } from '../../../src/node/connect.ts'
import type { Connection } from '../../../src/node/connection.ts'
import { listen, type ListenOptions } from '../../../src/node/listen.ts'
import { parseTransportUrl } from '../../../src/node/transport-url.ts'
import { TestAuthority } from '../../support/certificates.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { gone, readAll, socketPair } from '../../support/socket-pair.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const directory = temporaryDirectory()
const authority = new TestAuthority(directory, 'ours')
const stranger = new TestAuthority(directory, 'strange')
const server = authority.issue('IP:127.0.0.1,DNS:receiver.test')
const client = authority.issue('DNS:sender.test')
const URL_ANY = 'tls:127.0.0.1:0'
const { cert: ca } = authority
const mutual = { ...server, ca, requestClientCert: true }

const drop = (): void => {}

/** A listener that counts, and the errors it told of. */
async function counting(options: ListenOptions) {
  const connections: Connection[] = []
  const refused: VfioError[] = []
  let wake = drop
  const listener = await listen(URL_ANY, (connection) => connections.push(connection), {
    ...options,
    onRefused: (error) => {
      refused.push(error)
      wake()
    },
  })
  const refusal = async (): Promise<VfioError> => {
    while (refused.length === 0) await new Promise<void>((resolve) => (wake = resolve))
    return refused.shift() as VfioError
  }
  return { connections, refusal, listener, url: listener.url }
}

/** Still serves: a good client gets through, and is hung up on. */
async function serves(url: string): Promise<void> {
  const connection = await connect(url, { tls: { ca, ...client } })
  await connection.write([Uint8Array.of(1)])
  await connection.cancel()
}

describe('TLS', () => {
  it('carries bytes both ways, larger than what is held, and ends cleanly', async () => {
    const { here, there } = await socketPair(URL_ANY, { tls: { ca } }, { tls: server })
    const sent = new Uint8Array(3 * 1024 * 1024 + 5).map((_, i) => i % 251)
    const send = async (): Promise<void> => {
      for (let at = 0; at < sent.length; at += 700_001)
        await here.write([sent.subarray(at, at + 10), sent.subarray(at + 10, at + 700_001)])
      await here.close()
    }
    const [got] = await Promise.all([readAll(there), send()])
    expect(Buffer.compare(got, sent)).toBe(0)
    await there.write([Uint8Array.of(9)])
    await there.close()
    expect([...(await readAll(here))]).toEqual([9])
    await Promise.all([gone(here), gone(there)])
  })

  it('reads into windows, by copies', async () => {
    const { here, there } = await socketPair(URL_ANY, { tls: { ca } }, { tls: server })
    const sent = new Uint8Array(500_000).map((_, i) => i % 253)
    const target = new Uint8Array(500_000)
    let filled = 0
    const windows = {
      window: (maxBytes: number) => target.subarray(filled, Math.min(filled + maxBytes, target.length)),
      commit: (byteLength: number) => void (filled += byteLength),
    }
    const [ended] = await Promise.all([here.readInto!(windows), there.write([sent])])
    expect([ended, filled]).toEqual([false, 500_000])
    expect(Buffer.compare(target, sent)).toBe(0)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('holds back a writer whose reader does nothing', async () => {
    const { here, there } = await socketPair(URL_ANY, { tls: { ca }, idleTimeoutMs: 60 }, { tls: server })
    let written = 0
    const writing = codeOf(async () => {
      for (;;) {
        await here.write([new Uint8Array(1024 * 1024)])
        written++
      }
    })
    expect(await writing).toBe('ETIMEDOUT')
    expect(written).toBeLessThan(24)
    await there.cancel()
  })

  it('accepts the certificate of the name it was told to expect', async () => {
    const { here, there } = await socketPair(
      URL_ANY,
      { tls: { ca, servername: 'receiver.test' } },
      { tls: server },
    )
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('does not connect to a certificate of a stranger, of another name, or that nobody signed', async () => {
    const { listener, url } = await counting({ tls: server })
    for (const tls of [{ ca: stranger.cert }, { ca, servername: 'other.test' }, {}]) {
      const failure = await failureOf(() => connect(url, { tls }))
      expect(failure.code).toBe('EPERM')
      expect(failure.message).toMatch(/^Cannot connect to "tls:[^\n]*certificate[^\n]*$/)
    }
    await serves(url)
    await listener.close()
  })

  it('lets go at once of a client that hangs up in the handshake', async () => {
    const hour = 3_600_000
    const { refusal, listener, url } = await counting({ tls: server, handshakeTimeoutMs: hour })
    const { port } = parseTransportUrl(url) as { port: number }
    const leaving = connectNet({ port, host: '127.0.0.1', allowHalfOpen: true }, () => leaving.end())
    leaving.resume()
    leaving.on('error', () => {})
    expect(['EPERM', 'ECONNRESET']).toContain((await refusal()).code)
    // Waits for its connections, and there are none.
    await listener.close()
  })

  it('knows its client by the certificate, when it asks for one', async () => {
    const { here, there } = await socketPair(URL_ANY, { tls: { ca, ...client } }, { tls: mutual })
    await here.write([Uint8Array.of(1)])
    expect(await there.read(new Uint8Array(1))).toBe(1)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('does not hand out a client without a certificate, which learns why', async () => {
    const { connections, refusal, listener, url } = await counting({ tls: mutual })
    const outcome = await failureOf(async () => {
      const connection = await connect(url, { tls: { ca } })
      await connection.read(new Uint8Array(1))
    })
    expect(outcome.code).toBe('EPERM')
    expect(await refusal()).toMatchObject({ code: 'EPERM' })
    expect(connections).toEqual([])
    await serves(url)
    await listener.close()
  })

  it('does not hand out a client with the certificate of a stranger', async () => {
    const { connections, refusal, listener, url } = await counting({ tls: mutual })
    const other = stranger.issue('DNS:sender.test')
    const connection = await connect(url, { tls: { ca, ...other } })
    expect(await refusal()).toMatchObject({ code: 'EPERM' })
    const end = await codeOf(async () => expect(await connection.read(new Uint8Array(1))).toBe(0))
    expect(['ok', 'ECONNRESET']).toContain(end)
    expect(connections).toEqual([])
    await connection.cancel()
    await serves(url)
    await listener.close()
  })

  it('cuts a handshake that hangs or trickles, and garbage, and goes on serving', async () => {
    const { connections, refusal, listener, url } = await counting({ tls: server, handshakeTimeoutMs: 60 })
    const { port } = parseTransportUrl(url) as { port: number }
    const slow = connectNet(port, '127.0.0.1')
    const trickle = setInterval(() => slow.write(Uint8Array.of(0x16)), 10)
    const cut = new Promise((resolve) => slow.on('close', resolve))
    slow.on('error', () => {})
    slow.write(Uint8Array.of(0x16, 3, 1, 2, 0))
    expect((await refusal()).code).toMatch(/ETIMEDOUT|EPROTO/)
    await cut
    clearInterval(trickle)
    const silent = connectNet(port, '127.0.0.1')
    const silentCut = new Promise((resolve) => silent.on('close', resolve))
    silent.resume()
    silent.on('error', () => {})
    expect(await refusal()).toMatchObject({ code: 'ETIMEDOUT' })
    await silentCut
    const rude = connectNet(port, '127.0.0.1', () => rude.write('GET / HTTP/1.1\r\n\r\n'))
    rude.on('error', () => {})
    rude.resume()
    expect(await refusal()).toMatchObject({ code: 'EPROTO' })
    rude.destroy()
    expect(connections).toEqual([])
    await serves(url)
    await listener.close()
  })

  it('is EPROTO where no TLS is spoken', async () => {
    const plain = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('no TLS here, sorry')
    })
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
    const { port } = plain.address() as AddressInfo
    expect(await codeOf(() => connect(`tls:127.0.0.1:${port}`))).toBe('EPROTO')
    plain.close()
  })

  it('does not listen without a certificate, with a broken one, or for nobody', async () => {
    expect(await codeOf(() => listen(URL_ANY, drop))).toBe('EINVAL')
    expect(await codeOf(() => listen(URL_ANY, drop, { tls: { cert: 'x', key: 'y' } }))).toBe('EINVAL')
    const { key, cert } = server
    expect(await codeOf(() => listen(URL_ANY, drop, { tls: { key, cert, requestClientCert: true } }))).toBe(
      'EINVAL',
    )
  })

  it('may be reached by other machines when clients prove who they are', async () => {
    const listener = await listen('tls:0.0.0.0:0', () => {}, { tls: mutual })
    await listener.close()
    expect(await codeOf(() => listen('tls:0.0.0.0:0', () => {}, { tls: server }))).toBe('EPERM')
  })
})
