import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import {
  BULK_ID,
  BulkRegister,
  type BulkDriver,
  type BulkOptions,
  createBulk,
  DescriptorOp,
  DescriptorStatus,
} from '../../../src/devices/index.ts'
import { RING_BYTES } from '../../../src/devices/bulk/descriptor-ring.ts'
import { placementRegisters } from '../../../src/devices/bulk/pattern.ts'
import { Placement, recordOffset } from '../../../src/devices/bulk/placement.ts'
import { highOf, lowOf, RECORD_BYTES } from '../../../src/devices/bulk/record.ts'
import { createEngine, type DataSession, DeviceState, VfioDevice, VfioError } from '../../../src/index.ts'
import { POLLIN } from '../../../src/uapi/index.ts'
import { contents, descriptorStatus, post, register, setRegister, until } from '../../support/bulk-device.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY, PRE_COPY_P2P, RUNNING_P2P } = DeviceState
const MEMORY_BYTES = 1_000_003
const opened: VfioDevice[] = []

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

async function open(options: Partial<BulkOptions> = {}): Promise<{ bulk: BulkDriver; device: VfioDevice }> {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device }
}

async function session(device: VfioDevice, target: DeviceState): Promise<DataSession> {
  const opening = await device.setState(target)
  if (opening === undefined) throw new Error('no session')
  return opening
}

function drain(from: DataSession): Buffer {
  const pieces: Buffer[] = []
  for (;;) {
    const piece = Buffer.alloc(65_521)
    const n = from.read(piece)
    if (n === 0) return Buffer.concat(pieces)
    pieces.push(piece.subarray(0, n))
  }
}

/** Memory, the register block, the ring and the interrupts raised, in a form to compare. */
function everything(bulk: BulkDriver): unknown {
  const block = Buffer.alloc(128)
  const ring = Buffer.alloc(RING_BYTES)
  bulk.regions.read(0, 0, block)
  bulk.regions.read(1, 0, ring)
  const digest = createHash('sha256').update(contents(bulk)).digest('hex')
  return { digest, block, ring, sequence: bulk.sequence, interrupts: bulk.interrupts }
}

const busy = { workload: { pagesPerSecond: 20_000, seed: 42 } }

describe('bulk memory', () => {
  it.each([1.5, Number.NaN, 2 ** 53])('a seed of %d is EINVAL, of the memory and of the workload', (seed) => {
    const refused = [
      () => createBulk({ memoryBytes: 8, seed }),
      () => createBulk({ memoryBytes: 8, workload: { pagesPerSecond: 1, seed } }),
    ]
    for (const create of refused) expect(create).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  })

  it('is zero at power-on', async () => {
    const { bulk } = await open()
    expect(contents(bulk).every((byte) => byte === 0)).toBe(true)
  })

  it('with a seed has no zero page at power-on and is the same for the same seed', async () => {
    const a = contents((await open({ seed: 7 })).bulk)
    const b = contents((await open({ seed: 7 })).bulk)
    const c = contents((await open({ seed: 8 })).bulk)
    expect(a.equals(b)).toBe(true)
    expect(a.equals(c)).toBe(false)
    for (let page = 0; page * 4096 < a.length; page++)
      expect(a.subarray(page * 4096, page * 4096 + 4096).some((byte) => byte !== 0)).toBe(true)
  })

  it('refuses access outside, and access before open with ENODEV', async () => {
    const { bulk } = await open()
    expect(() => bulk.memory.write(MEMORY_BYTES, new Uint8Array(1))).toThrowError(/stay inside/)
    expect(() => bulk.memory.read(-1, new Uint8Array(1))).toThrowError(/stay inside/)
    const closed = createBulk({ memoryBytes: 16 })
    expect(() => closed.memory.read(0, new Uint8Array(1))).toThrowError(VfioError)
  })

  it('is EBUSY to write in STOP_COPY and RESUMING, and writable in STOP', async () => {
    const { bulk, device } = await open()
    const write = (): void => bulk.memory.write(0, Uint8Array.of(1))
    await device.setState(STOP_COPY)
    expect(write).toThrowError(/session is moving it/)
    await device.setState(STOP)
    write()
    await device.setState(RESUMING)
    expect(write).toThrowError(/session is moving it/)
    await device.reset()
    write()
    expect(contents(bulk)[0]).toBe(1)
  })
})

