/** What a client sends, and what it never does: resets, DMA, logging, the order of commands. */

import { describe, expect, it } from 'vitest'
import { DeviceState, type DmaRange, VfioError } from '../../../src/index.ts'
import {
  type DmaMemory,
  VfioUserClient,
  type VfioUserClientOptions,
  VfioUserCommand,
} from '../../../src/vfio-user/index.ts'
import { type Handler, LibvfioUser, ScriptedServer } from '../../support/scripted-vfio-user.ts'

const { STOP, STOP_COPY, RUNNING, RESUMING, PRE_COPY } = DeviceState

async function connected(
  options: VfioUserClientOptions = {},
  handler?: Handler,
  device?: LibvfioUser,
): Promise<{ server: ScriptedServer; client: VfioUserClient }> {
  const server = new ScriptedServer(handler, device)
  const client = await VfioUserClient.connect(server.connection, options)
  server.asked.length = 0
  return { server, client }
}

function memory(bytes: Buffer): DmaMemory {
  const check = (iova: bigint, byteLength: number): number => {
    if (iova + BigInt(byteLength) <= BigInt(bytes.length)) return Number(iova)
    throw new VfioError('EFAULT', 'Cannot reach memory: there is none, map it')
  }
  return {
    read: (iova, dst) => void bytes.copy(dst, 0, check(iova, dst.length)),
    async write(iova, src) {
      await Promise.resolve()
      bytes.set(src, check(iova, src.length))
    },
  }
}

function access(address: bigint, count: bigint, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const payload = Buffer.alloc(16)
  payload.writeBigUInt64LE(address, 0)
  payload.writeBigUInt64LE(count, 8)
  return Buffer.concat([payload, data])
}

describe('reset of a server that keeps the migration state', () => {
  it('in RUNNING is a reset', async () => {
    const { client, server } = await connected()
    await client.reset()
    expect(server.asked).toEqual(['DEVICE_RESET', 'get state'])
    await client.close()
  })

  it('of a source sets it RUNNING, and resets it there where it was refused before', async () => {
    for (const state of [STOP, STOP_COPY]) {
      const { client, server } = await connected()
      const session = await client.setState(state)
      server.asked.length = 0
      await client.reset()
      expect(server.asked).toEqual(['DEVICE_RESET', 'get state', 'set state 2', 'DEVICE_RESET', 'get state'])
      expect(server.device.state).toBe(RUNNING)
      if (state === STOP_COPY) expect(session!.ended.aborted).toBe(true)
      await client.close()
    }
    const { client, server } = await connected()
    const session = await client.setState(PRE_COPY)
    server.asked.length = 0
    await client.reset()
    expect(server.asked).toEqual(['DEVICE_RESET', 'get state', 'set state 2', 'get state'])
    expect(session!.ended.reason).toMatchObject({ code: 'ENODEV' })
    await client.close()
  })

  it.each([
    ['RESUMING', [RESUMING]],
    ['STOP after a load', [RESUMING, STOP]],
    ['STOP_COPY after a load', [RESUMING, STOP_COPY]],
  ])('of a destination in %s never lets it run: it is given up', async (_, way) => {
    const { client, server } = await connected()
    for (const state of way) await client.setState(state)
    const last = way.at(-1) as number
    server.asked.length = 0
    await expect(client.reset()).rejects.toMatchObject({ code: 'EIO', state: last })
    expect(server.asked).toEqual(['DEVICE_RESET', 'get state'])
    expect(server.device.state).toBe(last)
    await expect(client.setState(RUNNING)).rejects.toMatchObject({ code: 'EIO' })
    await client.close()
  })

  it('of a loaded device that was let run is one of a source', async () => {
    const { client, server } = await connected()
    for (const state of [RESUMING, STOP, RUNNING, STOP]) await client.setState(state)
    await client.reset()
    expect(server.device.state).toBe(RUNNING)
    await client.close()
  })

  it('of a device that was found stopped gives it up, since nobody knows who runs it', async () => {
    const device = new LibvfioUser()
    device.state = STOP
    const server = new ScriptedServer(undefined, device)
    const identity = { type: 'x', configuration: {} }
    const client = await VfioUserClient.connect(server.connection, { identity })
    await expect(client.reset()).rejects.toMatchObject({ code: 'EIO', state: STOP })
    expect(device.state).toBe(STOP)
    await client.close()
  })
})

