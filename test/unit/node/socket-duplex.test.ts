import * as fc from 'fast-check'
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { connect } from '../../../src/node/connect.ts'
import type { Connection } from '../../../src/node/connection.ts'
import { fdPassingObstacle } from '../../../src/node/libc.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import { gone, readAll, socketPair } from '../../support/socket-pair.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const directory = temporaryDirectory()
const MIB = 1024 * 1024
const TRANSPORTS = [
  ['unix', `unix:${join(directory, 'pair.sock')}`],
  ['tcp', 'tcp:127.0.0.1:0'],
] as const
/** The same over a socket that carries descriptors, where it can be had; fd-passing.test.ts says where not. */
const WITH_FDS =
  fdPassingObstacle() === undefined
    ? ([['unix with descriptors', `fds:${join(directory, 'fds.sock')}`]] as const)
    : []

function pattern(byteLength: number): Uint8Array {
  return new Uint8Array(byteLength).map((_, i) => (i * 31 + (i >>> 8)) & 255)
}

/** A peer of `node:net` itself, for what a connection of ours would not do. */
async function rawPeer(): Promise<{ connection: Connection; peer: Socket }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const connection = await connect(`tcp:127.0.0.1:${(server.address() as AddressInfo).port}`)
  server.close()
  return { connection, peer: await accepted }
}

