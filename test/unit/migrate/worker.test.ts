import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { type BulkDriver, createBulk } from '../../../src/devices/index.ts'
import { createEngine, type Engine, EngineWorker } from '../../../src/engine/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import type { ByteSource } from '../../../src/transport/byte-stream.ts'
import { memoryPair } from '../../../src/transport/index.ts'
import { POLLIN } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { createTestWorker } from '../../support/engine-worker.ts'
import { failureOf } from '../../support/pending.ts'
import { holdingWorker } from '../../support/worker-thread.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'

const MIB = 1024 * 1024
const { RUNNING, STOP } = DeviceState

/** A bulk device, what it holds, and its engine's balance. */
interface Bulk {
  readonly device: VfioDevice
  readonly driver: BulkDriver
  readonly content: () => Uint8Array
}

async function openBulk(memoryBytes: number, engine: Engine, fill = 0): Promise<Bulk> {
  const driver = createBulk({ memoryBytes, seed: 1, engine })
  const device = await VfioDevice.open(driver)
  if (fill > 0)
    for (let at = 0; at < memoryBytes; at += 3001)
      driver.memory.write(at, Uint8Array.of(fill).subarray(0, memoryBytes - at))
  const content = (): Uint8Array => {
    const bytes = new Uint8Array(memoryBytes)
    driver.memory.read(0, bytes)
    return bytes
  }
  return { device, driver, content }
}

/** A source that hides that it could lease. */
function readOnly(source: ByteSource): ByteSource {
  return { read: (dst) => source.read(dst), cancel: (reason) => source.cancel(reason) }
}

let worker: EngineWorker
beforeAll(async () => {
  worker = await createTestWorker()
})
afterAll(() => worker.close())

describe.each([
  ['a shared engine', true, 'ring'],
  ['a shared engine, by transferred buffers', true, 'transfer'],
  ['an engine that is not shared', false, 'ring'],
] as const)('with a worker and %s', (_name, shared, jobs) => {
  const sizes = [0, 1, 4095, 4097, 300_000, ...(jobs === 'ring' ? [64 * MIB + 3] : [4 * MIB + 3])]

  it.each(sizes)(
    '%i bytes are saved and restored at once by one worker, leased or read',
    async (memoryBytes) => {
      const one = await createTestWorker({ jobs })
      const engine = await createEngine({ memoryBytes: 2 * memoryBytes + 8 * MIB, shared })
      const before = engine.allocatedBytes
      for (const leased of [true, false]) {
        const source = await openBulk(memoryBytes, engine, 0x5a)
        const target = await openBulk(memoryBytes, engine)
        const [here, there] = memoryPair()
        const input = leased ? there : readOnly(there)
        const [saved, restored] = await Promise.all([
          save(source.device, here, { worker: one }),
          restore(target.device, input, { worker: one }),
        ])
        expect(restored.bytes).toBe(saved.bytes)
        expect(await target.device.state()).toBe(RUNNING)
        expect(Buffer.compare(target.content(), source.content())).toBe(0)
        await source.device.close()
        await target.device.close()
        expect(engine.allocatedBytes).toBe(before)
      }
      await one.close()
    },
  )

  it('the stream is the same byte for byte', async () => {
    const engine = await createEngine({ memoryBytes: 12 * MIB, shared })
    const one = await createTestWorker({ jobs })
    const source = await openBulk(3 * MIB + 5, engine, 0x5a)
    const [alone, helped] = [new RecordingSink(), new RecordingSink()]
    await save(source.device, alone, { finalState: STOP })
    await save(source.device, helped, { worker: one, finalState: STOP })
    expect(Buffer.compare(alone.bytes, helped.bytes)).toBe(0)
    await one.close()
  })
})

/** The stream where a pair leases it from the device's own engine. */
function leasedFrom(bytes: Uint8Array, engine: Engine): { source: ByteSource; free: () => void } {
  const pointer = engine.allocate(bytes.length)
  engine.bytes.set(bytes, pointer)
  let left = engine.bytes.subarray(pointer, pointer + bytes.length)
  const source: ByteSource = {
    read: (dst) => {
      const part = left.subarray(0, dst.length)
      dst.set(part)
      left = left.subarray(part.length)
      return part.length
    },
    lease: (maxBytes) => {
      const part = left.subarray(0, maxBytes)
      left = left.subarray(part.length)
      return part
    },
    release: () => {},
    cancel: () => {},
  }
  return { source, free: () => engine.free(pointer) }
}

