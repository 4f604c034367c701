/** What a client makes of replies: of servers as they are, of broken ones, and of none. */

import { describe, expect, it } from 'vitest'
import { DeviceState } from '../../../src/index.ts'
import { VfioUserClient, type VfioUserClientOptions, VfioUserCommand } from '../../../src/vfio-user/index.ts'
import { encodeVersion } from '../../../src/vfio-user/version.ts'
import {
  type Answer,
  featureOf,
  type Handler,
  LibvfioUser,
  message,
  type Request,
  ScriptedServer,
} from '../../support/scripted-vfio-user.ts'

const { STOP, STOP_COPY, RUNNING, RUNNING_P2P } = DeviceState

/** A server that answers as libvfio-user until it is told otherwise, and its client. */
async function connected(
  handler: (request: Request) => Answer | undefined,
  options: VfioUserClientOptions = {},
): Promise<{ server: ScriptedServer; client: VfioUserClient }> {
  let isConnected = false
  const server = new ScriptedServer((request) => (isConnected ? handler(request) : undefined))
  const client = await VfioUserClient.connect(server.connection, options)
  isConnected = true
  return { server, client }
}

function connectTo(handler: Handler, options: VfioUserClientOptions = {}): Promise<VfioUserClient> {
  return VfioUserClient.connect(new ScriptedServer(handler).connection, options)
}

/** Answers VERSION with a payload. */
function version(payload: Uint8Array): Handler {
  return ({ header }) => (header.command === VfioUserCommand.VERSION ? { payload } : undefined)
}

function shortened(bytes: Buffer, byteLength: number): Buffer {
  bytes.writeUInt32LE(byteLength, 4)
  return bytes
}

function data(size: number, byteLength: number): Buffer {
  const payload = Buffer.alloc(8 + byteLength)
  payload.writeUInt32LE(8 + size, 0)
  payload.writeUInt32LE(size, 4)
  return payload
}

describe('an error reply', () => {
  it.each<[number, string, number]>([
    [0, 'EINVAL', -22],
    [22, 'EINVAL', -22],
    [19, 'ENODEV', -19],
    [4096, 'UNKNOWN', -4096],
    [4097, 'EINVAL', -22],
    [0xbeef, 'EINVAL', -22],
    [0xffff_ffff, 'EINVAL', -22],
    [121, 'UNKNOWN', -121],
  ])('with errno %i is %s', async (errno, code, number) => {
    const { client } = await connected(({ header }) =>
      header.command === VfioUserCommand.REGION_READ ? { errno } : undefined,
    )
    await expect(client.readRegion(0, 0, new Uint8Array(4))).rejects.toMatchObject({ code, errno: number })
    await client.close()
  })

  it('with a payload is consumed: a failed SET, a failed region access', async () => {
    const { client, server } = await connected(() => undefined)
    await expect(client.setState(RUNNING_P2P)).rejects.toMatchObject({ code: 'EINVAL', state: RUNNING })
    await expect(client.readRegion(9, 0, new Uint8Array(300))).rejects.toMatchObject({ code: 'EINVAL' })
    await client.setState(STOP_COPY)
    await expect(client.readRegion(7, 0, new Uint8Array(64))).rejects.toMatchObject({ code: 'EINVAL' })
    expect(await client.state()).toBe(STOP_COPY)
    expect(server.asked.slice(-2)).toEqual(['REGION_READ', 'get state'])
    await client.close()
  })
})