describe.each([...TRANSPORTS, ...WITH_FDS])('a connection over %s', (_transport, url) => {
  it('carries any bytes in any segmentation, both ways, by reads, leases and windows', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 300_000 }), { minLength: 1, maxLength: 12 })
    const how = fc.constantFrom('read', 'lease', 'window')
    await fc.assert(
      fc.asyncProperty(sizes, how, fc.integer({ min: 1, max: 500_000 }), async (chunks, by, most) => {
        const { here, there } = await socketPair(url)
        const sent = pattern(chunks.reduce((total, size) => total + size, 0))
        const send = async (): Promise<void> => {
          let at = 0
          for (let i = 0; i < chunks.length; i += 3) {
            const group = chunks.slice(i, i + 3).map((size) => sent.subarray(at, (at += size)))
            await there.write(group)
          }
          await there.close()
        }
        const [got] = await Promise.all([receive(here, by, most), send()])
        expect(Buffer.compare(got, sent)).toBe(0)
        await here.write([Uint8Array.of(1, 2), Uint8Array.of(3)])
        await here.close()
        expect([...(await readAll(there))]).toEqual([1, 2, 3])
        await Promise.all([gone(here), gone(there)])
      }),
      { numRuns: 12 },
    )
  })

  it('holds back a writer whose reader is slow, with bounded memory', async () => {
    const { here, there } = await socketPair(url)
    const chunk = pattern(MIB)
    let written = 0
    let read = 0
    let mostAhead = 0
    const rssBefore = process.memoryUsage().arrayBuffers
    const writing = (async () => {
      for (let i = 0; i < 64; i++) {
        await here.write([chunk.subarray(0, 64), chunk])
        written += MIB + 64
        mostAhead = Math.max(mostAhead, written - read)
      }
      await here.close()
    })()
    const piece = new Uint8Array(100_000)
    for (let n; (n = await there.read(piece)) > 0; read += n) await turn()
    await writing
    expect(read).toBe(64 * (MIB + 64))
    // What the kernel of either end holds (TCP buffers grow), the receive memory, and one write.
    expect(mostAhead).toBeLessThan(16 * MIB)
    expect(process.memoryUsage().arrayBuffers - rssBefore).toBeLessThan(8 * MIB)
    await there.close()
  })

  it('does not settle a write that nobody reads, and settles it when it is aborted', async () => {
    const { here, there } = await socketPair(url)
    let settled = 0
    const writing = codeOf(async () => {
      for (;;) {
        await here.write([new Uint8Array(MIB)])
        settled++
      }
    })
    // As much as fits on the way, and then nothing more.
    for (let last = -1, quiet = 0; quiet < 50; quiet = settled === last ? quiet + 1 : 0) {
      last = settled
      await turn()
    }
    expect(settled).toBeLessThan(16)
    await here.abort(new Error('enough'))
    expect(await writing).toBe('ECANCELED')
    expect(await codeOf(() => here.write([Uint8Array.of(1)]))).toBe('ECANCELED')
    await there.cancel()
  })

  it('rejects the read under way when it is canceled, with the reason as its cause', async () => {
    const { here, there } = await socketPair(url)
    const reading = failureOf(() => here.read(new Uint8Array(8)))
    const why = new Error('why')
    await here.cancel(why)
    expect(await reading).toMatchObject({ code: 'ECANCELED', cause: why })
    expect(VfioError.is(here.closed.reason, 'ECANCELED')).toBe(true)
    await here.cancel()
    await here.abort()
    await there.cancel()
  })

  it('one read and one write at a time', async () => {
    const { here, there } = await socketPair(url)
    const reading = here.read(new Uint8Array(8))
    expect(await codeOf(() => here.lease(8))).toBe('EBUSY')
    expect(await codeOf(() => here.readInto!({ window: () => new Uint8Array(1), commit: () => {} }))).toBe(
      'EBUSY',
    )
    const writing = here.write([pattern(MIB), pattern(8 * MIB)])
    expect(await codeOf(() => here.write([Uint8Array.of(1)]))).toBe('EBUSY')
    expect(await codeOf(() => here.close())).toBe('EBUSY')
    await there.write([Uint8Array.of(7)])
    expect(await reading).toBe(1)
    let left = 9 * MIB
    const piece = new Uint8Array(MIB)
    while (left > 0) left -= await there.read(piece)
    await writing
    expect(await codeOf(() => here.lease(0))).toBe('EINVAL')
    expect(await codeOf(() => here.release())).toBe('EINVAL')
    await Promise.all([here.close(), there.close()])
    expect(await codeOf(() => here.write([Uint8Array.of(1)]))).toBe('EPIPE')
    await here.close()
    expect(await here.read(piece)).toBe(0)
    expect(await there.read(piece)).toBe(0)
    await Promise.all([gone(here), gone(there)])
    expect(VfioError.is(here.closed.reason, 'ENOTCONN')).toBe(true)
  })

  it('leases stay as they are until they are released, and their memory is bounded', async () => {
    const { here, there } = await socketPair(url)
    const sent = pattern(4 * MIB)
    const writing = (async () => {
      await here.write([sent])
      await here.close()
    })()
    const leases: Uint8Array[] = []
    let held = 0
    while (held < 700_000) {
      const lease = await there.lease(MIB)
      leases.push(lease)
      held += lease.length
    }
    await turn()
    const got = Buffer.concat(leases)
    expect(Buffer.compare(got, sent.subarray(0, held))).toBe(0)
    for (const _ of leases) there.release()
    const rest = await readAll(there)
    expect(Buffer.compare(rest, sent.subarray(held))).toBe(0)
    await writing
    await there.close()
  })

  it('a read or write that nothing moves for is ETIMEDOUT, an idle connection is not', async () => {
    const { here, there } = await socketPair(url, { idleTimeoutMs: 40 }, { idleTimeoutMs: 40 })
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(here.closed.aborted).toBe(false)
    expect(await codeOf(() => here.read(new Uint8Array(8)))).toBe('ETIMEDOUT')
    await gone(here)
    await there.cancel()
    const second = await socketPair(url, { idleTimeoutMs: 40 })
    const writing = codeOf(async () => {
      for (;;) await second.here.write([new Uint8Array(MIB)])
    })
    expect(await writing).toBe('ETIMEDOUT')
    await second.there.cancel()
  })

  it('fails with ETIMEDOUT when it takes longer than it may in all', async () => {
    const { here, there } = await socketPair(url, { timeoutMs: 30 })
    expect(await codeOf(() => here.read(new Uint8Array(8)))).toBe('ETIMEDOUT')
    await there.cancel()
    await Promise.all([gone(here), gone(there)])
  })

  it('leaves no handle or timer behind', async () => {
    const before = process.getActiveResourcesInfo().sort()
    const { here, there } = await socketPair(url, { timeoutMs: 60_000, idleTimeoutMs: 60_000 })
    const { here: aborted, there: other } = await socketPair(url, { timeoutMs: 60_000 })
    await here.write([pattern(1000)])
    await Promise.all([here.close(), there.close()])
    await Promise.all([readAll(here), readAll(there)])
    await Promise.all([gone(here), gone(there), aborted.abort(), other.cancel()])
    await turn()
    const transports = /Pipe|TCP|Timeout|Connect|Shutdown|Write/
    expect(
      process
        .getActiveResourcesInfo()
        .filter((name) => transports.test(name))
        .sort(),
    ).toEqual(before.filter((name) => transports.test(name)))
  })
})

