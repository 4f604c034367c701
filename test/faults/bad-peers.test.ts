/** Peers that do not know, or do not want, what a receiver is for. */

import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DeviceIdentity } from '../../src/device/driver.ts'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../src/devices/index.ts'
import { VfioError } from '../../src/errors.ts'
import { encodeDataHeader, encodeMessage, newMigrationId } from '../../src/migrate/handover/frame.ts'
import { type Frame, FrameReader } from '../../src/migrate/handover/frame-reader.ts'
import { FrameWriter } from '../../src/migrate/handover/frame-writer.ts'
import { MessageType, messageName } from '../../src/migrate/handover/message-type.ts'
import { encodeEnd, encodeHello, type Hello } from '../../src/migrate/handover/payloads.ts'
import { migrate } from '../../src/migrate/live/migrate.ts'
import { MigrationError } from '../../src/migrate/live/migration-error.ts'
import { Receiver } from '../../src/migrate/receive/receiver.ts'
import { connect, type Connection, listen, type Listener, type TlsOptions } from '../../src/node/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { TestAuthority } from '../support/certificates.ts'
import { DeviceRecorder } from '../support/device-recorder.ts'
import { activeResources, expectResources } from '../support/fault-matrix.ts'

const MEMORY_BYTES = 64 * 1024
const QUICK = { helloTimeoutMs: 300, idleTimeoutMs: 1500, lingerMs: 50 }

let folder: string
let before: string[]
let listener: Listener
let destination: VfioDevice
/** How each connection ended, one line each. */
let lines: string[]
/** Settles when all connections so far have ended. */
let served: Promise<unknown>[]

beforeEach(async () => {
  before = activeResources()
  folder = mkdtempSync(join(tmpdir(), 'faults-'))
  destination = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES }))
  lines = []
  served = []
  const receiver = new Receiver(destination, QUICK)
  listener = await listen(`unix:${join(folder, 'socket')}`, (connection) => {
    served.push(
      receiver.accept(connection).then(
        (report) => lines.push(`accepted ${report?.owner ?? 'a question'}`),
        (error: VfioError) => lines.push(`${error.code} ${error.message}`),
      ),
    )
  })
})

/** Whatever came before: the next one is served. */
afterEach(async () => {
  await Promise.all(served)
  expect(await destination.state(), 'untouched, or reset and parked').not.toBe(DeviceState.RESUMING)
  for (const line of lines) expect(line).not.toContain('\n')
  const source = await VfioDevice.open(
    createBulk({ memoryBytes: MEMORY_BYTES, seed: 1, workload: { pagesPerSecond: 2000 } }),
  )
  const report = await migrate(source, await connect(listener.url))
  expect(report.owner).toBe('destination')
  expect(await destination.state()).toBe(DeviceState.RUNNING)
  await Promise.all(served)
  await source.close()
  await destination.close()
  await listener.close()
  rmSync(folder, { recursive: true })
  await expectResources(before)
})