describe('bulk workload', () => {
  it('writes sequence-numbered records on its own clock while it runs', async () => {
    const { bulk } = await open(busy)
    await until(() => bulk.sequence > 500n)
    const bytes = contents(bulk)
    const memory = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const last = bulk.sequence - 1n
    const registers = placementRegisters({ seed: 42 })
    const offset = recordOffset(MEMORY_BYTES, registers, last)
    const placement = new Placement(MEMORY_BYTES, registers)
    expect(memory.getBigUint64(offset, true)).toBe(last)
    let records = 0
    for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES)
      if (memory.getUint32(at + 12, true) !== 0) {
        const sequence = memory.getBigUint64(at, true)
        expect(recordOffset(MEMORY_BYTES, registers, sequence)).toBe(at)
        expect(memory.getUint32(at + 8, true)).toBe(at / RECORD_BYTES)
        expect(memory.getUint32(at + 12, true)).toBe(placement.checkOf(highOf(sequence), lowOf(sequence)))
        records++
      }
    expect(records).toBeGreaterThan(400)
  })

  it('is quiet in every stopped state: memory, registers and interrupts stand still', async () => {
    const { bulk, device } = await open({ ...busy, seed: 3 })
    await until(() => bulk.sequence > 50n)
    for (const state of [STOP, STOP_COPY, RESUMING] as const) {
      await device.setState(state)
      if (state !== RESUMING) {
        setRegister(bulk, BulkRegister.RING_TAIL, 3)
        setRegister(bulk, BulkRegister.CONTROL, 3)
        setRegister(bulk, BulkRegister.RATE, 30_000)
      }
      const before = everything(bulk)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(everything(bulk)).toEqual(before)
    }
  })

  it('goes on in RUNNING_P2P, PRE_COPY and PRE_COPY_P2P', async () => {
    const { bulk, device } = await open(busy)
    for (const state of [RUNNING_P2P, PRE_COPY, PRE_COPY_P2P] as const) {
      await device.setState(state)
      const before = bulk.sequence
      await until(() => bulk.sequence > before + 20n)
      expect(await device.state()).toBe(state)
    }
  })
})

describe('bulk migration', () => {
  it.each([0, 1, 15, 4095, 4096, 4097, 262_145, MEMORY_BYTES])(
    'restores %i bytes of memory and the registers bit for bit',
    async (memoryBytes) => {
      const source = await open({ memoryBytes, seed: 5 })
      setRegister(source.bulk, BulkRegister.INTERRUPT_MASK, 2)
      const stream = drain(await session(source.device, STOP_COPY))
      const destination = await open({ memoryBytes })
      const resuming = await session(destination.device, RESUMING)
      resuming.write(stream)
      await destination.device.setState(STOP)
      expect(contents(destination.bulk).equals(contents(source.bulk))).toBe(true)
      expect(register(destination.bulk, BulkRegister.INTERRUPT_MASK)).toBe(2)
    },
  )

  it('moves while it works: PRE_COPY, then the rest, and the sequence goes on without a gap', async () => {
    const source = await open(busy)
    await until(() => source.bulk.sequence > 100n)
    const destination = await open()
    const saving = await session(source.device, PRE_COPY)
    const resuming = await session(destination.device, RESUMING)
    const piece = new Uint8Array(100_000)
    for (let rounds = 0; rounds < 20;) {
      try {
        resuming.write(piece.subarray(0, saving.read(piece)))
      } catch (error) {
        if (!VfioError.is(error, 'ENOMSG')) throw error
        rounds++
        await saving.ready(POLLIN)
      }
    }
    await source.device.setState(STOP_COPY)
    const stopped = source.bulk.sequence
    const expected = contents(source.bulk)
    for (let n; (n = saving.read(piece)) > 0;) resuming.write(piece.subarray(0, n))
    await destination.device.setState(STOP)
    expect(destination.bulk.sequence).toBe(stopped)
    expect(contents(destination.bulk).equals(expected)).toBe(true)
    await destination.device.setState(RUNNING)
    await until(() => destination.bulk.sequence > stopped + 10n)
  })

  it('says exactly what it would still deliver, unread bytes included', async () => {
    const { bulk, device } = await open({ seed: 9 })
    const announced = await device.stopCopyLength()
    const saving = await session(device, PRE_COPY)
    const taken = saving.read(new Uint8Array(300_000))
    bulk.memory.write(0, Uint8Array.of(1, 2, 3))
    const rest = await device.stopCopyLength()
    expect(rest).toBe(announced - taken + 4096 + 40)
    await device.setState(STOP_COPY)
    expect(await device.stopCopyLength()).toBe(rest)
    expect(drain(saving).length).toBe(rest)
    expect(await device.stopCopyLength()).toBe(0)
  })

  it.each([PRE_COPY, STOP_COPY])(
    'gives all its memory back at close, a lease from state %i that was never released included',
    async (state) => {
      const engine = await createEngine({ memoryBytes: 4 * 1024 * 1024 })
      const device = await VfioDevice.open(createBulk({ memoryBytes: MEMORY_BYTES, seed: 1, engine }))
      const first = await session(device, state)
      first.lease(100)
      await device.reset()
      const second = await session(device, state)
      second.lease(100)
      await device.close()
      expect(engine.allocatedBytes).toBe(0)
      first.release()
      second.release()
      expect(engine.allocatedBytes).toBe(0)
    },
  )

  it('refuses a stream of another size by name and keeps power-on content after reset', async () => {
    const source = await open({ memoryBytes: 8192, seed: 1 })
    const stream = drain(await session(source.device, STOP_COPY))
    const { bulk, device } = await open({ memoryBytes: 4096 })
    const resuming = await session(device, RESUMING)
    expect(() => resuming.write(stream)).toThrowError(
      /section 0 \(CONFIG\) at offset 128: memory\.0\.bytes is 4096 here and 8192 in the stream/,
    )
    await expect(device.setState(STOP)).rejects.toMatchObject({ code: 'EINVAL', state: RESUMING })
    await device.reset()
    expect(contents(bulk).every((byte) => byte === 0)).toBe(true)
  })
})

