import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import {
  createEngine,
  type DataSession,
  defineDevice,
  DeviceState,
  type Driver,
  migrate,
  type Tracking,
  u32,
  VfioDevice,
  VfioError,
  wrapMemory,
  type WrapMemoryOptions,
} from '../../../src/index.ts'
import { OwnedMemory } from '../../support/foreign-memory.ts'
import { codeOf } from '../../support/pending.ts'
import { concat } from '../../support/stream-builder.ts'
import { drain, restoreOpen, saveOpen, testEngine } from './session-io.ts'

const { RUNNING, STOP, STOP_COPY, PRE_COPY, RESUMING } = DeviceState
const PAGE = 4096
const OFFSET = 1000
/** Neither a whole page nor a whole piece. */
const BYTES = 150 * PAGE + 77

/** The ways to reach foreign memory. */
const WAYS = ['in place', 'in place, shared', 'staged', 'ArrayBuffer'] as const
type Way = (typeof WAYS)[number]

interface Guest {
  readonly driver: Driver & { memory: { ram: { bytes: Uint8Array } } }
  readonly bytes: () => Uint8Array
  readonly grow: () => void
  readonly asked: readonly number[]
}

function guest(
  way: Way,
  options: Partial<WrapMemoryOptions> & {
    compression?: 'lz4'
    onRun?: () => void
    onHalt?: () => void
  } = {},
): Guest {
  const { compression = 'none', onRun, onHalt, ...rest } = options
  const byteLength = rest.byteLength ?? BYTES
  const range = { byteOffset: OFFSET, byteLength, ...rest }
  const owner = new OwnedMemory(OFFSET + byteLength, { shared: way === 'in place, shared' })
  const buffer = new ArrayBuffer(OFFSET + byteLength)
  const ram =
    way === 'ArrayBuffer'
      ? wrapMemory(buffer, range)
      : way === 'staged'
        ? wrapMemory(owner.memory, range)
        : wrapMemory(owner.memory, { ...range, allocate: owner.allocate })
  const driver = defineDevice({
    type: 'guest',
    version: 1,
    engine: testEngine,
    compression,
    state: { ticks: u32() },
    memory: { ram },
    resume: () => onRun?.(),
    quiesce: () => onHalt?.(),
  })
  return {
    driver,
    asked: owner.asked,
    grow: () => {
      if (way !== 'ArrayBuffer') owner.memory.grow(1)
    },
    bytes: () =>
      way === 'ArrayBuffer' ? new Uint8Array(buffer, OFFSET, byteLength) : owner.bytes(OFFSET, byteLength),
  }
}

