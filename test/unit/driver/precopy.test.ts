import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice, u32 } from '../../../src/driver/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { POLLIN } from '../../../src/uapi/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { concat, TAG, takeApart } from '../../support/stream-builder.ts'
import { drain, restoreOpen, testEngine } from './session-io.ts'

const { RUNNING, STOP_COPY, PRE_COPY, PRE_COPY_P2P } = DeviceState
const PAGE = 4096
const OPENING = 128 + 40

const define = (memory: Record<string, { byteLength: number }>, flags = 7) =>
  defineDevice({ type: 'pre-copy', version: 1, flags, engine: testEngine, state: { n: u32() }, memory })

async function open(memory: Record<string, { byteLength: number }>, flags = 7) {
  const driver = define(memory, flags)
  const device = await VfioDevice.open(driver)
  return { driver, device, regions: driver.memory as Record<string, (typeof driver.memory)['m']> }
}

/** Restores to a second device and compares all memory; closes both. */
async function expectRestored(source: Awaited<ReturnType<typeof open>>, stream: Uint8Array): Promise<void> {
  const sizes = Object.entries(source.regions).map(
    ([name, { byteLength }]) => [name, { byteLength }] as const,
  )
  const target = await open(Object.fromEntries(sizes))
  await restoreOpen(target.device, stream)
  for (const [name, region] of Object.entries(source.regions))
    expect(Buffer.compare(target.regions[name]!.bytes, region.bytes), name).toBe(0)
  expect(target.driver.state.n).toBe(source.driver.state.n)
  await target.device.close()
  await source.device.close()
}

it('a page that is marked after it was sent is sent again, others are not', async () => {
  const source = await open({ m: { byteLength: 10 * PAGE } })
  const { m } = source.driver.memory
  m!.bytes.fill(1)
  const session = await source.device.setState(PRE_COPY)
  const first = drain(session)
  m!.write(3 * PAGE + 5, Uint8Array.of(2))
  m!.bytes[7 * PAGE] = 9
  m!.mark(7 * PAGE, PAGE + 1)
  const second = drain(session)
  expect(second.length).toBe(40 + PAGE + 40 + 2 * PAGE)
  expect(drain(session).length).toBe(0)
  source.driver.state.n = 42
  await source.device.setState(STOP_COPY)
  const stream = concat([first, second, drain(session)])
  const pages = takeApart(stream).sections.filter(({ tag }) => tag === TAG.PAGES)
  expect(pages.map((section) => [section.first, section.payload.length / PAGE])).toEqual([
    [0, 10],
    [3, 1],
    [7, 2],
  ])
  await expectRestored(source, stream)
})

it('zero pages among others of a long run cost no bytes, wherever they lie, and the memory arrives', async () => {
  const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 3 })), {
    minLength: 1,
    maxLength: 5,
  })
  await fc.assert(
    fc.asyncProperty(runs, async (content) => {
      const pages = content.reduce((total, [full, zero]) => total + full + zero, 0)
      const source = await open({ m: { byteLength: pages * PAGE } })
      const { m } = source.driver.memory
      let at = 0
      for (const [full, zero] of content) {
        for (let page = at; page < at + full; page++) m!.bytes[page * PAGE + (page % PAGE)] = 1
        at += full + zero
      }
      const session = (await source.device.setState(PRE_COPY)) as DataSession
      const planned = session.precopyInfo()
      const first = drain(session)
      expect(first.length).toBe(planned.initialBytes)
      const { sections } = takeApart(first)
      const sent = sections.filter(({ tag }) => tag === TAG.PAGES)
      const full = content.reduce((total, [each]) => total + each, 0)
      expect(sent.reduce((total, { payload }) => total + payload.length, 0)).toBe(full * PAGE)
      await source.device.setState(STOP_COPY)
      await expectRestored(source, concat([first, drain(session)]))
    }),
    { numRuns: 60 },
  )
})

it('both counters follow every mark and every read', async () => {
  const { driver, device } = await open({ m: { byteLength: 20 * PAGE } })
  const { m } = driver.memory
  m!.bytes.fill(1)
  const session = (await device.setState(PRE_COPY)) as DataSession
  const closing = (await device.stopCopyLength()) - session.precopyInfo().initialBytes
  drain(session)
  for (const page of [3, 9, 9, 17]) {
    m!.write(page * PAGE, Uint8Array.of(page))
    const { initialBytes, dirtyBytes } = session.precopyInfo()
    expect([initialBytes, await device.stopCopyLength()]).toEqual([0, dirtyBytes + closing])
  }
  expect(session.precopyInfo().dirtyBytes).toBe(3 * (40 + PAGE))
  session.read(new Uint8Array(10))
  expect(session.precopyInfo().dirtyBytes).toBe(3 * (40 + PAGE) - 10)
  m!.write(9 * PAGE, new Uint8Array(PAGE))
  expect(session.precopyInfo().dirtyBytes).toBe(3 * (40 + PAGE) - 10 + 48)
  await device.close()
})