/** A migration that must be refused: the source never leaves RUNNING. The refusal in one line. */
async function refused(
  driver: Parameters<typeof VfioDevice.open>[0],
  identity: Partial<DeviceIdentity> = {},
): Promise<string> {
  const recorder = new DeviceRecorder()
  const device = await VfioDevice.open(recorder.wrap('source', driver))
  const posing: MigrationDevice = new Proxy(device, {
    get: (target, name) => {
      if (name === 'identity') return { ...target.identity, ...identity }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
  const failure = await migrate(posing, await connect(listener.url)).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(MigrationError)
  expect((failure as MigrationError).report.owner).toBe('source')
  expect(recorder.log, 'no arc was ever taken').toEqual([])
  await device.close()
  expect((failure as MigrationError).message).not.toContain('\n')
  return (failure as MigrationError).message
}

/** A connection on the level of frames. */
class Peer {
  readonly id: string = newMigrationId()
  readonly connection: Connection
  readonly reader: FrameReader
  readonly writer: FrameWriter

  constructor(connection: Connection) {
    this.connection = connection
    this.reader = new FrameReader(connection)
    this.writer = new FrameWriter(connection)
  }

  static async open(): Promise<Peer> {
    return new Peer(await connect(listener.url))
  }

  async hello(change: Partial<Hello> = {}): Promise<Frame | undefined> {
    const streams = [{ identity: destination.identity }]
    const hello: Hello = {
      versions: [1, 1],
      streams,
      memory: false,
      connections: 1,
      finalState: 'RUNNING',
      ...change,
    }
    await this.writer.message(this.id, { type: MessageType.HELLO, payload: encodeHello(hello) })
    return this.reader.next()
  }

  /** What is said until the connection ends. */
  async rest(): Promise<string[]> {
    const said: string[] = []
    try {
      for (let frame = await this.reader.next(); frame !== undefined; frame = await this.reader.next()) {
        said.push(messageName(frame.type))
        if (frame.type === MessageType.FAILED || frame.type === MessageType.REFUSED) break
      }
    } catch {
      // It was given up there.
    }
    await this.connection.cancel()
    await Promise.all(served)
    return said
  }
}

describe('a source that does not fit is refused before it stops', () => {
  it('by its type', async () => {
    expect(await refused(createMtty())).toMatch(/the source's device is a "mtty" and the one here a "bulk"/)
  })

  it('by the version of its state', async () => {
    const bulk = createBulk({ memoryBytes: MEMORY_BYTES })
    expect(await refused(bulk, { version: 99 })).toMatch(
      /has state version 99 and the one here loads 1 to \d/,
    )
  })

  it('by its fingerprint', async () => {
    const bulk = createBulk({ memoryBytes: MEMORY_BYTES })
    expect(await refused(bulk, { fingerprint: new Uint8Array(8) })).toMatch(/its fingerprint is another/)
  })

  it('by its size', async () => {
    expect(await refused(createBulk({ memoryBytes: 2 * MEMORY_BYTES }))).toMatch(
      /the configuration of "bulk" differs: .*131072/,
    )
  })

  it('by its kind of stream', async () => {
    const bulk = createBulk({ memoryBytes: MEMORY_BYTES })
    expect(await refused(bulk, { stream: 'opaque' })).toMatch(
      /sends a opaque stream and the one here loads a stopcopy one/,
    )
  })

  it('by the version of the hand-over', async () => {
    const peer = await Peer.open()
    const answer = await peer.hello({ versions: [2, 9] })
    expect(answer?.type).toBe(MessageType.REFUSED)
    await peer.rest()
    expect(lines).toEqual([
      expect.stringMatching(/^EOPNOTSUPP .*speaks versions 2 to 9 .* and this side 1 to 1/),
    ])
  })

  it('by the number of its devices, its memory, and a HELLO without any', async () => {
    const identity = destination.identity
    for (const [change, message] of [
      [{ streams: [{ identity }, { identity }] }, /the source has 2 devices and this side 1/],
      [{ memory: true }, /sends its guest memory and this side has none/],
      [{ streams: [] }, /malformed streams or connections/],
      [{ connections: 0 }, /malformed streams or connections/],
      [{ connections: 1000 }, /malformed connections/],
    ] as const) {
      const peer = await Peer.open()
      expect((await peer.hello(change))?.type).toBe(MessageType.REFUSED)
      await peer.rest()
      expect(lines.pop()).toMatch(message)
    }
  })
})

/** Settles when nothing of the socket is left, however that came: a peer that is cut may see an error first. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

/** Sends bytes over a socket of its own, and waits until the receiver ends it. */
async function raw(bytes: Uint8Array | string): Promise<void> {
  const socket = connectSocket(join(folder, 'socket'))
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.write(bytes)
  socket.resume()
  await closed(socket)
  await Promise.all(served)
}

describe('a peer that does not speak the protocol is cut', () => {
  it('after garbage', async () => {
    await raw(Uint8Array.from({ length: 4096 }, (_, at) => (at * 37 + 11) & 255))
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*does not speak the migration protocol/)])
  })

  it('after an HTTP request', async () => {
    await raw(`GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n`)
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*connect to a stopcopy receiver/)])
  })

  it('after a header that claims far too much', async () => {
    const [header] = encodeMessage(newMigrationId(), { type: MessageType.HELLO }) as [Uint8Array]
    const { crc32cOfBytes } = await import('../../src/format/index.ts')
    for (const payloadBytes of [256 * 1024 + 1, 0xffff_ffff]) {
      const view = new DataView(header.buffer)
      view.setUint32(28, payloadBytes, true)
      view.setUint32(60, crc32cOfBytes(header.subarray(0, 60)), true)
      await raw(header)
      expect(lines.pop()).toMatch(new RegExp(`^EMSGSIZE .*HELLO announces ${payloadBytes} bytes`))
    }
    await raw(encodeDataHeader(newMigrationId(), 0, 0, 0xffff_ffff))
    expect(lines.pop()).toMatch(/^EMSGSIZE .*DATA announces 4294967295 bytes/)
  })

  it('after a HELLO that is no JSON, or damaged', async () => {
    const payload = new TextEncoder().encode('{"versions": [1, 1], ')
    const frame = Buffer.concat(encodeMessage(newMigrationId(), { type: MessageType.HELLO, payload }))
    await raw(frame)
    expect(lines.pop()).toMatch(/^EPROTO .*/)
    frame[70] = (frame[70] as number) ^ 1
    await raw(frame)
    expect(lines.pop()).toMatch(/^EBADMSG .*HELLO has a wrong checksum/)
  })

  it('when it drips a byte each 100 ms', async () => {
    const socket = connectSocket(join(folder, 'socket'))
    await once(socket, 'connect')
    socket.on('error', () => {})
    const [header] = encodeMessage(newMigrationId(), { type: MessageType.HELLO }) as [Uint8Array]
    let at = 0
    const drip = setInterval(() => socket.write(header.subarray(at, ++at)), 100)
    socket.resume()
    await closed(socket)
    clearInterval(drip)
    await Promise.all(served)
    expect(lines).toEqual([expect.stringMatching(/^ETIMEDOUT .*did not say what it wants in time/)])
  })

  it('when it drips after a good HELLO: it is no source that is alive', async () => {
    const peer = await Peer.open()
    expect((await peer.hello())?.type).toBe(MessageType.WELCOME)
    const [header] = encodeMessage(peer.id, { type: MessageType.PING }) as [Uint8Array]
    let at = 0
    const drip = setInterval(() => {
      void Promise.resolve(peer.connection.write([header.subarray(at, ++at)])).catch(() => {})
    }, 50)
    expect(await peer.rest()).toEqual(['FAILED'])
    clearInterval(drip)
    expect(lines).toEqual([expect.stringMatching(/^ETIMEDOUT .*the source went silent/)])
  })

  it('while 100 of them are idle', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const socket: Socket = connectSocket(join(folder, 'socket'))
        await once(socket, 'connect')
        socket.on('error', () => {})
        socket.resume()
        return socket
      }),
    )
    // In the meantime a good one is served.
    const source = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES, seed: 3 }))
    expect((await migrate(source, await connect(listener.url))).owner).toBe('destination')
    await source.close()
    await destination.setState(DeviceState.STOP)
    for (const socket of sockets) await closed(socket)
    await Promise.all(served)
    expect(lines.filter((line) => line.startsWith('ETIMEDOUT'))).toHaveLength(100)
  })
})