/** Some pages with content, zero pages between them. */
function scribble(bytes: Uint8Array, seed = 1): void {
  for (let page = 0; page * PAGE < bytes.length; page += 1 + ((page * seed) % 7))
    bytes.fill(1 + ((page + seed) % 250), page * PAGE, page * PAGE + PAGE - (page % 90))
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

describe.each(WAYS)('foreign memory, %s', (way) => {
  it.each([false, true])('goes through save and restore, stable %s', async (stable) => {
    const source = guest(way, { stable })
    const target = guest(way)
    scribble(source.bytes())
    target.bytes().fill(0xee)
    const [from, to] = [await VfioDevice.open(source.driver), await VfioDevice.open(target.driver)]
    const session = (await from.setState(STOP_COPY)) as DataSession
    const expected = await from.stopCopyLength()
    const stream = drain(session, 10_000)
    expect(stream.length).toBe(expected)
    await restoreOpen(to, stream)
    expect(same(target.bytes(), source.bytes())).toBe(true)
    await from.close()
    await to.close()
  })

  it('leases of stable memory show it where it lies, others are copies', async () => {
    for (const stable of [false, true]) {
      const source = guest(way, { stable })
      source.bytes().fill(7)
      const device = await VfioDevice.open(source.driver)
      const session = (await device.setState(STOP_COPY)) as DataSession
      const there = source.bytes().buffer
      let inPlace = 0
      for (let bytes = session.lease(1 << 20); bytes.length > 0; bytes = session.lease(1 << 20)) {
        if (bytes.buffer === there) inPlace += bytes.length
        session.release()
      }
      expect(inPlace).toBe(stable ? BYTES : 0)
      await device.close()
    }
  })

  it('compressed pages arrive too, from and to it', async () => {
    const source = guest(way, { compression: 'lz4' })
    const target = guest(way)
    scribble(source.bytes())
    const [from, to] = [await VfioDevice.open(source.driver), await VfioDevice.open(target.driver)]
    const stream = await saveOpen(from)
    expect(stream.length).toBeLessThan(BYTES / 4)
    await restoreOpen(to, stream)
    expect(same(target.bytes(), source.bytes())).toBe(true)
    await from.close()
    await to.close()
  })

  it('the memory is zero before the first page, and kept at open', async () => {
    const target = guest(way)
    target.bytes().fill(0xaa)
    const device = await VfioDevice.open(target.driver)
    expect(target.bytes().every((byte) => byte === 0xaa)).toBe(true)
    await device.setState(RESUMING)
    expect(target.bytes().every((byte) => byte === 0)).toBe(true)
    await device.reset()
    await device.close()
  })

  it('a damaged page never reaches it', async () => {
    const source = guest(way)
    source.bytes().fill(3)
    const from = await VfioDevice.open(source.driver)
    const stream = await saveOpen(from)
    await from.close()
    stream[stream.length >> 1]! ^= 1
    const target = guest(way)
    const to = await VfioDevice.open(target.driver)
    const session = (await to.setState(RESUMING)) as DataSession
    expect(await codeOf(() => session.write(stream))).toBe('EBADMSG')
    expect(target.bytes().every((byte) => byte === 3 || byte === 0)).toBe(true)
    expect(await codeOf(() => to.setState(STOP))).toBe('EINVAL')
    await to.close()
  })

  it.each(['hash', 'diff'] as const)(
    'is found written by %s at any moment, the memory growing meanwhile',
    async (tracking) => {
      const step = fc.record({
        page: fc.integer({ min: 0, max: 150 }),
        value: fc.integer({ min: 0, max: 2 }),
        read: fc.integer({ min: 0, max: 60_000 }),
        grow: fc.boolean(),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const source = guest(way, { tracking })
          const target = guest('staged')
          scribble(source.bytes())
          const from = await VfioDevice.open(source.driver)
          const session = (await from.setState(PRE_COPY)) as DataSession
          const parts: Uint8Array[] = []
          for (const { page, value, read, grow } of steps) {
            source.bytes()[page * PAGE + 9] = value
            if (grow && source.bytes().buffer.byteLength < 8 << 20) source.grow()
            const buffer = new Uint8Array(read)
            const code = await codeOf(() => parts.push(buffer.subarray(0, session.read(buffer))))
            expect(['ok', 'ENOMSG']).toContain(code)
          }
          await from.setState(STOP_COPY)
          parts.push(drain(session))
          const to = await VfioDevice.open(target.driver)
          await restoreOpen(to, concat(parts))
          expect(same(target.bytes(), source.bytes())).toBe(true)
          await from.close()
          await to.close()
        }),
        { numRuns: 25 },
      )
    },
  )

  it('longer than the pieces that are looked at after the stop, is found written up to its end', async () => {
    const pages = 2300
    const byteLength = pages * PAGE + 77
    const source = guest(way, { byteLength, tracking: 'hash' })
    const target = guest('staged', { byteLength })
    scribble(source.bytes())
    const from = await VfioDevice.open(source.driver)
    const session = (await from.setState(PRE_COPY)) as DataSession
    const parts: Uint8Array[] = []
    const buffer = new Uint8Array(1 << 20)
    while ((await codeOf(() => parts.push(buffer.slice(0, session.read(buffer))))) === 'ok');
    const written = [0, 63, 64, 511, 512, 1023, 1024, 1025, 2047, 2048, pages - 1, pages]
    for (const page of written) source.bytes()[page * PAGE + 70] = 0xa5
    await from.setState(STOP_COPY)
    const rest = drain(session)
    // What was found, and not all of it.
    expect(rest.length).toBeGreaterThan((written.length - 1) * PAGE)
    expect(rest.length).toBeLessThan(2 * written.length * PAGE)
    const to = await VfioDevice.open(target.driver)
    await restoreOpen(to, concat([...parts, rest]))
    expect(same(target.bytes(), source.bytes())).toBe(true)
    await from.close()
    await to.close()
  })

  it('walks live while its guest writes on a clock of its own, again and again in constant memory', async () => {
    const before = testEngine.allocatedBytes
    let written = 0
    const running = new Set<Guest>()
    /** Looks at the destination's memory the moment it begins to run. */
    let onArrival: ((arrived: Uint8Array) => void) | undefined
    const make = (): Guest => {
      let timer: ReturnType<typeof setInterval> | undefined
      const made: Guest = guest(way, {
        onRun: () => {
          onArrival?.(made.bytes())
          running.add(made)
          timer = setInterval(() => {
            const bytes = made.bytes()
            for (let i = 0; i < 5; i++) bytes[(written * 40_503) % BYTES] = ++written
          }, 1)
        },
        onHalt: () => {
          clearInterval(timer)
          running.delete(made)
        },
      })
      return made
    }
    const guests = [make(), make()]
    scribble(guests[0]!.bytes())
    let asked: number[] | undefined
    for (let round = 0; round < 4; round++) {
      const [source, target] = [guests[round % 2]!, guests[(round + 1) % 2]!]
      const to = await VfioDevice.open(target.driver)
      await to.setState(STOP)
      const from = await VfioDevice.open(source.driver)
      const start = written
      await vi.waitFor(() => expect(written).toBeGreaterThan(start + 20))
      const arrivals: boolean[] = []
      onArrival = (arrived) => arrivals.push(same(arrived, source.bytes()))
      const report = await migrate(from, to, {})
      onArrival = undefined
      expect(report.iterations.length).toBeGreaterThan(0)
      expect(arrivals).toEqual([true])
      expect([...running]).toEqual([target])
      await from.close()
      await to.close()
      asked ??= guests.map((each) => each.asked.length)
      expect(guests.map((each) => each.asked.length)).toEqual(asked)
    }
    expect(testEngine.allocatedBytes).toBe(before)
  })
})

