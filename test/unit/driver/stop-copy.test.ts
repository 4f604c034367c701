import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { blob, defineDevice, u32 } from '../../../src/driver/index.ts'
import { createEngine } from '../../../src/engine/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { concat } from '../../support/stream-builder.ts'
import { drain, restoreOpen, save, stateOf, testEngine } from './session-io.ts'

const { STOP, RUNNING, STOP_COPY, PRE_COPY, RESUMING } = DeviceState
const PAGE = 4096

/** A device whose region 0 is its register and region 1 its memory. */
const define = (byteLength = 20 * PAGE, stateBytes = 1, engine = testEngine) =>
  defineDevice({
    type: 'stop-copy',
    version: 1,
    engine,
    state: { n: u32(), raw: blob(stateBytes) },
    memory: { m: { byteLength } },
    regions: ({ state, memory }) => ({
      read: (index, offset, dst) => (index === 0 ? dst.fill(state.n) : memory.m.read(offset, dst)),
      write(index, offset, src) {
        if (index === 0) state.n = src[0] as number
        else memory.m.write(offset, src)
      },
    }),
  })

describe('the stop-copy length is what is then delivered', () => {
  it('wherever zero pages lie, and the memory arrives', async () => {
    // Room for two of the largest; a failure leaves its devices open, and those it is shrunk through.
    const engine = await createEngine({ memoryBytes: 1024 * 1024 * 1024 })
    // Runs of content and of zeros in turn, short and longer than what is looked at in one piece.
    const run = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 700 }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(run, { minLength: 1, maxLength: 8 }),
        fc.nat(PAGE - 1),
        async (runs, short) => {
          const byteLength = runs.reduce((total, pages) => total + pages, 0) * PAGE + short
          const driver = define(byteLength, 1, engine)
          const device = await VfioDevice.open(driver)
          const { m } = driver.memory
          let at = 0
          for (const [index, pages] of runs.entries()) {
            if (index % 2 === 0)
              for (let page = 0; page < pages; page++) m.bytes[at + page * PAGE] = 1 + index
            at += pages * PAGE
          }
          const session = (await device.setState(STOP_COPY)) as DataSession
          const chunks: Uint8Array[] = []
          for (let left = await device.stopCopyLength(); left > 0;) {
            const bytes = session.lease(1_000_000)
            chunks.push(bytes.slice())
            session.release()
            left -= bytes.length
            expect(await device.stopCopyLength()).toBe(left)
          }
          expect(session.lease(1).length).toBe(0)
          const target = define(byteLength, 1, engine)
          const restored = await VfioDevice.open(target)
          await restoreOpen(restored, concat(chunks))
          expect(Buffer.compare(target.memory.m.bytes, m.bytes)).toBe(0)
          await restored.close()
          await device.close()
        },
      ),
      { numRuns: 40 },
    )
  })

  it.each([
    [0, 1],
    [1, 1],
    [PAGE - 1, 1],
    [PAGE, 256 * 1024],
    [PAGE + 1, 256 * 1024 + 1],
    [300 * PAGE + 5, 700_000],
  ])('for %i bytes of memory and %i of state, from each state on the way', async (byteLength, stateBytes) => {
    const driver = define(byteLength, stateBytes)
    const device = await VfioDevice.open(driver)
    const { m } = driver.memory
    // Content in two pages of three, so that runs of both kinds come.
    for (let at = 0; at < byteLength; at += PAGE) if ((at / PAGE) % 3 > 0) m.write(at, Uint8Array.of(1))
    const running = await device.stopCopyLength()
    await device.setState(STOP)
    expect(await device.stopCopyLength()).toBe(running)
    const session = (await device.setState(STOP_COPY)) as DataSession
    expect(await device.stopCopyLength()).toBe(running)
    let left = running
    const buffer = new Uint8Array(50_001)
    for (let n; (n = session.read(buffer)) > 0;) {
      left -= n
      expect(await device.stopCopyLength()).toBe(left)
    }
    expect(left).toBe(0)
    await device.setState(RUNNING)
    expect(await device.stopCopyLength()).toBe(running)
    await device.setState(PRE_COPY)
    expect(await device.stopCopyLength()).toBe(running)
    await device.close()
  })
})

describe('in STOP_COPY nothing alters the stream', () => {
  it('register writes are stored and not sent', async () => {
    const driver = define()
    const device = await VfioDevice.open(driver)
    driver.state.n = 7
    const session = (await device.setState(STOP_COPY)) as DataSession
    const head = new Uint8Array(300)
    const read = session.read(head)
    device.regions?.write(0, 0, Uint8Array.of(9))
    const stream = concat([head.subarray(0, read), drain(session)])
    expect([...stateOf(stream)]).toEqual([7, 0, 0, 0, 0])
    expect(driver.state.n).toBe(9)
    await device.close()
    const target = define()
    const restored = await VfioDevice.open(target)
    await restoreOpen(restored, stream)
    expect(target.state.n).toBe(7)
    await restored.close()
  })

  it('memory writes are EBUSY in STOP_COPY and RESUMING, and work before and after', async () => {
    const driver = define()
    const device = await VfioDevice.open(driver)
    const { m } = driver.memory
    const write = (): Promise<string> => codeOf(() => m.write(5, Uint8Array.of(1)))
    const stream = await save(define())
    expect(await write()).toBe('ok')
    await device.setState(PRE_COPY)
    expect(await write()).toBe('ok')
    await device.setState(STOP_COPY)
    expect(await write()).toBe('EBUSY')
    expect(await codeOf(() => device.regions?.write(1, 5, Uint8Array.of(1)))).toBe('EBUSY')
    await device.setState(STOP)
    expect(await write()).toBe('ok')
    const session = await device.setState(RESUMING)
    expect(await write()).toBe('EBUSY')
    session?.write(stream)
    await device.setState(STOP)
    expect(await write()).toBe('ok')
    await device.setState(RESUMING)
    await device.reset()
    expect(await write()).toBe('ok')
    await device.close()
  })

  it('two saves of a stopped device are the same bytes', async () => {
    const driver = define()
    const device = await VfioDevice.open(driver)
    driver.memory.m.write(3 * PAGE, new Uint8Array(5000).fill(3))
    const first = drain(await device.setState(STOP_COPY))
    await device.setState(STOP)
    const second = drain(await device.setState(STOP_COPY), 1)
    expect(Buffer.compare(first, second)).toBe(0)
    await device.close()
  })
})

it('the end is permanent: read gives 0, lease an empty view, again and again', async () => {
  const device = await VfioDevice.open(define())
  const session = (await device.setState(STOP_COPY)) as DataSession
  drain(session)
  for (let i = 0; i < 3; i++)
    expect([session.read(new Uint8Array(9)), session.lease(9).length]).toEqual([0, 0])
  await device.close()
})

describe('a memory region', () => {
  it('checks the bounds of read, write and mark', async () => {
    const driver = define(10)
    const device = await VfioDevice.open(driver)
    const { m } = driver.memory
    const two = new Uint8Array(2)
    for (const call of [
      () => m.read(9, two),
      () => m.write(9, two),
      () => m.mark(9, 2),
      () => m.read(-1, two),
      () => m.write(0.5, two),
      () => m.mark(0, -1),
      () => m.mark(Number.NaN, 1),
      () => m.mark(2 ** 53, 1),
    ])
      expect(await codeOf(call)).toBe('EINVAL')
    m.write(8, Uint8Array.of(1, 2))
    m.read(8, two)
    expect([...two]).toEqual([1, 2])
    m.mark(10, 0)
    await device.close()
  })
})