describe('damage that a worker finds', () => {
  const memoryBytes = 2 * MIB + 100
  let stream: Uint8Array
  let shared: Engine
  beforeAll(async () => {
    shared = await createEngine({ memoryBytes: 16 * MIB, shared: true })
    const source = await openBulk(memoryBytes, shared, 0x5a)
    const sink = new RecordingSink()
    await save(source.device, sink)
    stream = sink.bytes
    await source.device.close()
  })

  it.each(['read', 'leased'] as const)(
    'is refused with the section and offset that a device alone names (%s)',
    async (how) => {
      const balance = shared.allocatedBytes
      const target = await openBulk(memoryBytes, shared)
      const powerOn = target.content()
      for (let n = 0; n < 24; n++) {
        const damaged = stream.slice()
        const at = Math.floor(((n + 0.5) / 24) * damaged.length)
        damaged[at] = (damaged[at] as number) ^ (1 << (n % 8))
        const alone = await failureOf(() => restore(target.device, new RecordingSource(damaged)))
        const { source, free } = leasedFrom(damaged, shared)
        const input = how === 'leased' ? source : readOnly(source)
        const helped = await failureOf(() => restore(target.device, input, { worker }))
        free()
        expect(`${helped.code} ${helped.section} ${helped.offset}`).toBe(
          `${alone.code} ${alone.section} ${alone.offset}`,
        )
        expect(await target.device.state()).toBe(RUNNING)
        expect(Buffer.compare(target.content(), powerOn)).toBe(0)
      }
      await target.device.close()
      expect(shared.allocatedBytes).toBe(balance)
    },
  )

  it('anywhere near a header, a border or the end is refused', async () => {
    const target = await openBulk(memoryBytes, shared)
    const frame = 256 * 1024 + 40
    for (const at of [
      0,
      100,
      127,
      130,
      170,
      600,
      frame,
      frame + 300,
      2 * frame,
      stream.length - 60,
      stream.length - 1,
    ]) {
      const damaged = stream.slice()
      damaged[at] = (damaged[at] as number) ^ 0x10
      const { source, free } = leasedFrom(damaged, shared)
      const failure = await failureOf(() => restore(target.device, source, { worker }))
      free()
      expect(['EBADMSG', 'EPROTO'], `byte ${at}: ${failure.message}`).toContain(failure.code)
      expect(await target.device.state()).toBe(RUNNING)
    }
    await target.device.close()
  })

  it('a stream in any segmentation is taken', async () => {
    const target = await openBulk(memoryBytes, shared)
    const pieces = fc.array(fc.integer({ min: 1, max: 700_000 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.boolean(), async (lengths, leased) => {
        const { source, free } = leasedFrom(stream, shared)
        let turn = 0
        const most = (): number => lengths[turn++ % lengths.length] as number
        const cut: ByteSource = {
          read: (dst) => source.read(dst.subarray(0, Math.min(most(), dst.length))),
          cancel: () => {},
          ...(leased ? { lease: (n) => source.lease!(Math.min(most(), n)), release: () => {} } : {}),
        }
        await restore(target.device, cut, { worker })
        free()
        expect(Buffer.compare(target.content(), await openedContent())).toBe(0)
      }),
      { numRuns: 25 },
    )
    await target.device.close()
  })

  let expected: Uint8Array | undefined
  /** What the stream holds. */
  async function openedContent(): Promise<Uint8Array> {
    if (expected === undefined) {
      const source = await openBulk(memoryBytes, shared, 0x5a)
      expected = source.content()
      await source.device.close()
    }
    return expected
  }
})

describe('a worker that', () => {
  const memoryBytes = 24 * MIB

  it.each(['leased', 'read'] as const)(
    'dies with a job fails the transfer with EIO, and leaves no device in doubt (%s)',
    async (how) => {
      const { dying, holds, end } = await holdingWorker()
      const engine = await createEngine({ memoryBytes: 60 * MIB, shared: true })
      const source = await openBulk(memoryBytes, engine, 0x5a)
      const target = await openBulk(memoryBytes, engine)
      const [content, powerOn] = [source.content(), target.content()]
      const [here, there] = memoryPair()
      const input = how === 'leased' ? there : readOnly(there)
      const both = Promise.all([
        save(source.device, here).then(
          () => undefined,
          ({ code }: VfioError) => code,
        ),
        failureOf(() => restore(target.device, input, { worker: dying })),
      ])
      await holds
      await end()
      const [saved, restored] = await both
      expect(restored.code).toBe('EIO')
      // A lease is held until its job ends; a source that is read may be empty by then, its device saved.
      if (how === 'leased') expect(saved).toBe('EPIPE')
      expect(await source.device.state()).toBe(saved === undefined ? STOP : RUNNING)
      expect(await target.device.state()).toBe(RUNNING)
      expect(Buffer.compare(source.content(), content)).toBe(0)
      expect(Buffer.compare(target.content(), powerOn)).toBe(0)
      await source.device.close()
      await target.device.close()
      expect(engine.allocatedBytes).toBe(0)
    },
  )

  it('dies with a checksum of a save is EIO, and the device runs on', async () => {
    const { dying, holds, end } = await holdingWorker()
    const engine = await createEngine({ memoryBytes: 30 * MIB, shared: true })
    const { device, content } = await openBulk(memoryBytes, engine, 0x5a)
    const before = content()
    const saved = failureOf(() => save(device, new RecordingSink(), { worker: dying }))
    await holds
    await end()
    expect((await saved).code).toBe('EIO')
    expect(await device.state()).toBe(RUNNING)
    expect(Buffer.compare(content(), before)).toBe(0)
    await device.close()
    expect(engine.allocatedBytes).toBe(0)
  })

  it('is attached in PRE_COPY helps in STOP_COPY: EAGAIN while a checksum is under way, then all bytes', async () => {
    const engine = await createEngine({ memoryBytes: 60 * MIB, shared: true })
    const source = await openBulk(memoryBytes, engine, 0x5a)
    const session = (await source.device.setState(DeviceState.PRE_COPY)) as DataSession
    await session.attachWorker(worker)
    const stream = new RecordingSink()
    const buffer = new Uint8Array(400_000)
    const drain = async (): Promise<void> => {
      for (;;) {
        try {
          const byteLength = session.read(buffer)
          if (byteLength === 0) return
          await stream.write([buffer.subarray(0, byteLength)])
        } catch (error) {
          if (VfioError.is(error, 'ENOMSG')) return
          if (!VfioError.is(error, 'EAGAIN')) throw error
          await session.ready(POLLIN)
        }
      }
    }
    await drain()
    source.driver.memory.write(3 * MIB, new Uint8Array(2 * MIB).fill(0x77))
    await source.device.setState(DeviceState.STOP_COPY)
    const left = await source.device.stopCopyLength()
    const sent = stream.bytes.length
    await drain()
    expect(stream.bytes.length - sent).toBe(left)
    await source.device.setState(STOP)
    const target = await openBulk(memoryBytes, engine)
    await restore(target.device, new RecordingSource(stream.bytes), { worker })
    expect(Buffer.compare(target.content(), source.content())).toBe(0)
    await source.device.close()
    await target.device.close()
    expect(engine.allocatedBytes).toBe(0)
  })

  it('was closed before is EBADF, and the device goes on', async () => {
    const closed = await createTestWorker()
    await closed.close()
    const engine = await createEngine({ memoryBytes: 8 * MIB, shared: true })
    const bulk = await openBulk(100_000, engine)
    const content = bulk.content()
    const saved = await failureOf(() => save(bulk.device, new RecordingSink(), { worker: closed }))
    const restored = await failureOf(() =>
      restore(bulk.device, new RecordingSource(new Uint8Array(0)), { worker: closed }),
    )
    expect([saved.code, restored.code]).toEqual(['EBADF', 'EBADF'])
    expect(await bulk.device.state()).toBe(RUNNING)
    expect(Buffer.compare(bulk.content(), content)).toBe(0)
  })

  it('finds no room for its scratch is not used', async () => {
    const engine = await createEngine({ memoryBytes: 1_200_000, shared: true })
    const source = await openBulk(300_000, engine, 0x5a)
    const target = await openBulk(300_000, engine)
    const room = engine.allocate(engine.memoryBytes - engine.allocatedBytes - 40_000)
    const [here, there] = memoryPair()
    await Promise.all([save(source.device, here, { worker }), restore(target.device, there, { worker })])
    expect(Buffer.compare(target.content(), source.content())).toBe(0)
    engine.free(room)
  })

  it('is cancelled in the middle lets go before the device runs', async () => {
    const engine = await createEngine({ memoryBytes: 60 * MIB, shared: true })
    const source = await openBulk(memoryBytes, engine, 0x5a)
    const target = await openBulk(memoryBytes, engine)
    const powerOn = target.content()
    for (const limit of [0, 1, 3, 7, 12]) {
      const canceling = new AbortController()
      const [here, there] = memoryPair()
      const onProgress = ({ bytes }: { bytes: number }): void => {
        if (bytes >= limit * MIB) canceling.abort()
      }
      const [saved, restored] = await Promise.all([
        failureOf(() => save(source.device, here, { worker })),
        failureOf(() => restore(target.device, there, { worker, onProgress, signal: canceling.signal })),
      ])
      expect(restored.code).toBe('ECANCELED')
      expect(saved.code).toBe('EPIPE')
      expect(await target.device.state()).toBe(RUNNING)
      expect(Buffer.compare(target.content(), powerOn)).toBe(0)
    }
    await source.device.close()
    await target.device.close()
    expect(engine.allocatedBytes).toBe(0)
  })

  it('serves several transfers at once', async () => {
    const engine = await createEngine({ memoryBytes: 40 * MIB, shared: true })
    const pairs = await Promise.all(
      [1, 2, 3].map(async (fill) => [
        await openBulk(3 * MIB + fill, engine, fill),
        await openBulk(3 * MIB + fill, engine),
      ]),
    )
    await Promise.all(
      pairs.map(async ([source, target]) => {
        const [here, there] = memoryPair()
        await Promise.all([
          save((source as Bulk).device, here, { worker }),
          restore((target as Bulk).device, there, { worker }),
        ])
      }),
    )
    for (const [source, target] of pairs)
      expect(Buffer.compare((target as Bulk).content(), (source as Bulk).content())).toBe(0)
  })
})