describe('a peer with a wrong certificate is refused before the source stops', () => {
  it('whichever end it is at, and the good one is served', async () => {
    const [ours, others] = ['ours', 'others'].map((name) => new TestAuthority(folder, name)) as [
      TestAuthority,
      TestAuthority,
    ]
    const failed: string[] = []
    const safe = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES }))
    const receiver = new Receiver(safe, QUICK)
    const secure = await listen(
      'tls:127.0.0.1:0',
      (connection) => {
        served.push(receiver.accept(connection).catch((error: VfioError) => failed.push(error.message)))
      },
      {
        tls: { ...ours.issue('IP:127.0.0.1'), ca: ours.cert, requestClientCert: true },
        // One that leaves inside its handshake is held for so long.
        handshakeTimeoutMs: 1000,
        onRefused: (error) => failed.push(error.message),
      },
    )
    const attempt = async (tls: TlsOptions): Promise<unknown> => {
      const recorder = new DeviceRecorder()
      const device = await VfioDevice.open(recorder.wrap('source', createBulk({ memoryBytes: MEMORY_BYTES })))
      try {
        const report = await migrate(device, await connect(secure.url, { tls }))
        return report.owner
      } catch (error) {
        expect(recorder.log, `no arc was ever taken: ${String(error)}`).toEqual([])
        expect(String(error)).not.toContain('\n')
        return error
      } finally {
        await device.close()
      }
    }
    const client = ours.issue('DNS:source')
    // The listener is not who it says.
    expect(VfioError.is(await attempt({ ca: others.cert, ...client }), 'EPERM')).toBe(true)
    // The source is nobody that the listener knows, or does not say who it is.
    for (const tls of [{ ca: ours.cert, ...others.issue('DNS:source') }, { ca: ours.cert }]) {
      expect(VfioError.is(await attempt(tls))).toBe(true)
    }
    expect(failed.length).toBeGreaterThanOrEqual(2)
    expect(await attempt({ ca: ours.cert, ...client })).toBe('destination')
    await Promise.all(served)
    await safe.close()
    await secure.close()
  })
})

