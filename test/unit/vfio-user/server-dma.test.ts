/** The client's memory: by message, mapped, in a file; and the log of what the device wrote (facts 5 and 6). */

import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/index.ts'
import { FakeDescriptors } from '../../support/fake-descriptors.ts'
import { codeOf, turn } from '../../support/pending.ts'
import { leave, serve, type Served, u32, u64, wireMessage } from '../../support/vfio-user-wire.ts'

const MAP = 2
const UNMAP = 3
const DMA_READ = 11
const DMA_WRITE = 12
const FEATURE = 16
const START = 0x20006
const STOP_LOGGING = 0x20007
const REPORT = 0x10008
const PAGE = 4096

type Options = Parameters<typeof serve>[1]

async function serveDma(options: Options = {}): Promise<Served> {
  const quirks = { requireBusMaster: false, ...options.quirks }
  return serve(await VfioDevice.open(createMtty()), { ...options, quirks })
}

function dmaMap(iova: number | bigint, size: number | bigint, flags = 3, offset = 0): Buffer {
  return Buffer.concat([u32(32, flags), u64(offset, iova, size)])
}

function dmaUnmap(iova: number | bigint, size: number | bigint, flags = 0): Buffer {
  return Buffer.concat([u32(24, flags), u64(iova, size)])
}

/** A file of `pages` that comes with the next message. */
function arriveFile(fds: FakeDescriptors, pages: number): Uint8Array {
  const fd = fds.createMemory(pages * PAGE)
  fds.arrive(fd)
  return fds.open.get(fd) as Uint8Array
}

function start(pageSize: number): Buffer {
  return Buffer.concat([u32(24, START), u64(pageSize), u32(0, 0)])
}

function report(iova: number, length: number, pageSize: number, argsz = 4096): Buffer {
  return Buffer.concat([u32(argsz, REPORT), u64(iova, length, pageSize)])
}

function host({ pci }: Served): NonNullable<Served['pci']['host']> {
  if (pci.host === undefined) throw new Error('not plugged in')
  return pci.host
}