describe('DMA logging', () => {
  const ranges: DmaRange[] = [{ iova: 0n, length: 65_536n }]
  const calls = (client: VfioUserClient): Promise<unknown>[] => [
    client.dmaLoggingStart({ pageSize: 4096, ranges }),
    client.dmaLoggingReport({ iova: 0n, length: 4096n, pageSize: 4096 }, new Uint8Array(8)),
    client.dmaLoggingStop(),
  ]

  it('is never spoken of to a server that might die of it', async () => {
    const { client, server } = await connected()
    for (const call of calls(client)) await expect(call).rejects.toMatchObject({ code: 'ENOTTY' })
    expect(server.asked).toEqual([])
    await client.close()
  })

  it('is ENOTTY where a probe says that there is none', async () => {
    const { client, server } = await connected({ dmaLogging: true }, ({ payload, header }) =>
      header.command === VfioUserCommand.DEVICE_FEATURE && (payload.readUInt32LE(4) & 0x4_0000) !== 0
        ? { errno: 22 }
        : undefined,
    )
    await expect(client.dmaLoggingStart({ pageSize: 4096, ranges })).rejects.toMatchObject({ code: 'ENOTTY' })
    await expect(client.dmaLoggingStop()).rejects.toMatchObject({ code: 'ENOTTY' })
    expect(server.asked).toEqual(['probe log-start'])
    await client.close()
  })

  it('goes on where memory was mapped, with reports as long as a message has room for', async () => {
    const reports: bigint[][] = []
    const { client, server } = await connected({ maxDataBytes: 48 }, ({ header, payload }) => {
      if (header.command !== VfioUserCommand.DEVICE_FEATURE) return undefined
      const flags = payload.readUInt32LE(4)
      if ((flags & 0xffff) < 6) return undefined
      if ((flags & 0xffff) !== 8 || (flags & 0x4_0000) !== 0) return { payload }
      const [iova, length] = [payload.readBigUInt64LE(8), payload.readBigUInt64LE(16)]
      reports.push([iova, length])
      const bitmap = Buffer.alloc(payload.readUInt32LE(0) - 32)
      bitmap[0] = 0x80 | reports.length
      return { payload: Buffer.concat([payload.subarray(0, 32), bitmap]) }
    })
    await client.dmaMap({ address: 0n, size: 1n << 20n })
    expect(await client.dmaLoggingStart({ pageSize: 4096, ranges })).toBe(4096)
    await expect(client.dmaLoggingStart({ pageSize: 4096, ranges })).rejects.toMatchObject({ code: 'EINVAL' })
    const bitmap = new Uint8Array(40)
    bitmap[1] = 0x55
    const pages = 256n + 3n
    await client.dmaLoggingReport({ iova: 4096n, length: pages * 4096n, pageSize: 4096 }, bitmap)
    expect(reports).toEqual([
      [4096n, 128n * 4096n],
      [4096n * 129n, 128n * 4096n],
      [4096n * 257n, 3n * 4096n],
    ])
    expect([bitmap[0], bitmap[1], bitmap[16], bitmap[32], bitmap[39]]).toEqual([0x81, 0x55, 0x82, 0x83, 0])
    const short = client.dmaLoggingReport(
      { iova: 0n, length: 65n * 4096n, pageSize: 4096 },
      new Uint8Array(8),
    )
    await expect(short).rejects.toMatchObject({ code: 'EFAULT' })
    await client.dmaLoggingStop()
    expect(server.asked).toEqual([
      'DMA_MAP',
      'probe log-start',
      'set log-start',
      'get log-report',
      'get log-report',
      'get log-report',
      'set log-stop',
    ])
    await client.close()
  })
})

describe('DMA by message', () => {
  it('reads and writes what the option shows', async () => {
    const bytes = Buffer.from('the memory of a guest')
    const { client, server } = await connected({ dma: memory(bytes) })
    const read = await server.command(VfioUserCommand.DMA_READ, access(4n, 6n), 4242)
    expect(read.header).toMatchObject({ id: 4242, command: 11, type: 'reply', isError: false })
    expect(read.payload).toEqual(access(4n, 6n, Buffer.from('memory')))
    const written = await server.command(VfioUserCommand.DMA_WRITE, access(16n, 5n, Buffer.from('world')))
    expect(written.payload).toEqual(access(16n, 5n))
    expect(bytes.toString()).toBe('the memory of a world')
    await client.close()
  })

  it.each<[string, number, Buffer, number]>([
    ['outside of it', 11, access(20n, 2n), 14],
    ['of more than a message', 11, access(0n, 1n << 40n), 7],
    ['of other bytes than count', 12, access(0n, 4n, Buffer.from('abc')), 22],
    ['past the last address', 11, access((1n << 64n) - 1n, 2n), 22],
    ['with half a head', 11, Buffer.alloc(15), 22],
    ['that is none', 9, access(0n, 1n), 22],
  ])('%s is answered by a header with an errno', async (_, command, payload, errno) => {
    const { client, server } = await connected({ dma: memory(Buffer.alloc(21)) })
    const { header, payload: rest } = await server.command(command, payload)
    expect(header).toMatchObject({ isError: true, errno, byteLength: 16 })
    expect(rest).toHaveLength(0)
    expect(await client.state()).toBe(RUNNING)
    await client.close()
  })

  it('without the option is ENODEV, with one that fails EIO', async () => {
    const without = await connected()
    expect((await without.server.command(11, access(0n, 4n))).header).toMatchObject({ errno: 19 })
    await without.client.close()
    const broken = { read: () => Promise.reject(new Error('broken')), write: () => {} }
    const failing = await connected({ dma: broken })
    expect((await failing.server.command(11, access(0n, 4n))).header).toMatchObject({ errno: 5 })
    await failing.client.close()
  })

  it('keeps commands apart: one at a time, and none while the server waits for an answer', async () => {
    let finish!: () => void
    const reading = new Promise<void>((resolve) => (finish = resolve))
    const seen: bigint[] = []
    const dma: DmaMemory = {
      async read(iova) {
        seen.push(iova)
        await reading
      },
      write: () => {},
    }
    const { client, server } = await connected({ dma })
    await client.dmaMap({ address: 0n, size: 4096n })
    server.asked.length = 0
    const answered = server.command(VfioUserCommand.DMA_READ, access(0n, 4n))
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const calls = [client.state(), client.readRegion(0, 0, new Uint8Array(4)), client.regionInfo(1)]
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(server.asked).toEqual([])
    finish()
    await answered
    await Promise.all(calls)
    expect(server.asked).toEqual(['get state', 'REGION_READ', 'DEVICE_GET_REGION_INFO'])
    await client.close()
  })
})