describe('bulk registers and descriptors', () => {
  it('shows its identity, takes partial writes and refuses access outside', async () => {
    const { bulk } = await open()
    expect(register(bulk, BulkRegister.ID)).toBe(BULK_ID)
    const size = Buffer.alloc(8)
    bulk.regions.read(0, BulkRegister.MEMORY_BYTES, size)
    expect(size.readBigUInt64LE()).toBe(BigInt(MEMORY_BYTES))
    setRegister(bulk, BulkRegister.RATE, 0x0102_0304)
    bulk.regions.write(0, BulkRegister.RATE + 1, Uint8Array.of(0xaa, 0xbb))
    expect(register(bulk, BulkRegister.RATE)).toBe(0x01bb_aa04)
    bulk.regions.write(0, BulkRegister.ID, Uint8Array.of(0))
    expect(register(bulk, BulkRegister.ID)).toBe(BULK_ID)
    expect(() => bulk.regions.read(0, 4093, Buffer.alloc(4))).toThrowError(/lie outside it/)
    expect(() => bulk.regions.write(3, 0, Buffer.alloc(4))).toThrowError(/lie outside it/)
  })

  it('works off descriptors, reaches host memory, logs its DMA and raises one interrupt', async () => {
    const host = Buffer.alloc(65_536, 0x5a)
    const { bulk, device } = await open({
      hostMemory: {
        read: (iova, dst) => dst.set(host.subarray(Number(iova), Number(iova) + dst.length)),
        write: (iova, src) => host.set(src, Number(iova)),
      },
    })
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 65_536n }] })
    post(bulk, 0, DescriptorOp.FROM_HOST, 100n, 4096n, 50n)
    post(bulk, 1, DescriptorOp.COPY, 200n, 100n, 50n)
    post(bulk, 2, DescriptorOp.FILL, 300n, 0x77n, 10n)
    post(bulk, 3, DescriptorOp.TO_HOST, 8192n, 200n, 5000n)
    post(bulk, 4, DescriptorOp.COPY, 0n, BigInt(MEMORY_BYTES), 1n)
    post(bulk, 5, 99, 0n, 0n, 1n)
    setRegister(bulk, BulkRegister.CONTROL, 2)
    setRegister(bulk, BulkRegister.RING_TAIL, 6)
    await until(() => register(bulk, BulkRegister.RING_HEAD) === 6)
    const { DONE, ERROR } = DescriptorStatus
    expect([0, 1, 2, 3, 4, 5].map((index) => descriptorStatus(bulk, index))).toEqual([
      DONE,
      DONE,
      DONE,
      DONE,
      ERROR,
      ERROR,
    ])
    const memory = contents(bulk)
    expect(memory.subarray(200, 250).every((byte) => byte === 0x5a)).toBe(true)
    expect(memory.subarray(300, 310).every((byte) => byte === 0x77)).toBe(true)
    expect(host.subarray(8192, 13_192).equals(memory.subarray(200, 5200))).toBe(true)
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingReport({ iova: 0n, length: 65_536n, pageSize: 4096 }, bitmap)
    expect([...bitmap]).toEqual([0b1100, 0, 0, 0, 0, 0, 0, 0])
    expect(bulk.interrupts).toBe(1)
  })

  it('stores a doorbell in STOP, without effect until it runs again', async () => {
    const { bulk, device } = await open()
    await device.setState(STOP)
    post(bulk, 0, DescriptorOp.FILL, 0n, 1n, 16n)
    setRegister(bulk, BulkRegister.CONTROL, 2)
    setRegister(bulk, BulkRegister.RING_TAIL, 1)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(register(bulk, BulkRegister.RING_HEAD)).toBe(0)
    await device.setState(RUNNING)
    await until(() => descriptorStatus(bulk, 0) === DescriptorStatus.DONE)
    expect(contents(bulk)[15]).toBe(1)
  })
})