describe('DMA_MAP and DMA_UNMAP', () => {
  it('map a region once, and again without effect; unmapping needs exactly it', async () => {
    const served = await serveDma()
    const { client } = served
    expect((await client.ok(MAP, dmaMap(0x10000, 0x2000))).length).toBe(0)
    expect((await client.ok(MAP, dmaMap(0x10000, 0x2000))).length).toBe(0)
    for (const [iova, size] of [
      [0x10000, 0x1000],
      [0x11000, 0x1000],
      [0x10000, 0x3000],
      [0x30000, 0x1000],
    ] as const)
      expect(await client.errno(UNMAP, dmaUnmap(iova, size))).toBe(2)
    expect(await client.ok(UNMAP, dmaUnmap(0x10000, 0x2000))).toEqual(dmaUnmap(0x10000, 0x2000))
    expect(await client.errno(UNMAP, dmaUnmap(0x10000, 0x2000))).toBe(2)
    await leave(served)
  })

  it.each<[string, Buffer, number, number]>([
    ['31 bytes', dmaMap(0, PAGE).subarray(1), 0, 22],
    ['argsz 31', Buffer.concat([u32(31, 3), u64(0, 0, PAGE)]), 0, 22],
    ['0 bytes of memory', dmaMap(0x8000, 0), 0, 22],
    ['an unknown flag', dmaMap(0x8000, PAGE, 16), 0, 22],
    ['mmap without a descriptor', dmaMap(0x8000, PAGE, 7), 0, 22],
    ['file I/O without a descriptor', dmaMap(0x8000, PAGE, 11), 0, 22],
    ['two descriptors', dmaMap(0x8000, PAGE), 2, 22],
    ['a region over another one', dmaMap(0xf000, 0x2000), 0, 22],
    ['a region inside another one', dmaMap(0x11000, 0x1000), 0, 22],
    ['the same region with other access', dmaMap(0x10000, 0x2000, 1), 0, 22],
    ['a region past 2^64', dmaMap(0xffff_ffff_ffff_f000n, 0x2000), 0, 22],
    ['more than 8 TiB', dmaMap(0x1000000, (1n << 43n) + 1n), 0, 28],
  ])('%s is refused, and no descriptor stays open', async (_name, payload, count, errno) => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds })
    await served.client.ok(MAP, dmaMap(0x10000, 0x2000))
    fds.arrive(...Array.from({ length: count }, () => fds.createMemory(PAGE)))
    expect(await served.client.errno(MAP, payload)).toBe(errno)
    expect(fds.open.size).toBe(0)
    await leave(served)
  })

  it('take a region of 8 TiB and one that ends at 2^64', async () => {
    const served = await serveDma()
    await served.client.ok(MAP, dmaMap(0, 1n << 43n))
    await served.client.ok(MAP, dmaMap(0xffff_ffff_ffff_f000n, 0x1000))
    await leave(served)
  })

  it.each<[string, Buffer]>([
    ['23 bytes', dmaUnmap(0x10000, 0x2000).subarray(1)],
    ['argsz 23', Buffer.concat([u32(23, 0), u64(0x10000, 0x2000)])],
    ['an unknown flag', dmaUnmap(0x10000, 0x2000, 4)],
    ['all with a size', dmaUnmap(0, 0x2000, 2)],
    ['all with a bitmap', dmaUnmap(0, 0, 3)],
    ['a bitmap while nothing is logged', Buffer.concat([u32(1024, 1), u64(0x10000, 0x2000), u64(PAGE, 8)])],
  ])('unmapping with %s is EINVAL', async (_name, payload) => {
    const served = await serveDma()
    await served.client.ok(MAP, dmaMap(0x10000, 0x2000))
    expect(await served.client.errno(UNMAP, payload)).toBe(22)
    await served.client.ok(UNMAP, dmaUnmap(0x10000, 0x2000))
    await leave(served)
  })

  it('let go of files and mappings when they are unmapped, all are, or the client leaves', async () => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds })
    const { client } = served
    for (const flags of [3, 7, 11]) {
      arriveFile(fds, 1)
      await client.ok(MAP, dmaMap(0x1000, PAGE, flags))
      expect([fds.open.size, fds.mappings]).toEqual(flags === 11 ? [1, 0] : [0, 1])
      await client.ok(UNMAP, dmaUnmap(0x1000, PAGE))
      expect([fds.open.size, fds.mappings]).toEqual([0, 0])
    }
    for (const round of [1, 2]) {
      arriveFile(fds, 1)
      await client.ok(MAP, dmaMap(0x1000, PAGE))
      arriveFile(fds, 1)
      await client.ok(MAP, dmaMap(0x2000, PAGE, 11))
      expect([fds.open.size, fds.mappings]).toEqual([1, 1])
      if (round === 1) expect(await client.ok(UNMAP, dmaUnmap(0, 0, 2))).toEqual(dmaUnmap(0, 0, 2))
      else await leave(served)
      expect([fds.open.size, fds.mappings]).toEqual([0, 0])
    }
  })

  it('a file that cannot be mapped is the errno of the system', async () => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds })
    arriveFile(fds, 2)
    expect(await served.client.errno(MAP, dmaMap(0x1000, PAGE, 3, 100))).toBe(22)
    expect(fds.open.size).toBe(0)
    await leave(served)
  })
})