describe('a connection is given up with EPROTO', () => {
  it.each<[string, (request: Request) => Answer]>([
    ['a reply nobody asked for', ({ header }) => ({ raw: message(header.id ^ 1, header.command, 1, 0) })],
    ['a reply to another command', ({ header }) => ({ raw: message(header.id, header.command + 1, 1, 0) })],
    [
      'a message that is neither command nor reply',
      ({ header }) => ({ raw: message(header.id, header.command, 2, 0) }),
    ],
    ['a reply that is too short', () => ({ payload: Buffer.alloc(19) })],
    ['a reply that is too long', () => ({ payload: Buffer.alloc(21) })],
    ['no payload', () => ({})],
    [
      'a header of less than itself',
      ({ header }) => ({ raw: shortened(message(header.id, header.command, 1, 0), 15) }),
    ],
    [
      'a message of 4 GiB',
      ({ header }) => ({ raw: shortened(message(header.id, header.command, 1, 0), 2 ** 32 - 1) }),
    ],
  ])('after %s', async (_, answer) => {
    const { client } = await connected((request) =>
      request.header.command === VfioUserCommand.REGION_READ ? answer(request) : undefined,
    )
    const session = await client.setState(STOP_COPY)
    await expect(client.readRegion(0, 0, new Uint8Array(4))).rejects.toMatchObject({ code: 'EPROTO' })
    await expect(client.state()).rejects.toMatchObject({ code: 'EPROTO' })
    expect(session!.ended.reason).toMatchObject({ code: 'EPROTO' })
    await client.close()
  })

  it.each<[string, (size: number) => Buffer]>([
    ['more data than was asked for', (size) => data(size + 1, size)],
    ['more data than it has', () => data(9, 8)],
  ])('after a MIG_DATA_READ reply of %s', async (_, reply) => {
    const { client } = await connected(({ header, payload }) =>
      header.command === VfioUserCommand.MIG_DATA_READ
        ? { payload: reply(payload.readUInt32LE(4)) }
        : undefined,
    )
    const session = await client.setState(STOP_COPY)
    await expect(session!.read(new Uint8Array(9))).rejects.toMatchObject({ code: 'EPROTO' })
    await client.close()
  })

  it('but not after a reply that only makes no sense', async () => {
    const { client } = await connected((request) => {
      if (featureOf(request)?.feature !== 2) return undefined
      const payload = Buffer.from(request.payload)
      payload.writeUInt32LE(9, 8)
      return { payload }
    })
    await expect(client.state()).rejects.toMatchObject({ code: 'EPROTO' })
    await client.readRegion(0, 0, new Uint8Array(4))
    await client.close()
  })
})