describe('a device as a server describes it', () => {
  it("is a PCI function with its own stream, whose ids and sizes must be the other end's", async () => {
    const { client } = await connected()
    expect(client.identity).toMatchObject({
      type: 'pci-dead:beef',
      version: 1,
      stream: 'opaque',
      configuration: {
        vendor: 0xdead,
        device: 0xbeef,
        'subsystem.vendor': 0xcafe,
        subsystem: 0xbabe,
        'region.0.bytes': 256n,
        'region.1.bytes': 16_384n,
        'region.7.bytes': 256n,
      },
    })
    expect(client.identity.fingerprint).toHaveLength(8)
    expect(await client.migrationFlags()).toBe(5)
    await expect(client.stopCopyLength()).rejects.toMatchObject({ code: 'ENOTTY' })
    await client.close()
  })

  it('shows what of a region can be mapped, asked for again with room for it', async () => {
    const asked: number[] = []
    const { client } = await connected({}, ({ header, payload }) => {
      if (header.command !== VfioUserCommand.DEVICE_GET_REGION_INFO || payload.readUInt32LE(8) !== 1)
        return undefined
      asked.push(payload.readUInt32LE(0))
      const info = Buffer.alloc(80)
      for (const [at, value] of [80, 0xf, 1, 32].entries()) info.writeUInt32LE(value, at * 4)
      info.writeBigUInt64LE(16_384n, 16)
      info.writeUInt16LE(1, 32)
      info.writeUInt16LE(1, 34)
      info.writeUInt32LE(2, 40)
      for (const [at, value] of [0n, 4096n, 8192n, 4096n].entries()) info.writeBigUInt64LE(value, 48 + at * 8)
      return { payload: payload.readUInt32LE(0) < 80 ? info.subarray(0, 32) : info }
    })
    asked.length = 0
    expect(await client.regionInfo(1)).toEqual({
      index: 1,
      flags: 0xf,
      size: 16_384n,
      offset: 0n,
      areas: [
        { offset: 0n, size: 4096n },
        { offset: 8192n, size: 4096n },
      ],
    })
    expect(asked).toEqual([32, 80])
    await client.close()
  })

  it('has interrupts, which take no descriptors where none can be sent', async () => {
    const { client, server } = await connected({}, ({ header }) => (header.command === 8 ? {} : undefined))
    expect(await client.irqInfo(2)).toMatchObject({ index: 2, count: 1 })
    await client.setIrqs({ index: 0, flags: 0x22, start: 0, count: 1, bools: Uint8Array.of(1) })
    const withFds = client.setIrqs({ index: 0, flags: 0x24, start: 0, count: 1, fds: [5] })
    await expect(withFds).rejects.toMatchObject({ code: 'EOPNOTSUPP' })
    await expect(client.regionIoFds(0)).rejects.toMatchObject({ code: 'EOPNOTSUPP' })
    await expect(client.dmaMap({ address: 0n, size: 4096n, fd: 3 })).rejects.toMatchObject({
      code: 'EOPNOTSUPP',
    })
    await expect(client.dmaUnmap({ address: 4096n, size: 4096n })).rejects.toMatchObject({ code: 'ENOENT' })
    expect(server.asked).toEqual(['DEVICE_GET_IRQ_INFO', 'DEVICE_SET_IRQS', 'DMA_UNMAP'])
    await client.close()
  })
})