it('precopy info tells what was found and nothing else', async () => {
  const source = guest('in place')
  const device = await VfioDevice.open(source.driver)
  const session = (await device.setState(PRE_COPY)) as DataSession
  expect(session.precopyInfo().initialBytes).toBeGreaterThan(0)
  drain(session)
  expect(session.precopyInfo()).toEqual({ initialBytes: 0, dirtyBytes: 0, reinit: false })
  source.bytes()[PAGE] = 1
  await session.ready(0x0001)
  expect(session.precopyInfo()).toEqual({ initialBytes: 0, dirtyBytes: 40 + PAGE, reinit: false })
  await device.close()
})

const over = (byteLength: number, allocate: (bytes: number) => number, tracking: Tracking = 'hash') => {
  const memory = new WebAssembly.Memory({ initial: 8 })
  const ram = wrapMemory(memory, { byteOffset: 0, byteLength, allocate, tracking })
  return defineDevice({ type: 'g', version: 1, engine: testEngine, state: {}, memory: { ram } })
}

/** A device whose model keeps a number outside its state. */
const openKept = async (calls: string[], refuse = false) => {
  const engine = await createEngine({ memoryBytes: 4 << 20 })
  let kept = 0
  const driver = defineDevice({
    type: 'kept',
    version: 1,
    engine,
    state: { copy: u32() },
    capture({ state }, { running }) {
      calls.push(running ? 'early' : 'stopped')
      state.copy = kept
    },
    load({ state }) {
      calls.push('load')
      if (refuse) throw new Error('the model does not take it')
      kept = state.copy
    },
  })
  return { device: await VfioDevice.open(driver), set: (n: number) => (kept = n), get: () => kept }
}