describe('a server that', () => {
  it('vanishes leaves ECONNRESET to every call under way and every later one, and ends the session', async () => {
    const { client, server } = await connected(({ header }) =>
      header.command === VfioUserCommand.REGION_READ || header.command === VfioUserCommand.MIG_DATA_READ
        ? 'silence'
        : undefined,
    )
    const session = await client.setState(STOP_COPY)
    const underWay = [
      client.readRegion(0, 0, new Uint8Array(4)),
      client.readRegion(0, 0, new Uint8Array(4)),
      Promise.resolve(session!.lease(100)),
      session!.ready(0x4),
    ]
    const outcomes = Promise.allSettled(underWay)
    await server.vanish()
    const [first, second, lease, ready] = await outcomes
    for (const outcome of [first, second, lease])
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ECONNRESET' } })
    expect(ready).toMatchObject({ status: 'fulfilled', value: 0x18 })
    expect(session!.ended.reason).toMatchObject({ code: 'ECONNRESET' })
    expect(() => session!.read(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'ECONNRESET' }))
    for (const call of [
      () => client.state(),
      () => client.setState(STOP),
      () => client.reset(),
      () => client.migrationFlags(),
      () => client.regionInfo(0),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'ECONNRESET' })
    await client.close()
    await expect(client.state()).rejects.toMatchObject({ code: 'EBADF' })
  })

  it('does not answer is ETIMEDOUT, which names the command', async () => {
    const { client } = await connected(({ header }) => (header.command === 13 ? 'silence' : undefined), {
      requestTimeoutMs: 300,
    })
    await expect(client.reset()).rejects.toThrow(
      expect.objectContaining({ code: 'ETIMEDOUT', message: expect.stringContaining('DEVICE_RESET') }),
    )
    await expect(client.state()).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    await client.close()
  })

  it('says nothing of version, ids or identity that can be used is refused', async () => {
    const said = (fields: object) =>
      version(encodeVersion({ major: 0, minor: 2, capabilities: {}, ...fields }))
    await expect(connectTo(said({ major: 1 }))).rejects.toMatchObject({ code: 'EPROTO' })
    await expect(connectTo(said({ minor: 3 }))).rejects.toMatchObject({ code: 'EPROTO' })
    const nothing = { max_data_xfer_size: 0 }
    await expect(connectTo(said({ capabilities: nothing }))).rejects.toMatchObject({ code: 'EPROTO' })
    await expect(connectTo(version(Buffer.from('000002007b7d', 'hex')))).rejects.toMatchObject({
      code: 'EINVAL',
    })
    await expect(
      connectTo(({ header }) => (header.command === 1 ? { errno: 22 } : undefined)),
    ).rejects.toMatchObject({ code: 'EINVAL' })
  })

  it('says only a version is taken at the defaults', async () => {
    const client = await connectTo(version(Buffer.from('00000100', 'hex')))
    expect(client.server.version).toEqual({ major: 0, minor: 1 })
    expect(client.server).toMatchObject({
      maxDataBytes: 1_048_576,
      isStopcopy: false,
      flags: 5,
      state: RUNNING,
    })
    expect(client.server.regions.map(({ size }) => Number(size))).toEqual([
      256, 16_384, 0, 0, 0, 0, 0, 256, 0,
    ])
    expect(client.server.irqs).toHaveLength(5)
    await client.close()
  })

  const named = {
    type: 'x',
    version: 1,
    fingerprint: '0011223344556677',
    stream: 'opaque',
    configuration: '0000',
  }
  it.each<[string, object]>([
    ['type', { type: '' }],
    ['type', { type: 'x'.repeat(49) }],
    ['version', { version: 0 }],
    ['version', { version: 1.5 }],
    ['fingerprint', { fingerprint: '00112233445566' }],
    ['fingerprint', { fingerprint: '001122334455667G' }],
    ['stream', { stream: 'other' }],
    ['configuration', { configuration: '000' }],
    ['configuration', { configuration: '01' }],
    ['configuration', { configuration: 7 }],
  ])('names a device with a malformed %s is EPROTO', async (_, wrong) => {
    const capabilities = { stopcopy: { ...named, ...wrong } }
    const server = version(encodeVersion({ major: 0, minor: 2, capabilities }))
    await expect(connectTo(server)).rejects.toMatchObject({ code: 'EPROTO' })
    const right = version(encodeVersion({ major: 0, minor: 2, capabilities: { stopcopy: named } }))
    const client = await connectTo(right)
    expect(client.identity).toMatchObject({ type: 'x', version: 1, stream: 'opaque', configuration: {} })
    expect(client.server.isStopcopy).toBe(true)
    await client.close()
  })

  it('says nothing while its device is stopped needs an identity, and then can be used', async () => {
    const stopped = new LibvfioUser()
    stopped.state = STOP
    const first = new ScriptedServer(undefined, stopped)
    await expect(VfioUserClient.connect(first.connection)).rejects.toMatchObject({ code: 'EBUSY' })
    const second = new ScriptedServer(undefined, stopped)
    const identity = { type: 'pci-dead:beef', configuration: { vendor: 0xdead } }
    const client = await VfioUserClient.connect(second.connection, { identity })
    expect(client.identity).toMatchObject({ ...identity, version: 1, stream: 'opaque' })
    expect(client.server.info).toBe(undefined)
    await client.setState(RUNNING)
    expect((await client.regionInfo(1)).size).toBe(16_384n)
    await client.close()
  })

  it('takes an aborted signal for ECANCELED', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(connectTo(() => undefined, { signal })).rejects.toMatchObject({ code: 'ECANCELED' })
    const controller = new AbortController()
    const late = connectTo(() => (controller.abort(), 'silence'), { signal: controller.signal })
    await expect(late).rejects.toMatchObject({ code: 'ECANCELED' })
  })
})