describe.each(TRANSPORTS)('a connection over %s with receive memory', (_transport, url) => {
  it('receives into the memory it is given', async () => {
    const memory = new Uint8Array(200_000)
    const { here, there } = await socketPair(url, { receiveMemory: memory }, { receiveMemory: () => memory })
    await there.write([Uint8Array.of(1, 2, 3)])
    const lease = await here.lease(10)
    expect(lease.buffer).toBe(memory.buffer)
    expect([...lease]).toEqual([1, 2, 3])
    await Promise.all([here.cancel(), there.cancel()])
  })
})

describe.each([TRANSPORTS[0], ...WITH_FDS])('windows of a reader over %s', (_transport, url) => {
  it('stop when there is none, and what follows is read otherwise', async () => {
    const { here, there } = await socketPair(url)
    const sent = pattern(MIB)
    const writing = there.write([sent])
    const target = new Uint8Array(600_000)
    let filled = 0
    const windows = {
      window: (maxBytes: number) => target.subarray(filled, Math.min(filled + maxBytes, filled + 77_777)),
      commit: (byteLength: number) => void (filled += byteLength),
    }
    expect(await here.readInto!(windows)).toBe(false)
    expect(filled).toBe(600_000)
    const rest = new Uint8Array(MIB - 600_000)
    for (let at = 0; at < rest.length;) at += await here.read(rest.subarray(at))
    await writing
    expect(Buffer.compare(Buffer.concat([target, rest]), sent)).toBe(0)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('are written no more once the signal is aborted, and the connection goes on', async () => {
    const { here, there } = await socketPair(url)
    const target = new Uint8Array(100)
    let filled = 0
    const came = deferred()
    const windows = {
      window: () => target.subarray(filled),
      commit: (byteLength: number) => {
        filled += byteLength
        came.resolve()
      },
    }
    const controller = new AbortController()
    const reading = here.readInto!(windows, controller.signal)
    await there.write([Uint8Array.of(1, 2, 3)])
    await came.promise
    controller.abort(new VfioError('ENODEV', 'Cannot go on: the session ended'))
    expect(await codeOf(() => reading)).toBe('ENODEV')
    await there.write([Uint8Array.of(4, 5)])
    const after = new Uint8Array(10)
    expect(await here.read(after)).toBe(2)
    expect([...after.subarray(0, 2)]).toEqual([4, 5])
    expect([...target.subarray(0, 6)]).toEqual([1, 2, 3, 0, 0, 0])
    expect(await codeOf(() => here.readInto!(windows, controller.signal))).toBe('ENODEV')
    await there.close()
    expect(await here.readInto!(windows)).toBe(true)
    await here.close()
  })

  it('that fail reject the call, and the bytes committed before are the last ones taken', async () => {
    const { here, there } = await socketPair(url)
    await there.write([pattern(5000)])
    let taken = 0
    const failing = {
      window: (maxBytes: number) => new Uint8Array(Math.min(maxBytes, 1000)),
      commit(byteLength: number) {
        taken += byteLength
        if (taken >= 2000) throw new VfioError('EBADMSG', 'Cannot read: damaged')
      },
    }
    expect(await codeOf(() => here.readInto!(failing))).toBe('EBADMSG')
    const rest = new Uint8Array(5000)
    expect(await here.read(rest)).toBe(5000 - taken)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('are canceled with the connection', async () => {
    const { here, there } = await socketPair(url)
    const reading = codeOf(() => here.readInto!({ window: () => new Uint8Array(10), commit: () => {} }))
    await here.cancel()
    expect(await reading).toBe('ECANCELED')
    await there.cancel()
  })
})

describe('a peer', () => {
  it('that resets is ECONNRESET for the read under way, and for what follows', async () => {
    const { connection, peer } = await rawPeer()
    const reading = failureOf(() => connection.read(new Uint8Array(8)))
    peer.resetAndDestroy()
    // Node sends the end before the reset, so what came first decides what the read sees.
    expect(['ECONNRESET', 'EPIPE']).toContain((await reading).code)
    expect(await codeOf(() => connection.write([new Uint8Array(8)]))).not.toBe('ok')
    await gone(connection)
  })

  it('that aborts over TCP is no end of the stream', async () => {
    const { here, there } = await socketPair('tcp:127.0.0.1:0')
    const reading = codeOf(() => here.read(new Uint8Array(8)))
    await there.abort(new Error('no'))
    expect(await reading).toBe('ECONNRESET')
    await gone(here)
  })

  it('whose last bytes came before it was gone is heard out', async () => {
    const { here, there } = await socketPair('tcp:127.0.0.1:0')
    await there.write([Uint8Array.of(1, 2, 3)])
    // One byte is here, so all three are in the receive memory.
    const bytes = new Uint8Array(8)
    expect(await here.read(bytes.subarray(0, 1))).toBe(1)
    await there.abort(new Error('no'))
    await gone(here)
    expect(await here.read(bytes)).toBe(2)
    expect(await codeOf(() => here.read(bytes))).toBe('ECONNRESET')
  })

  it('that closes while we write makes the write fail', async () => {
    const { connection, peer } = await rawPeer()
    const writing = failureOf(async () => {
      for (;;) await connection.write([new Uint8Array(MIB)])
    })
    peer.destroy()
    expect(['EPIPE', 'ECONNRESET']).toContain((await writing).code)
    await gone(connection)
  })

  it('that ends half can still be written to', async () => {
    const { connection, peer } = await rawPeer()
    peer.end('over')
    expect(Buffer.from(await readAll(connection)).toString()).toBe('over')
    let got = ''
    peer.on('data', (data: Buffer) => (got += data.toString()))
    const ended = new Promise((resolve) => peer.on('end', resolve))
    peer.resume()
    await connection.write([Buffer.from('thanks')])
    await connection.close()
    await ended
    expect(got).toBe('thanks')
    await gone(connection)
  })
})

describe('createConnection', () => {
  it('of node:net sees our end as an end', async () => {
    const path = join(directory, 'raw.sock')
    const { listen } = await import('../../../src/node/listen.ts')
    const listener = await listen(`unix:${path}`, (connection) => {
      void (async () => {
        await connection.write([Buffer.from('bye')])
        await connection.close()
        await readAll(connection)
      })()
    })
    const socket = createConnection(path)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('bye')
    await listener.close()
  })
})

async function receive(connection: Connection, by: string, most: number): Promise<Uint8Array> {
  if (by === 'read') return readAll(connection, most)
  const parts: Uint8Array[] = []
  if (by === 'lease') {
    for (let lease; (lease = await connection.lease(most)).length > 0; connection.release())
      parts.push(lease.slice())
    return Buffer.concat(parts)
  }
  let window = new Uint8Array(0)
  const windows = {
    window: (maxBytes: number) => (window = new Uint8Array(Math.min(maxBytes, most))),
    commit: (byteLength: number) => void parts.push(window.slice(0, byteLength)),
  }
  expect(await connection.readInto!(windows)).toBe(true)
  return Buffer.concat(parts)
}
