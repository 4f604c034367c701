import { existsSync, lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../../src/node/connect.ts'
import type { Connection } from '../../../src/node/connection.ts'
import { listen } from '../../../src/node/listen.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { gone } from '../../support/socket-pair.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const directory = temporaryDirectory()
const drop = (connection: Connection): void => void connection.cancel()

/** A socket file that nobody listens on: as a killed process leaves it. */
async function staleSocket(path: string): Promise<void> {
  const { execFileSync } = await import('node:child_process')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  try {
    execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })
  } catch {
    // Killed.
  }
  expect(lstatSync(path).isSocket()).toBe(true)
}

describe('listening on a path', () => {
  it('has the socket there for this user while it listens, and nothing else', async () => {
    const path = join(directory, 'own.sock')
    const listener = await listen(`unix:${path}`, drop)
    expect(listener.url).toBe(`unix:${path}`)
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['own.sock'])
    await listener.close()
    await listener.close()
    expect(readdirSync(directory)).toEqual([])
    expect(await codeOf(() => connect(`unix:${path}`))).toBe('ENOENT')
  })

  it('replaces a socket that nobody listens on any more', async () => {
    const path = join(directory, 'stale.sock')
    await staleSocket(path)
    expect(await codeOf(() => connect(`unix:${path}`))).toBe('ECONNREFUSED')
    const listener = await listen(`unix:${path}`, drop)
    await (await connect(listener.url)).cancel()
    await listener.close()
    expect(existsSync(path)).toBe(false)
  })

  it('refuses a socket that somebody listens on, and leaves it alone', async () => {
    const path = join(directory, 'live.sock')
    const first = await listen(`unix:${path}`, drop)
    expect(await codeOf(() => listen(`unix:${path}`, drop))).toBe('EADDRINUSE')
    await (await connect(first.url)).cancel()
    await first.close()
  })

  it('refuses a file that is no socket, and a folder that is not there', async () => {
    const path = join(directory, 'file')
    writeFileSync(path, 'text')
    expect(await codeOf(() => listen(`unix:${path}`, drop))).toBe('EEXIST')
    expect(await codeOf(() => listen(`unix:${path}/a`, drop))).toBe('ENOENT')
    expect(await codeOf(() => listen(`unix:${join(directory, 'none/a')}`, drop))).not.toBe('ok')
  })

  it('does not remove a socket that took its place', async () => {
    const path = join(directory, 'taken.sock')
    const listener = await listen(`unix:${path}`, drop)
    const { rmSync } = await import('node:fs')
    rmSync(path)
    const other = await listen(`unix:${path}`, drop)
    await listener.close()
    expect(existsSync(path)).toBe(true)
    await other.close()
  })
})

describe('listening on a host', () => {
  it.each(['tcp:0.0.0.0:0', 'tcp:[::]:0', 'tls:0.0.0.0:0', 'ws:0.0.0.0:0', 'tcp:example.org:0'])(
    '%s is refused as long as nothing proves who connects',
    async (url) => {
      const failure = await failureOf(() => listen(url, drop))
      expect(failure.code).toBe('EPERM')
      expect(failure.message).toContain('127.0.0.1')
    },
  )

  it('is possible when remote machines are wanted', async () => {
    const listener = await listen('tcp:0.0.0.0:0', drop, { allowRemote: true })
    expect(listener.url).toMatch(/^tcp:0\.0\.0\.0:\d+$/)
    await listener.close()
  })

  it('tells the real port, and refuses one in use', async () => {
    const listener = await listen('tcp:127.0.0.1:0', drop)
    expect(listener.url).toMatch(/^tcp:127\.0\.0\.1:[1-9]\d*$/)
    expect(await codeOf(() => listen(listener.url, drop))).toBe('EADDRINUSE')
    await listener.close()
    expect(await codeOf(() => connect(listener.url))).toBe('ECONNREFUSED')
  })

  it('ends no connection when it closes', async () => {
    const connections: Connection[] = []
    const listener = await listen('tcp:localhost:0', (connection) => connections.push(connection))
    const here = await connect(listener.url)
    while (connections.length === 0) await turn()
    await listener.close()
    await here.write([Uint8Array.of(5)])
    const byte = new Uint8Array(1)
    expect(await (connections[0] as Connection).read(byte)).toBe(1)
    expect(connections[0]?.peer).toMatch(/^tcp:.*:\d+$/)
    await Promise.all([here.cancel(), connections[0]?.cancel()])
  })

  it('stops with its signal', async () => {
    const controller = new AbortController()
    const listener = await listen('tcp:127.0.0.1:0', drop, { signal: controller.signal })
    controller.abort()
    await listener.close()
    expect(await codeOf(() => connect(listener.url))).toBe('ECONNREFUSED')
    expect(await codeOf(() => listen('tcp:127.0.0.1:0', drop, { signal: controller.signal }))).toBe(
      'ECANCELED',
    )
  })
})

describe('connecting', () => {
  it('fails with ETIMEDOUT when the other end does not take part', async () => {
    // Accepts and says nothing: no handshake comes of it.
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const socketOf = new Promise<import('node:net').Socket>((resolve) => server.once('connection', resolve))
    expect(await codeOf(() => connect(`tls:127.0.0.1:${port}`, { connectTimeoutMs: 30 }))).toBe('ETIMEDOUT')
    ;(await socketOf).destroy()
    server.close()
  })

  it('is canceled by its signal, before and after', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const accepted: Connection[] = []
    const listener = await listen('tcp:127.0.0.1:0', (connection) => accepted.push(connection))
    const connecting = codeOf(() => connect(listener.url, { signal }))
    controller.abort()
    expect(await connecting).toBe('ECANCELED')
    expect(await codeOf(() => connect(listener.url, { signal }))).toBe('ECANCELED')
    const later = new AbortController()
    const connection = await connect(listener.url, { signal: later.signal })
    later.abort()
    await gone(connection)
    await listener.close()
    await Promise.all(accepted.map((other) => other.cancel()))
  })

  it('takes WebSockets as well, with time limits of their own', async () => {
    const listener = await listen('ws:127.0.0.1:0/device', drop)
    const connection = await connect(listener.url, { idleTimeoutMs: 30 })
    expect(await codeOf(() => connection.read(new Uint8Array(1)))).toMatch(/ETIMEDOUT|EPIPE/)
    await connection.cancel()
    await listener.close()
  })

  it('tells what is no host', async () => {
    expect(await codeOf(() => connect('http://a'))).toBe('EINVAL')
  })
})