describe('memory with the client', () => {
  it.each([
    ['32 KiB, which the kernel takes as a whole', {}, [32_768, 32_768, 4464]],
    ['what the server is told', { dmaReadBytes: 65_536 }, [65_536, 4464]],
  ])('is read by messages of at most %s, and written by long ones', async (_name, options, counts) => {
    const served = await serveDma(options)
    const { client } = served
    await client.ok(MAP, dmaMap(0, 0x20000))
    const reading = host(served).memory.read(0n, new Uint8Array(70_000))
    let at = 0
    for (const count of counts) {
      const request = await client.next()
      expect(request?.payload).toEqual(u64(at, count))
      const data = Buffer.concat([u64(at, count), Buffer.alloc(count)])
      await client.write(wireMessage(request!.id, DMA_READ, data, { flags: 1 }))
      at += count
    }
    await reading
    const writing = host(served).memory.write(0n, new Uint8Array(70_000))
    const request = await client.next()
    expect(request?.payload.length).toBe(16 + 70_000)
    await client.write(wireMessage(request!.id, DMA_WRITE, u64(0, 70_000), { flags: 1 }))
    await writing
    await leave(served)
  })

  it('is read whole when the next message comes together with the reply', async () => {
    const served = await serveDma({ readsOn: true })
    const { client } = served
    await client.ok(MAP, dmaMap(0, 0x20000))
    const dst = new Uint8Array(32_768)
    const reading = host(served).memory.read(0n, dst)
    const request = await client.next()
    const data = Buffer.concat([u64(0, dst.length), Buffer.alloc(dst.length, 7)])
    const reply = wireMessage(request!.id, DMA_READ, data, { flags: 1 })
    const other = wireMessage(9, 18, Buffer.alloc(data.length, 0xee))
    await client.write(Buffer.concat([reply, other]))
    await reading
    expect(dst.every((byte) => byte === 7)).toBe(true)
    expect(await client.next()).toMatchObject({ id: 9, flags: 0x21, errno: 22 })
    await leave(served)
  })

  it('is read and written by messages of at most what the client takes', async () => {
    const served = await serveDma({ json: '{"capabilities":{"max_data_xfer_size":1024}}' })
    const { client } = served
    await client.ok(MAP, dmaMap(0x10000, 0x2000))
    const dst = new Uint8Array(2500)
    const reading = host(served).memory.read(0x10010n, dst)
    for (const [offset, count] of [
      [0, 1024],
      [1024, 1024],
      [2048, 452],
    ] as const) {
      const request = await client.next()
      expect(request).toMatchObject({ command: DMA_READ, flags: 0, payload: u64(0x10010 + offset, count) })
      const data = Buffer.alloc(count, offset / 1024 + 1)
      await client.write(
        wireMessage(request!.id, DMA_READ, Buffer.concat([request!.payload, data]), { flags: 1 }),
      )
    }
    await reading
    expect([dst[0], dst[1024], dst[2499]]).toEqual([1, 2, 3])
    const writing = host(served).memory.write(0x10010n, dst.subarray(0, 1500))
    for (const [offset, count] of [
      [0, 1024],
      [1024, 476],
    ] as const) {
      const request = await client.next()
      expect(request?.command).toBe(DMA_WRITE)
      expect(request?.payload).toEqual(
        Buffer.concat([u64(0x10010 + offset, count), dst.subarray(offset, offset + count)]),
      )
      await client.write(wireMessage(request!.id, DMA_WRITE, u64(0x10010 + offset, count), { flags: 1 }))
    }
    await writing
    await leave(served)
  })

  it('is ENODEV where nothing is mapped, also in part, and EPERM in the other direction', async () => {
    const served = await serveDma()
    const { memory } = host(served)
    await served.client.ok(MAP, dmaMap(0x1000, PAGE, 1))
    await served.client.ok(MAP, dmaMap(0x2000, PAGE, 2))
    expect(await codeOf(() => memory.read(0x0n, new Uint8Array(1)))).toBe('ENODEV')
    expect(await codeOf(() => memory.read(0xfffn, new Uint8Array(2)))).toBe('ENODEV')
    expect(await codeOf(() => memory.write(0x2fffn, new Uint8Array(2)))).toBe('ENODEV')
    expect(await codeOf(() => memory.read(0xffff_ffff_ffff_ffffn, new Uint8Array(2)))).toBe('ENODEV')
    expect(await codeOf(() => memory.write(0x1000n, new Uint8Array(1)))).toBe('EPERM')
    expect(await codeOf(() => memory.read(0x1fffn, new Uint8Array(2)))).toBe('EPERM')
    await leave(served)
    expect(await codeOf(() => memory.read(0x1000n, new Uint8Array(1)))).toBe('ENODEV')
  })

  it('is there only while bus mastering is on, unless a quirk says otherwise', async () => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds, quirks: { requireBusMaster: true } })
    arriveFile(fds, 1).fill(7)
    await served.client.ok(MAP, dmaMap(0, PAGE))
    const read = (): unknown => host(served).memory.read(0n, new Uint8Array(1))
    expect(await codeOf(read)).toBe('ENODEV')
    await served.client.ok(10, Buffer.concat([u64(4), u32(7, 2)]), Buffer.of(4, 0))
    expect(await codeOf(read)).toBe('ok')
    await served.client.ok(13)
    expect(await codeOf(read), 'a reset switches it off').toBe('ENODEV')
    await leave(served)
  })

  it.each<[string, Buffer, { flags: number; errno?: number }, string]>([
    ['an error', Buffer.alloc(0), { flags: 0x21, errno: 14 }, 'EFAULT'],
    ['an error with a payload', u64(0x1000, 8), { flags: 0x21, errno: 19 }, 'ENODEV'],
    ['an error without a number', Buffer.alloc(0), { flags: 0x21, errno: 0 }, 'EINVAL'],
    ['an error above 4096', Buffer.alloc(0), { flags: 0x21, errno: 5000 }, 'EINVAL'],
    ['another address', Buffer.concat([u64(0x1001, 8), Buffer.alloc(8)]), { flags: 1 }, 'EPROTO'],
    ['another count', Buffer.concat([u64(0x1000, 7), Buffer.alloc(8)]), { flags: 1 }, 'EPROTO'],
    ['fewer bytes', Buffer.concat([u64(0x1000, 8), Buffer.alloc(7)]), { flags: 1 }, 'EPROTO'],
    ['more bytes', Buffer.concat([u64(0x1000, 8), Buffer.alloc(9)]), { flags: 1 }, 'EPROTO'],
    ['no bytes at all', Buffer.alloc(0), { flags: 1 }, 'EPROTO'],
  ])('%s as a reply is %s', async (_name, payload, header, code) => {
    const served = await serveDma()
    await served.client.ok(MAP, dmaMap(0x1000, PAGE))
    const reading = codeOf(() => host(served).memory.read(0x1000n, new Uint8Array(8)))
    const request = await served.client.next()
    await served.client.write(wireMessage(request!.id, DMA_READ, payload, header))
    expect(await reading).toBe(code)
    expect((await served.client.ok(4, u32(16, 0, 0, 0))).length, 'the connection goes on').toBe(16)
    await leave(served)
  })

  it('a reply that does not come is ETIMEDOUT; when it comes late it is passed over', async () => {
    const served = await serveDma({ dmaTimeoutMs: 20 })
    const { client } = served
    await client.ok(MAP, dmaMap(0x1000, PAGE))
    const dst = new Uint8Array(8)
    expect(await codeOf(() => host(served).memory.read(0x1000n, dst))).toBe('ETIMEDOUT')
    const request = await client.next()
    const late = Buffer.concat([request!.payload, Buffer.alloc(8, 9)])
    await client.write(wireMessage(request!.id, DMA_READ, late, { flags: 1 }))
    expect((await client.ok(4, u32(16, 0, 0, 0))).length).toBe(16)
    expect([...dst]).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
    await client.write(wireMessage(request!.id, DMA_READ, late, { flags: 1 }))
    expect(await client.next(), 'the second time nobody knows it').toMatchObject({ flags: 0x21, errno: 22 })
    await leave(served)
  })

  it('a region that is unmapped in the middle of an access ends it, ENODEV', async () => {
    const served = await serveDma({ json: '{"capabilities":{"max_data_xfer_size":1024}}' })
    const { client } = served
    await client.ok(MAP, dmaMap(0x1000, PAGE))
    const reading = codeOf(() => host(served).memory.read(0x1000n, new Uint8Array(4096)))
    const request = await client.next()
    await client.ok(UNMAP, dmaUnmap(0x1000, PAGE))
    const data = Buffer.concat([request!.payload, Buffer.alloc(1024)])
    await client.write(wireMessage(request!.id, DMA_READ, data, { flags: 1 }))
    expect(await reading).toBe('ENODEV')
    await leave(served)
  })

  it('accesses of the device wait for one another: one request is out at a time', async () => {
    const served = await serveDma()
    const { client } = served
    await client.ok(MAP, dmaMap(0x1000, PAGE))
    const { memory } = host(served)
    const both = Promise.all([memory.write(0x1000n, Buffer.of(1)), memory.write(0x1001n, Buffer.of(2))])
    const first = await client.next()
    await turn()
    expect((await client.call(4, u32(16, 0, 0, 0))).flags, 'commands are answered meanwhile').toBe(1)
    await client.write(wireMessage(first!.id, DMA_WRITE, u64(0x1000, 1), { flags: 1 }))
    const second = await client.next()
    expect(second?.payload).toEqual(Buffer.concat([u64(0x1001, 1), Buffer.of(2)]))
    await client.write(wireMessage(second!.id, DMA_WRITE, u64(0x1001, 1), { flags: 1 }))
    await both
    await leave(served)
  })

  it('what the device waits for fails when the client leaves', async () => {
    const served = await serveDma()
    await served.client.ok(MAP, dmaMap(0x1000, PAGE))
    const reading = codeOf(() => host(served).memory.read(0x1000n, new Uint8Array(8)))
    await served.client.next()
    await leave(served)
    expect(await reading).toBe('ENODEV')
  })
})

