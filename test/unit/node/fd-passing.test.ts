/** File descriptors beside the bytes of a UNIX socket, with a peer in another language. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { connect as connectNet } from 'node:net'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { connectFds } from '../../../src/node/connect-fds.ts'
import type { FdConnection } from '../../../src/node/fd-connection.ts'
import { fdFiles } from '../../../src/node/fd-files.ts'
import { fdPassingObstacle } from '../../../src/node/libc.ts'
import { listenFds } from '../../../src/node/listen-fds.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { fdSocketPair, gone } from '../../support/socket-pair.ts'
import { FdPeer, peerObstacle } from './fd-peer.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const directory = temporaryDirectory()
const obstacle = fdPassingObstacle()
const noPeer = peerObstacle()

let sockets = 0
/** A path that no test used before. */
function freshPath(): string {
  return join(directory, `${sockets++}.sock`)
}

/** Descriptors of memory files and eventfds that this process holds. */
function held(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return /^\/memfd:|eventfd/.test(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  }).length
}

/** Mappings of memory files of ours. */
function mapped(): number {
  return readFileSync('/proc/self/maps', 'utf8').split('/memfd:stopcopy').length - 1
}

/** Sockets of this process. */
function socketCount(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')
    } catch {
      return false
    }
  }).length
}

async function readText(connection: FdConnection, byteLength: number): Promise<string> {
  const bytes = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength;) {
    const count = await connection.read(bytes.subarray(at))
    if (count === 0) throw new Error('the end came early')
    at += count
  }
  return Buffer.from(bytes).toString()
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const sizesOf = (fds: readonly number[]): number[] => fds.map((fd) => fstatSync(fd).size)

if (obstacle !== undefined) {
  it(`is off here: ${obstacle.message}`, async () => {
    expect(process.env['CI'] ?? '').toBe('')
    expect(await codeOf(() => connectFds('unix:/nowhere'))).toBe('EOPNOTSUPP')
    expect(await codeOf(() => listenFds('unix:/nowhere', () => {}))).toBe('EOPNOTSUPP')
    expect(await codeOf(() => fdFiles())).toBe('EOPNOTSUPP')
  })
} else {
  describe('descriptors between two ends here', localCases)
  describe('memory and events', fileCases)
  describe('a listener and its clients', listenerCases)
}
if (noPeer === undefined) describe('descriptors to and from another program', peerCases)
else {
  it(`no other program to test with: ${noPeer}`, () => {
    expect(process.env['CI'] ?? '').toBe('')
    expect(noPeer).not.toBe('')
  })
}

