/** Sessions of a client: what is asked when, what is kept, and when a session is over. */

import { describe, expect, it } from 'vitest'
import { DeviceState, type MigrationSession, restore, save } from '../../../src/index.ts'
import { byteSink, byteSource } from '../../../src/transport/index.ts'
import { POLLIN, POLLOUT } from '../../../src/uapi/index.ts'
import { VfioUserClient, type VfioUserClientOptions, VfioUserCommand } from '../../../src/vfio-user/index.ts'
import { type Handler, LibvfioUser, ScriptedServer } from '../../support/scripted-vfio-user.ts'

const { RUNNING, STOP, STOP_COPY, RESUMING, PRE_COPY } = DeviceState
const { MIG_DATA_READ, MIG_DATA_WRITE } = VfioUserCommand

function pattern(byteLength: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: byteLength }, (_, at) => (at * 31 + (at >> 8)) & 0xff))
}

async function connected(
  device: ConstructorParameters<typeof LibvfioUser>[0] = {},
  options: VfioUserClientOptions = {},
  handler?: Handler,
): Promise<{ server: ScriptedServer; client: VfioUserClient }> {
  const server = new ScriptedServer(handler, new LibvfioUser(device))
  const client = await VfioUserClient.connect(server.connection, options)
  server.asked.length = 0
  return { server, client }
}

async function readAll(session: MigrationSession, pieceBytes = 777): Promise<Buffer> {
  const parts: Buffer[] = []
  for (;;) {
    const dst = Buffer.alloc(pieceBytes)
    const count = await session.read(dst)
    if (count === 0) return Buffer.concat(parts)
    parts.push(dst.subarray(0, count))
  }
}