describe('memory with a descriptor', () => {
  it.each([
    ['mapped', 3, undefined],
    ['mapped because asked', 7, 'mapped'],
    ['by position', 11, 'mapped'],
    ['by position where mapping is off', 3, 'file'],
    ['by position where it is chosen so', 3, () => 'file'],
  ] as const)('is reached without messages: %s', async (_name, flags, memoryAccess) => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds, ...(memoryAccess === undefined ? {} : { memoryAccess }) })
    const file = arriveFile(fds, 3)
    await served.client.ok(MAP, dmaMap(0x10000, 2 * PAGE, flags, PAGE))
    await host(served).memory.write(0x10ffen, Buffer.of(1, 2, 3, 4))
    expect([...file.subarray(2 * PAGE - 2, 2 * PAGE + 2)]).toEqual([1, 2, 3, 4])
    const dst = new Uint8Array(4)
    await host(served).memory.read(0x10ffen, dst)
    expect([...dst]).toEqual([1, 2, 3, 4])
    await leave(served)
  })

  it('is reached by messages where it is chosen so, by address and length, and its descriptor is let go', async () => {
    const fds = new FakeDescriptors()
    const offered: object[] = []
    const memoryAccess = (region: { iova: bigint }): 'message' | 'mapped' => {
      offered.push(region)
      return region.iova === 0x1000n ? 'message' : 'mapped'
    }
    const served = await serveDma({ fds, memoryAccess })
    const { client } = served
    arriveFile(fds, 1)
    await client.ok(MAP, dmaMap(0x1000, PAGE))
    expect(fds.open.size).toBe(0)
    const file = arriveFile(fds, 1)
    await client.ok(MAP, dmaMap(0x2000, PAGE))
    expect(offered).toEqual([
      { iova: 0x1000n, byteLength: BigInt(PAGE) },
      { iova: 0x2000n, byteLength: BigInt(PAGE) },
    ])
    const writing = host(served).memory.write(0x1ffen, Buffer.of(1, 2, 3))
    const request = await client.next()
    expect(request?.payload).toEqual(Buffer.concat([u64(0x1ffe, 2), Buffer.of(1, 2)]))
    await client.write(wireMessage(request!.id, DMA_WRITE, u64(0x1ffe, 2), { flags: 1 }))
    await writing
    expect(file[0]).toBe(3)
    await leave(served)
  })

  it('and without, in one access across neighbours', async () => {
    const fds = new FakeDescriptors()
    const served = await serveDma({ fds })
    const { client } = served
    const before = arriveFile(fds, 1)
    await client.ok(MAP, dmaMap(0x1000, PAGE))
    await client.ok(MAP, dmaMap(0x2000, PAGE))
    const after = arriveFile(fds, 1)
    await client.ok(MAP, dmaMap(0x3000, PAGE, 11))
    const src = Uint8Array.from({ length: PAGE + 4 }, (_value, index) => index + 1)
    const writing = host(served).memory.write(0x1ffen, src)
    const request = await client.next()
    expect(request?.payload).toEqual(Buffer.concat([u64(0x2000, PAGE), src.subarray(2, PAGE + 2)]))
    expect([...after.subarray(0, 2)], 'not yet').toEqual([0, 0])
    await client.write(wireMessage(request!.id, DMA_WRITE, u64(0x2000, PAGE), { flags: 1 }))
    await writing
    expect([...before.subarray(-2)]).toEqual([1, 2])
    expect([...after.subarray(0, 2)]).toEqual([...src.subarray(-2)])
    await leave(served)
  })
})

