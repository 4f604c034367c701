import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice, type Tracking, u32 } from '../../../src/driver/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState, POLLIN } from '../../../src/uapi/index.ts'
import { codeOf } from '../../support/pending.ts'
import { concat, TAG, takeApart } from '../../support/stream-builder.ts'
import { drain, restoreOpen, testEngine } from './session-io.ts'

const { RUNNING, STOP_COPY, PRE_COPY, PRE_COPY_P2P } = DeviceState
const PAGE = 4096
/** Longer than a finding-nothing sweep counts for. */
const REST_MS = 11
const FOUND: readonly Tracking[] = ['hash', 'diff']

async function open(tracking: Tracking, byteLength: number, quiesce: (bytes: Uint8Array) => void = () => {}) {
  const driver = defineDevice({
    type: 'tracked',
    version: 1,
    engine: testEngine,
    state: { n: u32() },
    memory: { m: { byteLength, tracking } },
    quiesce: ({ memory }) => quiesce(memory.m.bytes),
  })
  const device = await VfioDevice.open(driver)
  return { driver, device, bytes: driver.memory.m.bytes }
}

/** Restores to a marked device and compares; closes both. */
async function expectRestored(source: Awaited<ReturnType<typeof open>>, stream: Uint8Array): Promise<void> {
  const target = await open('marked', source.bytes.length)
  await restoreOpen(target.device, stream)
  expect(Buffer.compare(target.bytes, source.bytes)).toBe(0)
  await target.device.close()
  await source.device.close()
}

/** First page and page count of the sections with content, and of those without. */
function pagesOf(stream: Uint8Array): { pages: number[][]; zeros: number[] } {
  const { sections } = takeApart(stream)
  const pages = sections.filter(({ tag }) => tag === TAG.PAGES)
  return {
    pages: pages.map(({ first, payload }) => [first, Math.ceil(payload.length / PAGE)]),
    zeros: sections.filter(({ tag }) => tag === TAG.ZERO).map(({ first }) => first),
  }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})

afterEach(() => {
  vi.useRealTimers()
})