it('a page that became zero is sent again as zero', async () => {
  const source = await open({ m: { byteLength: 2 * PAGE + 10 } })
  const { m } = source.driver.memory
  m!.bytes.fill(1)
  const session = await source.device.setState(PRE_COPY)
  const first = drain(session)
  m!.write(PAGE, new Uint8Array(PAGE + 10))
  const second = drain(session)
  expect(second.length).toBe(48)
  await source.device.setState(STOP_COPY)
  await expectRestored(source, concat([first, second, drain(session)]))
})

it.each([
  ['a', 'b'],
  ['b', 'a'],
])(
  'scattered pages that became zero go as zero in STOP_COPY: those of %s, beside others of %s',
  async (zero, other) => {
    const source = await open({ a: { byteLength: 20 * PAGE }, b: { byteLength: 20 * PAGE } })
    for (const { bytes } of Object.values(source.regions)) bytes.fill(1)
    const session = await source.device.setState(PRE_COPY)
    const first = drain(session)
    for (let page = 0; page < 20; page += 4) {
      source.regions[other]!.write(page * PAGE, Uint8Array.of(2))
      source.regions[zero]!.write(page * PAGE, new Uint8Array(PAGE))
    }
    const length = await source.device.stopCopyLength()
    await source.device.setState(STOP_COPY)
    const last = drain(session)
    expect(last.length).toBe(length)
    const { sections } = takeApart(concat([first, last]))
    expect(sections.filter(({ tag }) => tag === TAG.ZERO)).toHaveLength(5)
    await expectRestored(source, concat([first, last]))
  },
)

it('a page that is written again and again starves no other', async () => {
  const source = await open({ m: { byteLength: 100 * PAGE } })
  const { m } = source.driver.memory
  const session = (await source.device.setState(PRE_COPY)) as DataSession
  drain(session)
  m!.write(50 * PAGE, Uint8Array.of(1))
  const seen: number[] = []
  for (let turn = 0; turn < 4; turn++) {
    m!.write(0, Uint8Array.of(turn + 1))
    const section = session.lease(40)
    seen.push(Number(new DataView(section.buffer, section.byteOffset).getBigUint64(16, true)))
    session.release()
    session.lease(PAGE)
    session.release()
  }
  expect(new Set(seen.slice(0, 2))).toEqual(new Set([0, 50]))
  await source.device.close()
})