/** Turns of the event loop: whatever can happen without time passing has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a saving session', () => {
  it.each([
    ['padded', Infinity],
    ['short and padded', 1000],
    ['a byte at a time', 1],
  ])('reads replies that are %s to the end', async (_, step) => {
    const data = pattern(step === 1 ? 50 : 10_000)
    const { client } = await connected({ data, step }, { readBytes: 4096 })
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    expect(data.equals(await readAll(session))).toBe(true)
    expect(await session.read(new Uint8Array(1))).toBe(0)
    expect(await session.lease(1)).toHaveLength(0)
    await client.setState(STOP)
    expect(() => session.read(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'ENODEV' }))
    await client.close()
  })

  it('takes trimmed replies, too', async () => {
    const trim: Handler = (request) => {
      if (request.header.command !== MIG_DATA_READ) return undefined
      const answer = server.device.answer(request) as { payload?: Buffer }
      const { payload } = answer
      return payload === undefined ? answer : { payload: payload.subarray(0, 8 + payload.readUInt32LE(4)) }
    }
    const data = pattern(5000)
    const { client, server } = await connected({ data, step: 700 }, {}, trim)
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    expect(data.equals(await readAll(session))).toBe(true)
    await client.close()
  })

  it('asks for nothing before it is read, for one reply until it is full, and then ahead within bounds', async () => {
    let held = false
    const { client, server } = await connected(
      { data: pattern(100_000) },
      { readBytes: 1000, outstanding: 5 },
      ({ header }) => (held && header.command === MIG_DATA_READ ? 'silence' : undefined),
    )
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    await turns()
    expect(server.asked).toEqual(['set state 3'])
    expect(await session.lease(400)).toHaveLength(400)
    await turns()
    // One was taken in part; with it, five and five more are ahead.
    expect(server.asked.filter((name) => name === 'MIG_DATA_READ')).toHaveLength(10)
    held = true
    expect(await session.lease(10_000)).toHaveLength(600)
    await turns()
    expect(server.asked.filter((name) => name === 'MIG_DATA_READ')).toHaveLength(11)
    await client.close()
  })

  it('hands out receive buffers, a bounded number of them, which outlive it', async () => {
    const data = pattern(8 << 20)
    const { client } = await connected(
      { data },
      { readBytes: 1 << 20, maxDataBytes: 1 << 20, outstanding: 2 },
    )
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    const leases: Uint8Array[] = []
    const refusal = await (async () => {
      try {
        for (;;) leases.push(await session.lease(1 << 20))
      } catch (error) {
        return error
      }
    })()
    expect(refusal).toMatchObject({ code: 'EAGAIN' })
    expect(leases.length).toBeLessThanOrEqual(7)
    expect(leases.length).toBeGreaterThanOrEqual(3)
    expect(await session.poll()).toBe(0)
    expect(() => session.read(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    const ready = session.ready(POLLIN)
    await session.release()
    expect((await ready) & POLLIN).toBe(POLLIN)
    expect(await session.lease(10)).toHaveLength(10)
    await client.setState(STOP)
    expect(Buffer.concat(leases.slice(1)).equals(data.subarray(1 << 20, leases.length << 20))).toBe(true)
    for (let count = leases.length; count > 0; count--) await session.release()
    expect(() => session.release()).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    await client.close()
  })

  it('is ENOMSG in PRE_COPY when there is nothing, and asks again for whoever waits', async () => {
    const { client, server } = await connected({ data: pattern(3000), early: 1200 }, { readBytes: 1000 })
    const session = (await client.setState(PRE_COPY)) as MigrationSession
    const first = Buffer.alloc(1000)
    expect(await session.read(first)).toBe(1000)
    expect(await session.read(Buffer.alloc(1000))).toBe(200)
    await expect(async () => session.read(first)).rejects.toMatchObject({ code: 'ENOMSG' })
    expect(await session.poll()).toBe(0)
    const before = server.asked.length
    await turns()
    expect(server.asked).toHaveLength(before)
    const ready = session.ready(POLLIN)
    server.device.early = 1700
    expect((await ready) & POLLIN).toBe(POLLIN)
    expect(await session.read(Buffer.alloc(1000))).toBe(500)
    await expect(async () => session.lease(9)).rejects.toMatchObject({ code: 'ENOMSG' })
    const stopped = session.ready(POLLIN)
    expect(await client.setState(STOP_COPY)).toBe(undefined)
    expect((await stopped) & POLLIN).toBe(POLLIN)
    expect((await readAll(session)).length).toBe(1300)
    await client.close()
  })

  it('keeps what was asked for ahead over the way into STOP_COPY, after it came', async () => {
    const data = pattern(20_000)
    const { client, server } = await connected({ data, early: 16_000 }, { readBytes: 1000, outstanding: 4 })
    const session = (await client.setState(PRE_COPY)) as MigrationSession
    const parts = [Buffer.alloc(1000)]
    expect(await session.read(parts[0] as Buffer)).toBe(1000)
    // Requests are under way now; the SET goes out behind their replies.
    await client.setState(STOP_COPY)
    const at = server.asked.indexOf('set state 3')
    expect(server.asked.slice(0, at).filter((name) => name === 'MIG_DATA_READ').length).toBeGreaterThan(1)
    expect(data.equals(Buffer.concat([...parts, await readAll(session, 333)]))).toBe(true)
    await client.close()
  })

  it('serves readers that wait in the order they came', async () => {
    const data = pattern(5000)
    const { client } = await connected({ data }, { readBytes: 1000 })
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    const buffers = Array.from({ length: 6 }, () => Buffer.alloc(1000))
    const counts = await Promise.all(buffers.map(async (buffer) => session.read(buffer)))
    expect(counts).toEqual([1000, 1000, 1000, 1000, 1000, 0])
    expect(Buffer.concat(buffers.slice(0, 5)).equals(data)).toBe(true)
    await client.close()
  })

  it('gives what came before a failure, and then the failure', async () => {
    let reads = 0
    const { client } = await connected(
      { data: pattern(9000) },
      { readBytes: 1000, outstanding: 3 },
      ({ header }) => {
        if (header.command !== MIG_DATA_READ) return undefined
        return ++reads === 3 ? { errno: 5 } : undefined
      },
    )
    const session = (await client.setState(STOP_COPY)) as MigrationSession
    expect(await session.read(Buffer.alloc(1000))).toBe(1000)
    expect(await session.read(Buffer.alloc(1000))).toBe(1000)
    for (let time = 0; time < 2; time++)
      await expect(async () => session.read(Buffer.alloc(9))).rejects.toMatchObject({ code: 'EIO' })
    await client.setState(RUNNING)
    await client.close()
  })
})

describe('a resuming session', () => {
  it('gathers windows into full messages and sends the rest when RESUMING is left', async () => {
    const { client, server } = await connected({}, { writeBytes: 1000 })
    const session = (await client.setState(RESUMING)) as MigrationSession
    const data = pattern(3333)
    for (let at = 0; at < data.length;) {
      const window = await session.window(300)
      const part = data.subarray(at, at + window.length)
      window.set(part)
      await session.commit(part.length)
      at += part.length
    }
    await turns()
    expect(server.device.loaded.map(({ length }) => length)).toEqual([1000, 1000, 1000])
    await client.setState(STOP)
    expect(data.equals(Buffer.concat(server.device.loaded))).toBe(true)
    expect(session.ended.aborted).toBe(true)
    await client.close()
  })

  it('sends a write behind what was gathered, at most 32 KiB a message, and waits for the answer', async () => {
    const { client, server } = await connected()
    const session = (await client.setState(RESUMING)) as MigrationSession
    const window = await session.window(10)
    expect(() => session.window(1)).toThrow(expect.objectContaining({ code: 'EBUSY' }))
    await expect(session.write(pattern(1))).rejects.toMatchObject({ code: 'EBUSY' })
    await expect(client.setState(STOP)).rejects.toMatchObject({ code: 'EBUSY', state: RESUMING })
    window.set(pattern(10))
    await session.commit(10)
    expect(await session.write(pattern(70_000))).toBe(70_000)
    expect(server.device.loaded.map(({ length }) => length)).toEqual([10, 32_768, 32_768, 4464])
    await client.close()
  })

  it('has a bounded number of messages under way, and a window again after an answer', async () => {
    const held: (() => void)[] = []
    const { client, server } = await connected({}, { writeBytes: 100, outstanding: 2 }, ({ header }) =>
      header.command === MIG_DATA_WRITE
        ? new Promise((resolve) => held.push(() => resolve(undefined)))
        : undefined,
    )
    const session = (await client.setState(RESUMING)) as MigrationSession
    for (let count = 0; count < 3; count++) await session.commit((await session.window(100)).length)
    expect(await session.poll()).toBe(0)
    const next = session.window(100) as Promise<Uint8Array>
    const ready = session.ready(POLLOUT)
    await turns()
    expect(held).toHaveLength(1)
    held.shift()?.()
    expect((await ready) & POLLOUT).toBe(POLLOUT)
    expect(await next).toHaveLength(100)
    await turns()
    expect(server.device.loaded).toHaveLength(1)
    expect(server.asked.filter((name) => name === 'MIG_DATA_WRITE')).toHaveLength(2)
    await client.close()
  })

  it('remembers a failed write: the arc tells it once, and is then EINVAL', async () => {
    const { client } = await connected({}, { writeBytes: 100 }, ({ header }) =>
      header.command === MIG_DATA_WRITE ? { errno: 74 } : undefined,
    )
    const session = (await client.setState(RESUMING)) as MigrationSession
    await session.commit((await session.window(50)).length)
    await expect(client.setState(STOP)).rejects.toMatchObject({ code: 'EBADMSG', state: RESUMING })
    await expect(client.setState(STOP)).rejects.toMatchObject({ code: 'EINVAL', state: RESUMING })
    await expect(session.write(pattern(9))).rejects.toMatchObject({ code: 'EBADMSG' })
    await client.close()
  })
})

describe('save and restore', () => {
  it('carry a foreign device from one libvfio-user server to another', async () => {
    const data = pattern(300_000)
    const source = await connected({ data, early: 5 })
    const chunks: Uint8Array[] = []
    const sink = new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk.slice()) })
    await save(source.client, byteSink(sink))
    const there = await connected()
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk)
        controller.close()
      },
    })
    await restore(there.client, byteSource(stream))
    expect(data.equals(Buffer.concat(there.server.device.loaded))).toBe(true)
    expect(there.server.device.state).toBe(RUNNING)
    await source.client.close()
    await there.client.close()
  })
})