describe('wrapMemory() refuses', () => {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const buffer = new ArrayBuffer(100)
  it.each([
    [
      'a range past the end',
      () => wrapMemory(memory, { byteOffset: 4096, byteLength: 65_536 }),
      /stay inside/,
    ],
    ['a negative offset', () => wrapMemory(memory, { byteOffset: -1, byteLength: 10 }), /stay inside/],
    ['no number', () => wrapMemory(buffer, { byteOffset: 0, byteLength: Number.NaN }), /whole numbers/],
    ['half a byte', () => wrapMemory(buffer, { byteOffset: 0.5, byteLength: 1 }), /whole numbers/],
    [
      'kernels on an ArrayBuffer',
      () => wrapMemory(buffer, { byteOffset: 0, byteLength: 10, allocate: () => 8 }),
      /leave allocate out/,
    ],
    [
      'what is no memory',
      () => wrapMemory(new Uint8Array(9) as unknown as ArrayBuffer, { byteOffset: 0, byteLength: 10 }),
      /stay inside/,
    ],
    [
      'an object',
      () => wrapMemory({} as unknown as ArrayBuffer, { byteOffset: 0, byteLength: 10 }),
      /pass a WebAssembly.Memory or an ArrayBuffer/,
    ],
  ])('%s with EINVAL and a remedy', (_, call, remedy) => {
    let failure: unknown
    try {
      call()
    } catch (error) {
      failure = error
    }
    expect(VfioError.is(failure, 'EINVAL')).toBe(true)
    expect((failure as VfioError).message).toMatch(remedy)
  })
})

describe('a device over foreign memory', () => {
  it('does not open when allocate gives nothing, a pointer outside, or one in the range', async () => {
    const before = testEngine.allocatedBytes
    expect(await codeOf(() => VfioDevice.open(over(PAGE, () => 0)))).toBe('ENOMEM')
    expect(await codeOf(() => VfioDevice.open(over(PAGE, () => 8 * 65_536)))).toBe('EINVAL')
    let given = 4 * 65_536
    const outsideFirst = over(3 * 65_536, () => {
      const pointer = given
      given = 65_536
      return pointer
    })
    expect(await codeOf(() => VfioDevice.open(outsideFirst))).toBe('EINVAL')
    expect(testEngine.allocatedBytes).toBe(before)
  })

  it('takes the memory for itself until it is closed', async () => {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const ram = wrapMemory(memory, { byteOffset: 0, byteLength: 65_536 })
    const define = () => defineDevice({ type: 'g', version: 1, state: {}, memory: { ram } })
    const first = await VfioDevice.open(define())
    expect(await codeOf(() => VfioDevice.open(define()))).toBe('EBUSY')
    await first.close()
    await (await VfioDevice.open(define())).close()
  })

  it('says that a detached memory is gone', async () => {
    const buffer = new ArrayBuffer(3 * PAGE)
    const ram = wrapMemory(buffer, { byteOffset: 0, byteLength: 3 * PAGE })
    const device = await VfioDevice.open(defineDevice({ type: 'g', version: 1, state: {}, memory: { ram } }))
    const session = (await device.setState(PRE_COPY)) as DataSession
    structuredClone(buffer, { transfer: [buffer] })
    expect(await codeOf(() => session.read(new Uint8Array(10_000)))).toBe('EFAULT')
    await device.close()
  })

  it('with 64 MiB of it does not make an engine that large', async () => {
    const memory = new WebAssembly.Memory({ initial: 1024 })
    const ram = wrapMemory(memory, { byteOffset: 0, byteLength: 64 << 20 })
    const driver = defineDevice({ type: 'g', version: 1, state: {}, memory: { ram } })
    const device = await VfioDevice.open(driver)
    expect(driver.engine.memoryBytes).toBe(32 << 20)
    await device.close()
  })
})

describe('capture and load', () => {
  it('bring state in from where the model keeps it, and back', async () => {
    const calls: string[] = []
    const source = await openKept(calls)
    source.set(1)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const parts = [drain(session)]
    source.set(42)
    await source.device.setState(STOP_COPY)
    parts.push(drain(session))
    const target = await openKept(calls)
    await restoreOpen(target.device, concat(parts))
    expect(target.get()).toBe(42)
    await source.device.setState(STOP)
    await source.device.stopCopyLength()
    await source.device.setState(STOP_COPY)
    await source.device.stopCopyLength()
    expect(calls).toEqual(['early', 'stopped', 'load', 'stopped', 'stopped'])
    await target.device.setState(RESUMING)
    await target.device.stopCopyLength()
    expect(calls.length).toBe(5)
  })

  it('a load that throws refuses the stream', async () => {
    const source = await openKept([])
    const stream = await saveOpen(source.device)
    const target = await openKept([], true)
    await expect(restoreOpen(target.device, stream)).rejects.toThrow(/the model does not take it, reset/)
    expect(await target.device.state()).toBe(RESUMING)
    await target.device.reset()
    expect(await target.device.state()).toBe(RUNNING)
  })
})