describe('precopyInfo', () => {
  it('counts unread stream bytes: the first pass as initial, what was written since as dirty', async () => {
    const { driver, device } = await open({ m: { byteLength: 200 * PAGE + 100 } })
    const { m } = driver.memory
    m!.bytes.fill(7)
    const session = (await device.setState(PRE_COPY)) as DataSession
    const whole = session.precopyInfo()
    expect(whole).toMatchObject({ dirtyBytes: 0, reinit: false })
    m!.write(150 * PAGE, Uint8Array.of(1))
    // Not sent yet: it goes with the first pass.
    expect(session.precopyInfo()).toEqual(whole)
    let read = 0
    const buffer = new Uint8Array(10_007)
    while (session.precopyInfo().initialBytes > 0) {
      read += session.read(buffer.subarray(0, Math.min(buffer.length, session.precopyInfo().initialBytes)))
      expect(session.precopyInfo().initialBytes).toBe(whole.initialBytes - read)
      expect(session.precopyInfo().dirtyBytes).toBe(0)
    }
    expect(read).toBe(whole.initialBytes)
    m!.write(0, Uint8Array.of(1))
    m!.write(200 * PAGE, Uint8Array.of(1))
    expect(session.precopyInfo()).toMatchObject({ initialBytes: 0, dirtyBytes: 40 + PAGE + 40 + 100 })
    session.read(buffer.subarray(0, 50))
    expect(session.precopyInfo()).toMatchObject({ initialBytes: 0, dirtyBytes: PAGE - 10 + 40 + 100 })
    drain(session)
    expect(session.precopyInfo()).toEqual({ initialBytes: 0, dirtyBytes: 0, reinit: false })
    await device.close()
  })

  it('of a device without memory is the stream header and CONFIG, then nothing', async () => {
    const { device } = await open({})
    const session = (await device.setState(PRE_COPY)) as DataSession
    const { initialBytes } = session.precopyInfo()
    expect(drain(session).length).toBe(initialBytes)
    expect(initialBytes).toBeGreaterThan(OPENING)
    expect(session.poll()).toBe(0)
    await device.setState(STOP_COPY)
    expect(session.poll() & POLLIN).toBe(POLLIN)
    expect(drain(session).length).toBe(40 + 4 + 64)
    await device.close()
  })

  it('agrees with the bytes that are read, whatever is written between reads, and the memory arrives', async () => {
    const step = fc.oneof(
      fc.record({ read: fc.integer({ min: 1, max: 600_000 }) }),
      fc.record({
        at: fc.nat(),
        bytes: fc.integer({ min: 0, max: 20_000 }),
        value: fc.integer({ min: 0, max: 3 }),
      }),
    )
    const sizes = fc.array(fc.integer({ min: 0, max: 300_000 }), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.array(step, { maxLength: 40 }),
        fc.boolean(),
        async (lengths, steps, p2p) => {
          const source = await open(
            Object.fromEntries(lengths.map((byteLength, i) => [`m${i}`, { byteLength }])),
          )
          try {
            const session = (await source.device.setState(PRE_COPY)) as DataSession
            const chunks: Uint8Array[] = []
            for (const [index, action] of steps.entries()) {
              if (p2p && index === 20) await source.device.setState(PRE_COPY_P2P)
              if ('read' in action) {
                const before = session.precopyInfo()
                const length = await source.device.stopCopyLength()
                const buffer = new Uint8Array(action.read)
                const code = await codeOf(() => chunks.push(buffer.slice(0, session.read(buffer))))
                const unread = before.initialBytes + before.dirtyBytes
                expect(code).toBe(unread > 0 ? 'ok' : 'ENOMSG')
                const read = code === 'ok' ? (chunks.at(-1) as Uint8Array).length : 0
                const after = session.precopyInfo()
                expect(after.initialBytes).toBe(Math.max(0, before.initialBytes - read))
                expect(unread - after.initialBytes - after.dirtyBytes).toBe(read)
                expect(await source.device.stopCopyLength()).toBe(length - read)
              } else {
                const region = Object.values(source.regions)[action.at % lengths.length]!
                const offset = region.byteLength === 0 ? 0 : action.at % region.byteLength
                const byteLength = Math.min(action.bytes, region.byteLength - offset)
                region.write(offset, new Uint8Array(byteLength).fill(action.value))
              }
            }
            const length = await source.device.stopCopyLength()
            await source.device.setState(STOP_COPY)
            expect(await source.device.stopCopyLength()).toBe(length)
            const last = drain(session)
            expect(last.length).toBe(length)
            await expectRestored(source, concat([...chunks, last]))
          } catch (error) {
            // A failure is shrunk: what it leaves open must not fill the engine.
            await source.device.close().catch(() => {})
            throw error
          }
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('leases', () => {
  it('all frames out is EAGAIN, and poll says so; a release brings the next', async () => {
    const { driver, device } = await open({ m: { byteLength: 800 * PAGE } })
    driver.memory.m!.bytes.fill(3)
    const session = (await device.setState(PRE_COPY)) as DataSession
    let leases = 0
    const code = await codeOf(() => {
      for (;;) {
        session.lease(1_000_000)
        leases++
      }
    })
    // Header, CONFIG header and payload, then eight frames with a section each.
    expect([code, leases]).toEqual(['EAGAIN', 3 + 8])
    expect(session.poll()).toBe(0)
    const ready = session.ready(POLLIN)
    for (let i = 0; i < 4; i++) session.release()
    expect(await ready).toBe(POLLIN)
    expect(session.lease(1_000_000).length).toBe(40 + 64 * PAGE)
    expect(await codeOf(() => session.lease(1))).toBe('EAGAIN')
    while (leases-- > 4) session.release()
    session.release()
    expect(drain(session).length).toBeGreaterThan(0)
    await device.close()
  })

  it('a frame that is leased in parts is free when the last part is released', async () => {
    const { driver, device } = await open({ m: { byteLength: 64 * PAGE } })
    driver.memory.m!.bytes.fill(3)
    const session = (await device.setState(PRE_COPY)) as DataSession
    // Header, CONFIG header and payload, and the frame's section header.
    for (let i = 0; i < 3; i++) session.lease(1000)
    expect(session.lease(40).length).toBe(40)
    const parts = Array.from({ length: 64 }, () => session.lease(PAGE).length)
    expect(parts).toEqual(Array.from({ length: 64 }, () => PAGE))
    expect(await codeOf(() => session.lease(1))).toBe('ENOMSG')
    for (let i = 0; i < 68; i++) session.release()
    await device.close()
  })

  it('show what was there when they were taken, also after every page was written (issue 2, 6)', async () => {
    const pages = 200
    const source = await open({ m: { byteLength: pages * PAGE + 17 } })
    const { m } = source.driver.memory
    const writeAll = (value: number): void => {
      for (let page = 0; page <= pages; page++) m!.write(page * PAGE, Uint8Array.of(value, page & 0xff))
    }
    writeAll(1)
    const session = (await source.device.setState(PRE_COPY)) as DataSession
    const chunks: Uint8Array[] = []
    const held: Uint8Array[] = []
    let value = 2
    const takeBack = (): void => {
      chunks.push((held.shift() as Uint8Array).slice())
      session.release()
    }
    for (let round = 0; round < 60; round++) {
      const code = await codeOf(() => held.push(session.lease(1 + ((round * 7919) % 300_000))))
      writeAll(value++ & 0xff)
      if (code !== 'ok' || held.length > 6) takeBack()
    }
    // Leases survive PRE_COPY to STOP_COPY.
    expect(held.length).toBeGreaterThan(0)
    await source.device.setState(STOP_COPY)
    while (held.length > 0) takeBack()
    await expectRestored(source, concat([...chunks, drain(session)]))
  })

  it('in STOP_COPY are device memory itself', async () => {
    const { driver, device } = await open({ m: { byteLength: 100 * PAGE } })
    const { m } = driver.memory
    m!.bytes.fill(5)
    const session = (await device.setState(STOP_COPY)) as DataSession
    let inMemory = 0
    for (let bytes; (bytes = session.lease(1_000_000)).length > 0; session.release()) {
      const offset = bytes.byteOffset - m!.bytes.byteOffset
      if (bytes.buffer === m!.bytes.buffer && offset >= 0 && offset < m!.byteLength) inMemory += bytes.length
    }
    expect(inMemory).toBe(100 * PAGE)
    await device.close()
  })

  it('in PRE_COPY are none of device memory', async () => {
    const { driver, device } = await open({ m: { byteLength: 20 * PAGE } })
    const { m } = driver.memory
    m!.bytes.fill(5)
    const session = (await device.setState(PRE_COPY)) as DataSession
    for (let i = 0; i < 4; i++) {
      const bytes = session.lease(1_000_000)
      const offset = bytes.byteOffset - m!.bytes.byteOffset
      expect(bytes.buffer !== m!.bytes.buffer || offset < 0 || offset >= m!.byteLength).toBe(true)
    }
    await device.close()
    for (let i = 0; i < 4; i++) session.release()
  })
})

describe('ready', () => {
  it('wakes for a page written after everything was read, ENOMSG seen or not', async () => {
    const { driver, device } = await open({ m: { byteLength: 2 * PAGE } })
    const { m } = driver.memory
    const session = (await device.setState(PRE_COPY)) as DataSession
    drain(session)
    for (let turn = 1; turn < 5; turn++) {
      const ready = session.ready(POLLIN)
      m!.write(0, Uint8Array.of(turn))
      expect(await ready).toBe(POLLIN)
      // Reads exactly what there is, so that no read says ENOMSG.
      const { dirtyBytes } = session.precopyInfo()
      expect(session.read(new Uint8Array(dirtyBytes))).toBe(dirtyBytes)
      expect(session.poll()).toBe(0)
    }
    await device.close()
  })

  it('wakes for STOP_COPY', async () => {
    const { device } = await open({ m: { byteLength: 2 * PAGE } })
    const session = (await device.setState(PRE_COPY)) as DataSession
    drain(session)
    const ready = session.ready(POLLIN)
    await device.setState(STOP_COPY)
    expect(await ready).toBe(POLLIN)
    await device.close()
  })
})

it('PRE_COPY can be left and entered again: a new session sends everything', async () => {
  const source = await open({ m: { byteLength: 3 * PAGE } })
  source.driver.memory.m!.bytes.fill(1)
  const first = (await source.device.setState(PRE_COPY)) as DataSession
  drain(first)
  await source.device.setState(RUNNING)
  expect(await codeOf(() => first.read(new Uint8Array(1)))).toBe('ENODEV')
  const second = (await source.device.setState(PRE_COPY)) as DataSession
  const head = drain(second)
  await source.device.setState(STOP_COPY)
  await expectRestored(source, concat([head, drain(second)]))
})