describe('DMA logging', () => {
  async function logged(pageSize = PAGE, options: Options = {}): Promise<Served & { fds: FakeDescriptors }> {
    const fds = new FakeDescriptors()
    const served = await serveDma({ ...options, fds })
    arriveFile(fds, 16)
    await served.client.ok(MAP, dmaMap(0x10000, 16 * PAGE))
    await host(served).memory.write(0x10000n, Buffer.of(1))
    expect(await served.client.ok(FEATURE, start(pageSize))).toEqual(start(pageSize))
    return { ...served, fds }
  }

  async function bits(served: Served, pageSize = PAGE): Promise<bigint> {
    const payload = await served.client.ok(FEATURE, report(0x10000, 16 * PAGE, pageSize))
    expect(payload.length).toBe(32 + 8)
    expect(payload.subarray(0, 32)).toEqual(report(0x10000, 16 * PAGE, pageSize, 40))
    return payload.readBigUInt64LE(32)
  }

  it('tells the pages that were written since the start, once', async () => {
    const served = await logged()
    expect(await bits(served), 'written before').toBe(0n)
    await host(served).memory.write(0x10fffn, Buffer.of(1, 2))
    await host(served).memory.write(0x1f000n, Buffer.alloc(PAGE))
    expect(await bits(served)).toBe(0b1000_0000_0000_0011n)
    expect(await bits(served)).toBe(0n)
    await leave(served)
  })

  it('repeats bits for smaller pages and gathers them for larger ones', async () => {
    const served = await logged()
    await host(served).memory.write(0x11000n, Buffer.of(1))
    expect(await bits(served, 2048)).toBe(0b1100n)
    await host(served).memory.write(0x12000n, Buffer.of(1))
    expect(await bits(served, 8192)).toBe(0b10n)
    await host(served).memory.write(0x12000n, Buffer.of(1))
    expect(await bits(served, 65_536)).toBe(1n)
    await leave(served)
  })

  it('logs what is mapped later and what is written by message', async () => {
    const served = await logged()
    await served.client.ok(MAP, dmaMap(0x80000, 2 * PAGE))
    const writing = host(served).memory.write(0x81000n, Buffer.of(1))
    const request = await served.client.next()
    await served.client.write(wireMessage(request!.id, DMA_WRITE, u64(0x81000, 1), { flags: 1 }))
    await writing
    const payload = await served.client.ok(FEATURE, report(0x80000, 2 * PAGE, PAGE))
    expect(payload.readBigUInt64LE(32)).toBe(0b10n)
    await leave(served)
  })

  it('a region by message is EINVAL with the quirk refuseMessageReports', async () => {
    const served = await logged(PAGE, { quirks: { refuseMessageReports: true } })
    await served.client.ok(MAP, dmaMap(0x80000, 2 * PAGE))
    expect(await served.client.errno(FEATURE, report(0x80000, 2 * PAGE, PAGE))).toBe(22)
    expect(await bits(served)).toBe(0n)
    await leave(served)
  })

  it('starts again with the same page size, not with another, and forgets at the stop', async () => {
    const served = await logged()
    await host(served).memory.write(0x10000n, Buffer.of(1))
    await served.client.ok(FEATURE, start(PAGE))
    expect(await bits(served), 'kept').toBe(1n)
    expect(await served.client.errno(FEATURE, start(8192))).toBe(22)
    await host(served).memory.write(0x10000n, Buffer.of(1))
    const stop = Buffer.concat([u32(24, STOP_LOGGING), u64(PAGE), u32(0, 0)])
    expect(await served.client.ok(FEATURE, stop)).toEqual(stop)
    await served.client.ok(FEATURE, u32(8, STOP_LOGGING))
    expect(await served.client.errno(FEATURE, report(0x10000, 16 * PAGE, PAGE))).toBe(22)
    await served.client.ok(FEATURE, start(8192))
    expect(await bits(served)).toBe(0n)
    await leave(served)
  })

  it('START takes ranges and ignores them', async () => {
    const served = await logged()
    const ranges = Buffer.concat([u32(40, START), u64(PAGE), u32(1, 0), u64(0x900000, PAGE)])
    expect(await served.client.ok(FEATURE, ranges)).toEqual(ranges)
    await host(served).memory.write(0x10000n, Buffer.of(1))
    expect(await bits(served)).toBe(1n)
    await leave(served)
  })

  it.each<[string, Buffer, number]>([
    ['a page size of 0', report(0x10000, 16 * PAGE, 0), 22],
    ['a page size of 3', report(0x10000, 16 * PAGE, 3), 22],
    ['pages larger than the region', report(0x10000, 16 * PAGE, 32 * PAGE), 22],
    ['argsz without room for the bitmap', report(0x10000, 16 * PAGE, PAGE, 39), 22],
    ['an address that is not mapped', report(0x9000, PAGE, PAGE), 2],
    ['a part of a region', report(0x10000, 8 * PAGE, PAGE), 95],
    ['more than a region', report(0x10000, 32 * PAGE, PAGE), 95],
    ['the inside of a region', report(0x11000, PAGE, PAGE), 95],
  ])('REPORT of %s is refused', async (_name, payload, errno) => {
    const served = await logged()
    await host(served).memory.write(0x10000n, Buffer.of(1))
    expect(await served.client.errno(FEATURE, payload)).toBe(errno)
    expect(await bits(served), 'nothing was lost').toBe(1n)
    await leave(served)
  })

  it.each([0, 3])('START with a page size of %i is EINVAL', async (pageSize) => {
    const served = await serveDma()
    expect(await served.client.errno(FEATURE, start(pageSize))).toBe(22)
    await leave(served)
  })

  it('a bitmap of more than 32 MiB is EINVAL: nobody can make the server take memory', async () => {
    const served = await logged()
    await served.client.ok(MAP, dmaMap(1n << 44n, 1n << 43n))
    const wanted = Buffer.concat([u32(0xffffffff, REPORT), u64(1n << 44n, 1n << 43n, PAGE)])
    expect(await served.client.errno(FEATURE, wanted)).toBe(22)
    await leave(served)
  })

  it('DMA_UNMAP gives the bitmap with the region', async () => {
    const served = await logged()
    await host(served).memory.write(0x11000n, Buffer.of(1))
    const head = Buffer.concat([u32(48, 1), u64(0x10000, 16 * PAGE)])
    expect(await served.client.errno(UNMAP, head)).toBe(22)
    expect(await served.client.errno(UNMAP, head, u64(0, 8))).toBe(22)
    expect(await served.client.errno(UNMAP, head, u64(PAGE, 7))).toBe(22)
    expect(await served.client.ok(UNMAP, head, u64(PAGE, 8))).toEqual(
      Buffer.concat([head, u64(PAGE, 8), u64(0b10)]),
    )
    expect(await served.client.errno(UNMAP, head, u64(PAGE, 8))).toBe(2)
    await leave(served)
  })
})