describe('a peer that breaks the protocol ends its migration', () => {
  it('by data before WELCOME', async () => {
    const peer = await Peer.open()
    await peer.writer.data(peer.id, { index: 0, position: 0, byteLength: 8 }, [new Uint8Array(8)])
    await peer.rest()
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*data came before HELLO/)])
  })

  it('by data of a device that was not offered, or out of place', async () => {
    for (const [index, position, message] of [
      [7, 0, /data of device 7, which was not offered/],
      [0, 4096, /byte 0 of a stream was due and byte 4096 came/],
    ] as const) {
      const peer = await Peer.open()
      await peer.hello()
      await peer.writer.data(peer.id, { index, position, byteLength: 8 }, [new Uint8Array(8)])
      expect(await peer.rest()).toEqual(['FAILED'])
      expect(lines.pop()).toMatch(message)
    }
  })

  it('by bytes that are no stream', async () => {
    const peer = await Peer.open()
    await peer.hello()
    await peer.writer.data(peer.id, { index: 0, position: 0, byteLength: 4096 }, [new Uint8Array(4096)])
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^E\w+ Cannot /)])
  })

  it('by END with other totals, another digest or other devices', async () => {
    const digest = '00'.repeat(8)
    for (const [streams, message] of [
      [[{ bytes: 5, digest }], /0 bytes came and the source sent 5/],
      [[{ bytes: 0, digest: '01'.repeat(8) }], /its digest is not the one of the source/],
      [[], /END tells of another number of devices/],
    ] as const) {
      const peer = await Peer.open()
      await peer.hello()
      await peer.writer.message(peer.id, { type: MessageType.END, payload: encodeEnd({ streams }) })
      expect(await peer.rest()).toEqual(['FAILED'])
      expect(lines.pop()).toMatch(message)
    }
  })

  it('by an END before the whole stream: its device says what is missing', async () => {
    const peer = await Peer.open()
    await peer.hello()
    const payload = encodeEnd({ streams: [{ bytes: 0, digest: '00'.repeat(8) }] })
    await peer.writer.message(peer.id, { type: MessageType.END, payload })
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^E\w+ Cannot /)])
  })

  it('by COMMIT before READY: nothing starts', async () => {
    const peer = await Peer.open()
    await peer.hello()
    await peer.writer.message(peer.id, { type: MessageType.COMMIT })
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*COMMIT came before READY/)])
  })

  it('by a message of another id', async () => {
    const peer = await Peer.open()
    await peer.hello()
    await peer.writer.message(newMigrationId(), { type: MessageType.PING })
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*a message of another migration came/)])
  })

  it('by what only a destination sends', async () => {
    const peer = await Peer.open()
    await peer.hello()
    await peer.writer.message(peer.id, { type: MessageType.RUNNING })
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*only this side sends/)])
  })

  it('by sending more than it announced', async () => {
    const bulk = createBulk({ memoryBytes: MEMORY_BYTES, seed: 5 })
    const device = await VfioDevice.open(bulk)
    const session = await device.setState(DeviceState.STOP_COPY)
    const stream = new Uint8Array(MEMORY_BYTES * 2)
    let length = 0
    for (let read = -1; read !== 0; length += read) read = session?.read(stream.subarray(length)) ?? 0
    const peer = await Peer.open()
    await peer.hello()
    // A whole stream, and then some more.
    const bytes = stream.subarray(0, length + 8)
    await peer.writer.data(peer.id, { index: 0, position: 0, byteLength: bytes.length }, [bytes])
    expect(await peer.rest()).toEqual(['FAILED'])
    expect(lines).toEqual([expect.stringMatching(/^E\w+ Cannot /)])
    await device.close()
  })

  it('by ATTACH to a migration that is not there', async () => {
    const peer = await Peer.open()
    await peer.writer.message(peer.id, { type: MessageType.ATTACH, index: 1 })
    await peer.rest()
    expect(lines).toEqual([expect.stringMatching(/^EPROTO .*belongs to no migration here/)])
  })

  it('by asking for the outcome of one that never was: that decides nothing', async () => {
    const peer = await Peer.open()
    await peer.writer.message(peer.id, { type: MessageType.COMMIT })
    expect(messageName((await peer.reader.next())?.type ?? 0)).toBe('UNKNOWN')
    await peer.connection.cancel()
    await Promise.all(served)
    expect(lines).toHaveLength(1)
  })
})