function peerCases(): void {
  it('come with the bytes they were sent with, also when a message is split', async () => {
    const before = held()
    const { peer, connection } = await FdPeer.start('send_messages', freshPath())
    const { fds } = connection
    const taken: number[] = []
    const next = async (): Promise<[string, number[]]> => {
      const text = await readText(connection, 4)
      const came = fds.take()
      taken.push(...came)
      return [text, sizesOf(came)]
    }
    expect(await next()).toEqual(['none', []])
    expect(await next()).toEqual(['one1', [4096]])
    expect(await next()).toEqual(['thre', [8192, 12_288, 16_384]])
    expect(await peer.told()).toBe('half')
    const first = new Uint8Array(4)
    expect(await connection.read(first)).toBe(1)
    taken.push(...fds.take())
    expect(sizesOf(taken.slice(4))).toEqual([20_480])
    peer.go()
    expect(await readText(connection, 4)).toBe('plit')
    expect(await next()).toEqual(['last', []])
    for (const fd of taken) fds.close(fd)
    expect(held()).toBe(before)
    await peer.end()
    await connection.cancel()
  })

  it('arrive there with the message they were written with', async () => {
    const { peer, connection } = await FdPeer.start('describe', freshPath())
    const { fds } = connection
    const files = [fds.createMemory(4096), fds.createMemory(8192), fds.createMemory(12_288)]
    await fds.write([bytesOf('t'), bytesOf('hr'), bytesOf('ee')], files)
    await connection.write([bytesOf('none')])
    await fds.write([new Uint8Array(0), bytesOf('last')], files.slice(0, 1))
    for (const fd of files) fds.close(fd)
    expect(await peer.told()).toEqual({ text: 'three'.slice(0, 4), sizes: [4096, 8192, 12_288] })
    await connection.cancel()
    await peer.end()
  })

  it('of memory there show what both ends write', async () => {
    const { peer, connection } = await FdPeer.start('share_memory', freshPath())
    const { fds } = connection
    expect(await readText(connection, 1)).toBe('m')
    const [fd] = fds.take() as [number]
    const memory = fds.map(fd, 4096n, 4096, { write: true })
    const start = fds.map(fd, 0n, 16, { write: false })
    fds.close(fd)
    expect(Buffer.from(memory.bytes.subarray(0, 4)).toString()).toBe('ours')
    memory.bytes.set(bytesOf('mine!!'))
    await connection.write([bytesOf('m')])
    expect(await peer.told()).toBe('mine!!')
    expect(await readText(connection, 1)).toBe('m')
    expect(Buffer.from(start.bytes.subarray(0, 5)).toString()).toBe('again')
    memory.unmap()
    start.unmap()
    await peer.end()
    await connection.cancel()
  })

  it('of memory here are sealed and show what both ends write', async () => {
    const { peer, connection } = await FdPeer.start('take_memory', freshPath())
    const { fds } = connection
    const fd = fds.createMemory(5000)
    fds.writeAt(fd, 10n, bytesOf('hello'))
    const memory = fds.map(fd, 0n, 5000, { write: true, requireSealed: true })
    await fds.write([bytesOf('m')], [fd])
    // F_SEAL_SHRINK and F_SEAL_GROW.
    expect(await peer.told()).toEqual({ size: 5000, seals: 6, text: 'hello' })
    expect(await readText(connection, 1)).toBe('m')
    expect(Buffer.from(memory.bytes.subarray(100, 105)).toString()).toBe('there')
    memory.unmap()
    fds.close(fd)
    await peer.end()
    await connection.cancel()
  })

  it('of events count there and here', async () => {
    const { peer, connection } = await FdPeer.start('count_events', freshPath())
    const { fds } = connection
    expect(await readText(connection, 1)).toBe('e')
    const [theirs] = fds.take() as [number]
    expect(fds.isEvent(theirs)).toBe(true)
    for (let i = 0; i < 3; i++) fds.signal(theirs)
    await connection.write([bytesOf('e')])
    expect(await peer.told()).toBe(3)
    // It still waits there for what we signal.
    expect(await peer.told()).toBe(false)
    const mine = fds.createEvent()
    let heard!: (count: bigint) => void
    const count = (): Promise<bigint> => new Promise((resolve) => (heard = resolve))
    const first = count()
    const unwatch = fds.watchEvent(mine, (value) => heard(value))
    await fds.write([bytesOf('e')], [mine])
    expect(await first).toBe(5n)
    const second = count()
    peer.go()
    expect(await second).toBe(2n)
    unwatch()
    expect(fds.readEvent(mine)).toBe(0n)
    fds.close(mine)
    fds.close(theirs)
    await peer.end()
    await connection.cancel()
  })

  it('go once, with the first byte, however often the socket is full', async () => {
    const { peer, connection } = await FdPeer.start('read_slowly', freshPath())
    const { fds } = connection
    const sent = new Uint8Array(4 << 20).map((_, i) => (i * 31 + (i >>> 8)) & 255)
    const files = [fds.createMemory(4096), fds.createEvent()]
    let written = false
    const writing = Promise.resolve(
      fds.write([sent.subarray(0, 100), sent.subarray(100, 1 << 20), sent.subarray(1 << 20)], files),
    ).then(() => (written = true))
    await turn()
    expect(written).toBe(false)
    peer.go()
    await writing
    const digest = createHash('sha256').update(sent).digest('hex')
    expect(await peer.told()).toEqual({ total: 4 << 20, digest, fds: [[0, 2]] })
    for (const fd of files) fds.close(fd)
    await peer.end()
    await connection.cancel()
  })

  it('beyond the limit that nobody took end the connection, and none stays open', async () => {
    const before = held()
    const { peer, connection } = await FdPeer.start('send_many', freshPath(), { maxFds: 8 })
    expect(await peer.told()).toBe('sent')
    expect(await codeOf(() => connection.read(new Uint8Array(1)))).toBe('EMSGSIZE')
    expect(VfioError.is(connection.closed.reason, 'EMSGSIZE')).toBe(true)
    expect(connection.fds.take()).toEqual([])
    expect(held()).toBe(before)
    await peer.end()
  })

  it('that this process has no room for end the connection, and none stays open', async () => {
    const before = held()
    const { peer, connection } = await FdPeer.start('send_many', freshPath())
    expect(await peer.told()).toBe('sent')
    const makeRoom = leaveRoomFor(4)
    let failure: unknown
    try {
      // Reads at once, since the bytes are there.
      void connection.read(new Uint8Array(1))
    } catch (error) {
      failure = error
    } finally {
      makeRoom()
    }
    expect(VfioError.is(failure, 'EMFILE')).toBe(true)
    expect(held()).toBe(before)
    await peer.end()
  })

  it('that nobody took are closed with the connection', async () => {
    const before = held()
    const { peer, connection } = await FdPeer.start('send_many', freshPath())
    expect(await readText(connection, 2)).toBe('xy')
    expect(held()).toBe(before + 9)
    await connection.cancel()
    expect(held()).toBe(before)
    await peer.end()
  })

  it('of other kinds are told apart, and do no harm', async () => {
    const { peer, connection } = await FdPeer.start('send_other_files', freshPath())
    const { fds } = connection
    await readText(connection, 1)
    const [pipe, full, loose, fixed, readable] = fds.take() as [number, number, number, number, number]
    expect([pipe, full, loose].map((fd) => fds.isEvent(fd))).toEqual([false, true, false])
    expect(await codeOf(() => fds.map(pipe, 0n, 1, { write: false }))).toBe('EINVAL')
    expect(await codeOf(() => fds.readAt(pipe, 0n, new Uint8Array(1)))).toBe('ESPIPE')
    // It is blocking, and full: a write would wait for ever.
    fds.signal(full)
    expect(fds.readEvent(full)).toBe(0xffff_ffff_ffff_fffen)
    expect(await codeOf(() => fds.map(loose, 0n, 8192, { write: true, requireSealed: true }))).toBe('EPERM')
    fds.map(fixed, 0n, 8192, { write: true, requireSealed: true }).unmap()
    expect(await codeOf(() => fds.map(readable, 0n, 8192, { write: true }))).toBe('EPERM')
    fds.map(readable, 0n, 8192, { write: false }).unmap()
    for (const fd of [pipe, full, loose, fixed, readable]) fds.close(fd)
    expect(await codeOf(() => fds.close(pipe))).toBe('EBADF')
    expect(await codeOf(() => fds.isEvent(pipe))).toBe('EBADF')
    await peer.end()
    await connection.cancel()
  })

  it('of several control messages are all taken', async () => {
    const { peer, connection } = await FdPeer.start('send_rights_twice', freshPath())
    expect(await peer.told()).toBe(4)
    await readText(connection, 4)
    const taken = connection.fds.take()
    expect(sizesOf(taken)).toEqual([4096, 8192])
    for (const fd of taken) connection.fds.close(fd)
    await peer.end()
    await connection.cancel()
  })

  it('that a peer sent before it vanished are there, and its end is one', async () => {
    const before = held()
    const { peer, connection } = await FdPeer.start('vanish', freshPath())
    expect(await peer.told()).toBe('up')
    await connection.write([bytesOf('never read')])
    peer.go()
    await peer.end()
    expect(await readText(connection, 1)).toBe('v')
    for (const fd of connection.fds.take()) connection.fds.close(fd)
    expect(['ECONNRESET', 'ok']).toContain(await codeOf(() => connection.read(new Uint8Array(1))))
    expect(['EPIPE', 'ECONNRESET']).toContain(await codeOf(() => connection.write([bytesOf('x')])))
    await gone(connection)
    expect(held()).toBe(before)
  })

  it('go to a program that listens, and come back', async () => {
    const { peer, connection } = await FdPeer.listening('listen_and_answer', freshPath())
    const { fds } = connection
    const before = held()
    const event = fds.createEvent()
    const files = [fds.createMemory(4096), event]
    await fds.write([bytesOf('abcd')], files)
    for (const fd of files) fds.close(fd)
    expect(await readText(connection, 4)).toBe('abcd')
    const [memory, back] = fds.take() as [number, number]
    expect([sizesOf([memory]), fds.isEvent(back)]).toEqual([[4096], true])
    await connection.write([bytesOf('efgh')])
    expect(await readText(connection, 4)).toBe('efgh')
    expect(fds.take()).toEqual([])
    fds.close(memory)
    fds.close(back)
    expect(held()).toBe(before)
    await connection.close()
    expect(await connection.read(new Uint8Array(1))).toBe(0)
    await gone(connection)
    await peer.end()
  })

  it('wait for a listener that takes nobody until the time is over, or until they are canceled', async () => {
    const path = freshPath()
    const { peer, connection } = await FdPeer.listening('listen_and_wait', path)
    const before = socketCount()
    const failure = await failureOf(() => connectFds(`unix:${path}`, { connectTimeoutMs: 50 }))
    expect([failure.code, failure.message]).toEqual([
      'ETIMEDOUT',
      `Cannot connect to "unix:${path}": no answer for 50 ms, check it`,
    ])
    const controller = new AbortController()
    const connecting = codeOf(() => connectFds(`unix:${path}`, { signal: controller.signal }))
    await turn()
    controller.abort(new Error('enough'))
    expect(await connecting).toBe('ECANCELED')
    expect(socketCount()).toBe(before)
    await connection.cancel()
    await peer.end()
  })
}