describe.each(FOUND)('tracking %s', (tracking) => {
  it('finds a page that the device wrote without marking, in PRE_COPY', async () => {
    const source = await open(tracking, 700 * PAGE + 10)
    source.bytes.fill(1)
    const session = await source.device.setState(PRE_COPY)
    const parts = [drain(session)]
    source.bytes[3 * PAGE + 7] = 2
    source.bytes[700 * PAGE + 9] = 3
    vi.advanceTimersByTime(REST_MS)
    const second = drain(session)
    expect(second.length).toBe(40 + PAGE + 40 + 10)
    vi.advanceTimersByTime(REST_MS)
    expect(drain(session).length).toBe(0)
    await source.device.setState(STOP_COPY)
    const stream = concat([...parts, second, drain(session)])
    expect(pagesOf(stream).pages.slice(-2)).toEqual([
      [3, 1],
      [700, 1],
    ])
    await expectRestored(source, stream)
  })

  it('wakes who waits when a write is found', async () => {
    const source = await open(tracking, 300 * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    drain(session)
    const ready = session.ready(POLLIN)
    vi.advanceTimersByTime(REST_MS)
    expect(session.poll()).toBe(0)
    source.bytes[299 * PAGE] = 1
    vi.advanceTimersByTime(2 * REST_MS)
    expect((await ready) & POLLIN).toBe(POLLIN)
    expect(session.precopyInfo()).toEqual({ initialBytes: 0, dirtyBytes: 40 + PAGE, reinit: false })
    await source.device.close()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does not sweep again for every read that finds nothing', async () => {
    const source = await open(tracking, 8 * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    drain(session)
    source.bytes[0] = 1
    expect(await codeOf(() => session.read(new Uint8Array(10)))).toBe('ENOMSG')
    vi.advanceTimersByTime(REST_MS)
    expect(session.read(new Uint8Array(10))).toBe(10)
    await source.device.close()
  })

  it('finds what was written up to the stop, at every moment of PRE_COPY', async () => {
    const source = await open(tracking, 50 * PAGE, (bytes) => {
      bytes[49 * PAGE] = 9
    })
    source.bytes.fill(1, 0, 40 * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const parts = [drain(session)]
    source.bytes.fill(0, 5 * PAGE, 6 * PAGE)
    source.bytes[45 * PAGE] = 7
    await source.device.setState(STOP_COPY)
    const last = drain(session)
    const stream = concat([...parts, last])
    expect(pagesOf(stream)).toEqual({
      pages: [
        [0, 40],
        [45, 1],
        [49, 1],
      ],
      zeros: [40, 5],
    })
    await expectRestored(source, stream)
  })

  it('sends a page again that went back to what it held before it was sent', async () => {
    const source = await open(tracking, 4 * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const parts = [drain(session)]
    source.bytes[PAGE] = 1
    vi.advanceTimersByTime(REST_MS)
    // Found, and written again before and after it is copied.
    expect(session.poll() & POLLIN).toBe(POLLIN)
    source.bytes[PAGE] = 2
    parts.push(drain(session))
    source.bytes[PAGE] = 1
    vi.advanceTimersByTime(REST_MS)
    parts.push(drain(session))
    expect(parts.map(({ length }) => length).slice(1)).toEqual([40 + PAGE, 40 + PAGE])
    source.bytes[PAGE] = 0
    await source.device.setState(STOP_COPY)
    parts.push(drain(session))
    await expectRestored(source, concat(parts))
  })

  it('takes marks as well', async () => {
    const source = await open(tracking, 4 * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const parts = [drain(session)]
    source.driver.memory.m.write(2 * PAGE, Uint8Array.of(5))
    parts.push(drain(session))
    expect(parts[1]?.length).toBe(40 + PAGE)
    await source.device.setState(STOP_COPY)
    parts.push(drain(session))
    await expectRestored(source, concat(parts))
  })

  it('starts afresh in each session', async () => {
    const source = await open(tracking, 20 * PAGE)
    source.bytes.fill(3)
    drain(await source.device.setState(PRE_COPY))
    await source.device.setState(RUNNING)
    expect(vi.getTimerCount()).toBe(0)
    source.bytes.fill(4, 0, PAGE)
    const session = await source.device.setState(PRE_COPY)
    const parts = [drain(session)]
    source.bytes.fill(3, 0, PAGE)
    await source.device.setState(PRE_COPY_P2P)
    await source.device.setState(STOP_COPY)
    parts.push(drain(session))
    await expectRestored(source, concat(parts))
  })

  it('gives back all memory, and takes none when it does not fit', async () => {
    const before = testEngine.allocatedBytes
    const source = await open(tracking, 100 * PAGE)
    await source.device.close()
    expect(testEngine.allocatedBytes).toBe(before)
    // The region fits in 24 MiB, what is kept about its pages does not.
    const byteLength = tracking === 'diff' ? 16 << 20 : testEngine.memoryBytes - before - 16_384
    expect(await codeOf(() => open(tracking, byteLength))).toBe('ENOMEM')
    expect(testEngine.allocatedBytes).toBe(before)
  })
})

it.each(FOUND)(
  'a workload on its own timer that never marks arrives whole, tracking %s',
  async (tracking) => {
    const byteLength = 64 * PAGE + 100
    let timer: ReturnType<typeof setTimeout> | undefined
    let written = 0
    const driver = defineDevice({
      type: 'tracked',
      version: 1,
      engine: testEngine,
      state: { n: u32() },
      memory: { m: { byteLength, tracking } },
      resume({ memory }) {
        const tick = (): void => {
          // A multiplier that reaches every byte in an order of its own.
          memory.m.bytes[(written * 40_503) % byteLength] = ++written
          timer = setTimeout(tick, 1)
        }
        tick()
      },
      quiesce: () => clearTimeout(timer),
    })
    const device = await VfioDevice.open(driver)
    const session = (await device.setState(PRE_COPY)) as DataSession
    const parts: Uint8Array[] = []
    const buffer = new Uint8Array(10_000)
    for (let turn = 0; turn < 200; turn++) {
      vi.advanceTimersByTime(3)
      await codeOf(() => parts.push(buffer.slice(0, session.read(buffer))))
    }
    expect(written).toBeGreaterThan(600)
    await device.setState(STOP_COPY)
    const last = drain(session)
    expect(last.length).toBeLessThan(byteLength)
    parts.push(last)
    await expectRestored({ driver, device, bytes: driver.memory.m.bytes }, concat(parts))
  },
)

it('an unknown tracking is EINVAL', async () => {
  expect(await codeOf(() => open('guess' as Tracking, PAGE))).toBe('EINVAL')
})

describe.each(['marked', ...FOUND] as const)('writes at any moment of PRE_COPY, tracking %s', (tracking) => {
  const PAGES = 40
  const write = fc.record({
    kind: fc.constant('write' as const),
    page: fc.integer({ min: 0, max: PAGES }),
    offset: fc.integer({ min: 0, max: 10 }),
    // Few values, so that content comes back.
    value: fc.integer({ min: 0, max: 2 }),
  })
  const step = fc.oneof(
    { weight: 4, arbitrary: write },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('read' as const),
        bytes: fc.integer({ min: 1, max: 60_000 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('drain' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 25 }) }),
    },
  )

  it('what is restored is what the source holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.array(write, { maxLength: 4 }),
        async (steps, last) => {
          const apply = (bytes: Uint8Array, { page, offset, value }: (typeof last)[number]): void => {
            bytes[page * PAGE + offset] = value
          }
          const source = await open(tracking, PAGES * PAGE + 11, (bytes) => {
            for (const each of last) {
              apply(bytes, each)
              if (tracking === 'marked') source.driver.memory.m.mark(each.page * PAGE, 11)
            }
          })
          const session = (await source.device.setState(PRE_COPY)) as DataSession
          const parts: Uint8Array[] = []
          for (const each of steps) {
            if (each.kind === 'write') {
              apply(source.bytes, each)
              if (tracking === 'marked') source.driver.memory.m.mark(each.page * PAGE, 11)
            } else if (each.kind === 'wait') vi.advanceTimersByTime(each.ms)
            else if (each.kind === 'drain') parts.push(drain(session))
            else {
              const buffer = new Uint8Array(each.bytes)
              const code = await codeOf(() => parts.push(buffer.subarray(0, session.read(buffer))))
              expect(['ENOMSG', 'ok']).toContain(code)
            }
          }
          await source.device.setState(STOP_COPY)
          parts.push(drain(session))
          await expectRestored(source, concat(parts))
        },
      ),
    )
  })
})

it.each(FOUND)(
  '%s: a page queued as zero that went back to what was sent before is sent again',
  async (tracking) => {
    const source = await open(tracking, 400 * PAGE)
    for (let page = 0; page < 400; page++) source.bytes.fill(1 + (page % 200), page * PAGE, (page + 1) * PAGE)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const chunks = [drain(session)]
    const { m } = source.driver.memory
    // More than a frame before it, so that it waits in the queue.
    for (let page = 0; page < 200; page++) m.bytes.fill(77, page * PAGE, (page + 1) * PAGE)
    const before = m.bytes.slice(200 * PAGE, 201 * PAGE)
    m.bytes.fill(0, 200 * PAGE, 201 * PAGE)
    m.mark(0, 201 * PAGE)
    const first = new Uint8Array(100)
    session.read(first)
    chunks.push(first)
    m.bytes.set(before, 200 * PAGE)
    await source.device.setState(STOP_COPY)
    chunks.push(drain(session))
    await expectRestored(source, concat(chunks))
  },
)