function localCases(): void {
  it('go with a byte or more and are no more than the system takes', async () => {
    const { here, there } = await fdSocketPair(`unix:${freshPath()}`)
    const event = here.fds.createEvent()
    const write = (count: number, bytes: Uint8Array[]): unknown =>
      here.fds.write(
        bytes,
        Array.from({ length: count }, () => event),
      )
    expect(await codeOf(() => write(1, []))).toBe('EINVAL')
    expect(await codeOf(() => write(1, [new Uint8Array(0)]))).toBe('EINVAL')
    expect(await codeOf(() => write(254, [bytesOf('x')]))).toBe('EINVAL')
    await write(253, [bytesOf('x')])
    expect(await there.read(new Uint8Array(10))).toBe(1)
    const taken = there.fds.take()
    expect(taken).toHaveLength(253)
    for (const fd of taken) there.fds.close(fd)
    here.fds.close(event)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('that are not open fail the write with EBADF', async () => {
    const { here, there } = await fdSocketPair(`unix:${freshPath()}`)
    const event = here.fds.createEvent()
    here.fds.close(event)
    expect(await codeOf(() => here.fds.write([bytesOf('x')], [event]))).toBe('EBADF')
    expect(await there.read(new Uint8Array(1))).toBe(0)
    await there.cancel()
  })

  it('of a message are known when its first bytes are committed to a window', async () => {
    const { here, there } = await fdSocketPair(`unix:${freshPath()}`)
    const event = here.fds.createEvent()
    const seen: number[] = []
    const head = new Uint8Array(2)
    const windows = {
      window: () => (seen.length === 4 ? new Uint8Array(0) : head),
      commit: () => {
        const fds = there.fds.take()
        seen.push(fds.length)
        for (const fd of fds) there.fds.close(fd)
      },
    }
    await here.write([bytesOf('aa')])
    await here.fds.write([bytesOf('bb')], [event, event])
    await here.write([bytesOf('cc')])
    await here.fds.write([bytesOf('dd')], [event])
    expect(await there.readInto!(windows)).toBe(false)
    expect(seen).toEqual([0, 2, 0, 1])
    here.fds.close(event)
    await Promise.all([here.cancel(), there.cancel()])
  })

  it('of a socket go to a client of node:net as bytes without them', async () => {
    const before = held()
    const path = freshPath()
    const listener = await listenFds(`unix:${path}`, (connection) => {
      const event = connection.fds.createEvent()
      void Promise.resolve(connection.fds.write([bytesOf('bytes')], [event])).then(() => {
        connection.fds.close(event)
        return connection.cancel()
      })
    })
    const client = connectNet(path)
    const parts: Buffer[] = []
    client.on('data', (part: Buffer) => parts.push(part))
    await once(client, 'close')
    expect(Buffer.concat(parts).toString()).toBe('bytes')
    await listener.close()
    expect(held()).toBe(before)
  })

  it('a peer that floods does not keep the event loop', async () => {
    const { here, there } = await fdSocketPair(`unix:${freshPath()}`)
    let turns = 0
    let open = true
    const count = (): void => {
      turns++
      if (open) setImmediate(count)
    }
    setImmediate(count)
    const chunk = new Uint8Array(1000)
    const writing = (async () => {
      for (let i = 0; i < 300; i++) await here.write([chunk])
      await here.close()
    })()
    const piece = new Uint8Array(16)
    let reads = 0
    while ((await there.read(piece)) > 0) reads++
    await writing
    open = false
    // A turn takes 32 reads at most.
    expect(reads).toBeGreaterThanOrEqual(18_750)
    expect(turns).toBeGreaterThan(reads / 33)
    await there.cancel()
  })

  it('a worker that is ended in the middle leaves nothing that ends the process', async () => {
    const koffi = JSON.stringify(createRequire(import.meta.url).resolve('koffi'))
    const worker = new Worker(
      `const koffi = require(${koffi})
      const fds = new Int32Array(2)
      koffi.load(null).func('int socketpair(int, int, int, void *)')(1, 1 | 0o2004000, 0, fds)
      globalThis.handle = koffi.node.poll(fds[0], { readable: true }, () => {})
      require('node:worker_threads').parentPort.postMessage([...fds])`,
      { eval: true },
    )
    const [fds] = (await once(worker, 'message')) as [number[]]
    expect(await worker.terminate()).toBe(1)
    for (const fd of fds) fdFiles().close(fd)
  })
}

function fileCases(): void {
  it('memory is mapped from any offset, and its length is checked', async () => {
    const files = fdFiles()
    const fd = files.createMemory(10_000)
    files.writeAt(fd, 4097n, bytesOf('odd'))
    const memory = files.map(fd, 4097n, 5903, { write: true })
    expect(Buffer.from(memory.bytes.subarray(0, 3)).toString()).toBe('odd')
    expect(memory.bytes.length).toBe(5903)
    memory.bytes[5902] = 7
    const last = new Uint8Array(1)
    files.readAt(fd, 9999n, last)
    expect(last[0]).toBe(7)
    memory.unmap()
    const code = (offset: bigint, byteLength: number): Promise<string> =>
      codeOf(() => files.map(fd, offset, byteLength, { write: true }))
    for (const [offset, byteLength] of [
      [0n, 10_001],
      [9999n, 2],
      [10_000n, 1],
      [-1n, 1],
      [0n, 0],
      [0n, 1.5],
      [2n ** 63n, 1],
      [0n, 2 ** 52],
    ] as const)
      expect(await code(offset, byteLength)).toBe('EINVAL')
    files.close(fd)
    expect(await code(0n, 1)).toBe('EBADF')
  })

  it('memory that was unmapped can still be touched, and nobody sees it', () => {
    const files = fdFiles()
    const fd = files.createMemory(8192)
    const memory = files.map(fd, 0n, 8192, { write: true })
    memory.bytes[5000] = 1
    memory.unmap()
    memory.unmap()
    expect(memory.bytes[5000]).toBe(0)
    memory.bytes[5000] = 9
    const byte = new Uint8Array(1)
    files.readAt(fd, 5000n, byte)
    expect(byte[0]).toBe(1)
    files.close(fd)
  })

  it('what is written to a mapping for reading stays here', () => {
    const files = fdFiles()
    const fd = files.createMemory(4096)
    const memory = files.map(fd, 0n, 4096, { write: false })
    files.writeAt(fd, 1n, Uint8Array.of(5))
    expect(memory.bytes[1]).toBe(5)
    memory.bytes[1] = 6
    const byte = new Uint8Array(1)
    files.readAt(fd, 1n, byte)
    expect(byte[0]).toBe(5)
    memory.unmap()
    files.close(fd)
  })

  it('memory that nobody holds any more is unmapped', async () => {
    const files = fdFiles()
    const fd = files.createMemory(1 << 20)
    const before = mapped()
    for (let i = 0; i < 50; i++) files.map(fd, 0n, 1 << 20, { write: true })
    // Neighbours are one line.
    const most = mapped()
    expect(most).toBeGreaterThan(before)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    while (mapped() > before) {
      collect()
      await turn()
    }
    expect(mapped()).toBe(before)
    files.close(fd)
  })

  it('bytes at positions beyond the end, or that are none, are EINVAL', async () => {
    const files = fdFiles()
    const fd = files.createMemory(100)
    expect(await codeOf(() => files.readAt(fd, 90n, new Uint8Array(11)))).toBe('EINVAL')
    expect(await codeOf(() => files.readAt(fd, 2n ** 40n, new Uint8Array(1)))).toBe('EINVAL')
    expect(await codeOf(() => files.readAt(fd, -1n, new Uint8Array(1)))).toBe('EINVAL')
    expect(await codeOf(() => files.readAt(fd, 2n ** 63n, new Uint8Array(1)))).toBe('EINVAL')
    // Sealed against growing.
    expect(await codeOf(() => files.writeAt(fd, 100n, new Uint8Array(1)))).toBe('EPERM')
    files.close(fd)
    expect(await codeOf(() => files.writeAt(fd, 0n, new Uint8Array(1)))).toBe('EBADF')
    expect(await codeOf(() => files.createMemory(0))).toBe('EINVAL')
    expect(await codeOf(() => files.createMemory(2 ** 60))).toBe('EINVAL')
  })

  it('a file of a disk is mapped, too', async () => {
    const files = fdFiles()
    const fd = openSync(join(directory, 'file'), 'w+')
    writeSync(fd, 'on a disk')
    const memory = files.map(fd, 3n, 6, { write: true })
    memory.bytes[0] = 0x41
    memory.unmap()
    const bytes = new Uint8Array(9)
    files.readAt(fd, 0n, bytes)
    expect(Buffer.from(bytes).toString()).toBe('on A disk')
    expect(await codeOf(() => files.map(fd, 0n, 9, { write: true, requireSealed: true }))).toBe('EPERM')
    closeSync(fd)
  })

  it('events count what was signalled, once', async () => {
    const files = fdFiles()
    const event = files.createEvent()
    expect(files.readEvent(event)).toBe(0n)
    files.signal(event)
    files.signal(event)
    expect(files.readEvent(event)).toBe(2n)
    expect(files.readEvent(event)).toBe(0n)
    const counts: bigint[] = []
    const unwatch = files.watchEvent(event, (count) => counts.push(count))
    files.signal(event)
    while (counts.length === 0) await turn()
    expect(counts).toEqual([1n])
    unwatch()
    unwatch()
    files.signal(event)
    await turn()
    await turn()
    expect(counts).toEqual([1n])
    files.close(event)
    expect(await codeOf(() => files.signal(event))).toBe('EBADF')
    expect(await codeOf(() => files.readEvent(event))).toBe('EBADF')
  })
}

function listenerCases(): void {
  it('are found or not as by `connect` and `listen`', async () => {
    const path = freshPath()
    const url = `unix:${path}`
    expect(await codeOf(() => connectFds(url))).toBe('ENOENT')
    expect(await codeOf(() => connectFds('tcp:127.0.0.1:1'))).toBe('EINVAL')
    expect(await codeOf(() => listenFds('tcp:127.0.0.1:0', () => {}))).toBe('EINVAL')
    expect(await codeOf(() => listenFds(`unix:${directory}/no/such`, () => {}))).toBe('ENOENT')
    const listener = await listenFds(url, (connection) => void connection.cancel())
    expect(fstatModeOf(path)).toBe(0o600)
    expect(await codeOf(() => listenFds(url, () => {}))).toBe('EADDRINUSE')
    await listener.close()
    await listener.close()
    expect(await codeOf(() => connectFds(url))).toBe('ENOENT')
  })

  it('of a signal end with it', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const url = `unix:${freshPath()}`
    const accepted: FdConnection[] = []
    const listener = await listenFds(url, (connection) => accepted.push(connection), { signal })
    const connection = await connectFds(url, { signal })
    while (accepted.length === 0) await turn()
    const reading = codeOf(() => connection.read(new Uint8Array(1)))
    controller.abort(new Error('enough'))
    expect(await reading).toBe('ECANCELED')
    await listener.close()
    expect(await accepted[0]?.read(new Uint8Array(1))).toBe(0)
    await accepted[0]?.cancel()
    expect(await codeOf(() => connectFds(url, { signal }))).toBe('ECANCELED')
    expect(await codeOf(() => listenFds(url, () => {}, { signal }))).toBe('ECANCELED')
  })

  it('that come while there is no room for them are taken when there is', async () => {
    const accepted: FdConnection[] = []
    const url = `unix:${freshPath()}`
    const listener = await listenFds(url, (connection) => accepted.push(connection))
    const connection = await connectFds(url)
    const makeRoom = leaveRoomFor(0)
    for (let i = 0; i < 20; i++) await turn()
    const early = accepted.length
    makeRoom()
    while (accepted.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(early).toBe(0)
    await Promise.all([connection.cancel(), accepted[0]!.cancel(), listener.close()])
  })

  it('leave no descriptor behind, 200 of them', async () => {
    const url = `unix:${freshPath()}`
    const listener = await listenFds(url, (connection) => {
      void (async () => {
        await connection.read(new Uint8Array(8))
        await connection.close()
        // What came beside the bytes is left to the connection.
        await connection.read(new Uint8Array(8))
      })()
    })
    const before = socketCount()
    const heldBefore = held()
    const fd = fdFiles().createEvent()
    for (let i = 0; i < 200; i++) {
      const connection = await connectFds(url)
      await connection.fds.write([bytesOf('x')], [fd, fd])
      await connection.close()
      expect(await connection.read(new Uint8Array(8))).toBe(0)
      await gone(connection)
    }
    fdFiles().close(fd)
    while (socketCount() > before) await turn()
    expect(held()).toBe(heldBefore)
    await listener.close()
  })
}

function fstatModeOf(path: string): number {
  return statSync(path).mode & 0o777
}

/** Lets this process open only so many descriptors more; the function given back undoes it. */
function leaveRoomFor(count: number): () => void {
  interface Koffi {
    load(path: null): { func(definition: string): (...args: unknown[]) => number }
  }
  const library = (createRequire(import.meta.url)('koffi') as Koffi).load(null)
  const get = library.func('int getrlimit(int, void *)')
  const set = library.func('int setrlimit(int, void *)')
  const RLIMIT_NOFILE = 7
  const files = fdFiles()
  // Numbers below the highest one are free, too: new ones take them first.
  const fillers: number[] = []
  const highest = Math.max(...readdirSync('/proc/self/fd').map(Number))
  while ((fillers.at(-1) ?? 0) <= highest) fillers.push(files.createEvent())
  const limit = (fillers.at(-1) as number) + 1 + count
  const before = new BigUint64Array(2)
  expect(get(RLIMIT_NOFILE, before)).toBe(0)
  expect(set(RLIMIT_NOFILE, new BigUint64Array([BigInt(limit), before[1] as bigint]))).toBe(0)
  return () => {
    expect(set(RLIMIT_NOFILE, before)).toBe(0)
    for (const fd of fillers) files.close(fd)
  }
}
