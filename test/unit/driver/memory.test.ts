import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { blob, defineDevice, u32 } from '../../../src/driver/index.ts'
import { createEngine, type Engine } from '../../../src/engine/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { buildStream, TAG, takeApart } from '../../support/stream-builder.ts'
import { drain, save, testEngine } from './session-io.ts'

const { STOP, STOP_COPY, PRE_COPY, RUNNING, RESUMING } = DeviceState
const BYTES = 100 * 4096

const define = (engine: Engine, byteLength = BYTES) =>
  defineDevice({
    type: 'memory',
    version: 1,
    engine,
    state: { n: u32({ max: 5 }), raw: blob(3000) },
    memory: { m: { byteLength } },
  })

it('opening takes memory and closing gives it back, 10,000 times over', async () => {
  const before = testEngine.allocatedBytes
  const driver = define(testEngine, 4096)
  for (let i = 0; i < 10_000; i++) {
    const device = await VfioDevice.open(driver)
    await device.close()
  }
  expect(testEngine.allocatedBytes).toBe(before)
})

it('ENOMEM at open changes nothing, at whichever allocation it comes', async () => {
  const whole = await createEngine({ memoryBytes: 1024 * 1024, variant: 'reference' })
  const device = await VfioDevice.open(define(whole))
  const needed = whole.allocatedBytes
  await device.close()
  let refused = 0
  for (let memoryBytes = 0; memoryBytes < needed; memoryBytes += Math.ceil(needed / 50)) {
    const engine = await createEngine({ memoryBytes, variant: 'reference' })
    expect(await codeOf(() => VfioDevice.open(define(engine)))).toBe('ENOMEM')
    expect(engine.allocatedBytes).toBe(0)
    refused++
  }
  // The small allocations come last: the last few bytes one by one.
  for (let memoryBytes = needed - 200; memoryBytes < needed; memoryBytes++) {
    const engine = await createEngine({ memoryBytes: 65_536, variant: 'reference' })
    const rest = define(engine, 0)
    const taken = engine.allocate(65_536 - (memoryBytes - BYTES - 13))
    const code = await codeOf(async () => (await VfioDevice.open(rest)).close())
    expect(['ok', 'ENOMEM']).toContain(code)
    engine.free(taken)
    expect(engine.allocatedBytes).toBe(0)
  }
  expect(refused).toBeGreaterThan(40)
})

it.each([
  ['STOP_COPY', STOP_COPY],
  ['PRE_COPY', PRE_COPY],
  ['RESUMING', RESUMING],
])(
  'a device for whose %s session there is no room stays where it was, and nothing is lost',
  async (_, target) => {
    const engine = await createEngine({ memoryBytes: 2 * 1024 * 1024, variant: 'reference' })
    const device = await VfioDevice.open(define(engine))
    const before = engine.allocatedBytes
    // All that is left but 300 bytes.
    const taken: number[] = []
    for (let size = 512 * 1024; size >= 300;)
      try {
        taken.push(engine.allocate(size))
      } catch {
        size = Math.floor(size / 2)
      }
    const full = engine.allocatedBytes
    if (target === RESUMING) {
      const session = await device.setState(RESUMING)
      const roomy = await createEngine({ memoryBytes: 2 * 1024 * 1024, variant: 'reference' })
      const stream = await save(define(roomy))
      expect(await codeOf(() => session?.write(stream))).toBe('ENOMEM')
      expect(await codeOf(() => device.setState(STOP))).toBe('EINVAL')
      await device.reset()
    } else {
      expect(await codeOf(() => device.setState(target))).toBe('ENOMEM')
      expect(await device.state()).toBe(target === PRE_COPY ? RUNNING : STOP)
    }
    expect(engine.allocatedBytes).toBe(full)
    for (const pointer of taken) engine.free(pointer)
    expect(engine.allocatedBytes).toBe(before)
    expect((await device.setState(target)) !== undefined).toBe(true)
    await device.close()
    expect(engine.allocatedBytes).toBe(0)
  },
)

it('RESUMING without any room is ENOMEM before the content is cleared: the device can run on', async () => {
  const engine = await createEngine({ memoryBytes: 1024 * 1024, variant: 'reference' })
  const driver = define(engine)
  const device = await VfioDevice.open(driver)
  driver.memory.m.write(5000, Uint8Array.of(1, 2, 3))
  driver.state.n = 4
  for (let size = 512 * 1024; size >= 1;)
    try {
      engine.allocate(size)
    } catch {
      size = Math.floor(size / 2)
    }
  expect(await codeOf(() => device.setState(RESUMING))).toBe('ENOMEM')
  expect(await device.state()).toBe(STOP)
  await device.setState(RUNNING)
  expect([...driver.memory.m.bytes.subarray(5000, 5003), driver.state.n]).toEqual([1, 2, 3, 4])
  driver.memory.m.write(0, Uint8Array.of(9))
  await device.close()
})

it('memory is EBUSY to write in RESUMING, also when power-on content was written on the way in', async () => {
  const driver = defineDevice({
    type: 'memory',
    version: 1,
    engine: testEngine,
    state: {},
    memory: { m: { byteLength: BYTES } },
    reset: ({ memory }) => memory.m.write(1, Uint8Array.of(7)),
  })
  const device = await VfioDevice.open(driver)
  await device.setState(RESUMING)
  expect(await codeOf(() => driver.memory.m.write(0, Uint8Array.of(1)))).toBe('EBUSY')
  expect([...driver.memory.m.bytes.subarray(0, 3)]).toEqual([0, 7, 0])
  await device.reset()
  driver.memory.m.write(0, Uint8Array.of(1))
  await device.close()
})

it('ENOMEM while a stream of an older version is loaded loses nothing', async () => {
  const engine = await createEngine({ memoryBytes: 1024 * 1024, variant: 'reference' })
  const state = { a: u32(), raw: blob(100_000) }
  const old = defineDevice({ type: 'older', version: 1, engine, state })
  const stream = await save(old)
  const driver = defineDevice({
    type: 'older',
    version: 2,
    engine,
    state: { ...state, b: u32({ since: 2 }) },
    validate: () => undefined,
  })
  const device = await VfioDevice.open(driver)
  const session = await device.setState(RESUMING)
  session?.write(stream)
  // No room for the candidate that validate() looks at, room for the program.
  const taken: number[] = []
  for (let size = 512 * 1024; size >= 80_000;)
    try {
      taken.push(engine.allocate(size))
    } catch {
      size -= 1000
    }
  const before = engine.allocatedBytes
  expect(await codeOf(() => device.setState(STOP))).toBe('ENOMEM')
  expect(engine.allocatedBytes).toBe(before)
  expect(await device.state()).toBe(RESUMING)
  for (const pointer of taken) engine.free(pointer)
  await device.setState(STOP)
  await device.close()
  expect(engine.allocatedBytes).toBe(0)
})

describe('a session that ended holds no engine memory', () => {
  it.each<[name: string, leave: (device: VfioDevice) => Promise<unknown>]>([
    ['an arc', (device) => device.setState(RUNNING)],
    ['a reset', (device) => device.reset()],
  ])('by %s', async (_, leave) => {
    const device = await VfioDevice.open(define(testEngine))
    const before = testEngine.allocatedBytes
    for (const state of [STOP_COPY, PRE_COPY]) {
      const session = await device.setState(state)
      expect(testEngine.allocatedBytes).toBeGreaterThan(before)
      drain(session)
      await leave(device)
      expect(testEngine.allocatedBytes).toBe(before)
    }
    await device.setState(RESUMING)
    expect(testEngine.allocatedBytes).toBeGreaterThan(before)
    await device.reset()
    expect(testEngine.allocatedBytes).toBe(before)
    await device.close()
  })

  it('after a whole stream was loaded', async () => {
    const stream = await save(define(testEngine))
    const device = await VfioDevice.open(define(testEngine))
    const before = testEngine.allocatedBytes
    const session = await device.setState(RESUMING)
    session?.write(stream)
    await device.setState(STOP)
    expect(testEngine.allocatedBytes).toBe(before)
    await device.close()
  })

  it('with leases out, once the last is released or the device is closed', async () => {
    const start = testEngine.allocatedBytes
    const driver = define(testEngine)
    const device = await VfioDevice.open(driver)
    driver.memory.m.bytes.fill(1)
    const before = testEngine.allocatedBytes
    const session = (await device.setState(PRE_COPY)) as DataSession
    for (let i = 0; i < 5; i++) session.lease(20)
    await device.reset()
    for (let i = 0; i < 5; i++) {
      expect(testEngine.allocatedBytes).toBeGreaterThan(before)
      session.release()
    }
    expect(testEngine.allocatedBytes).toBe(before)
    expect(await codeOf(() => session.release())).toBe('EINVAL')
    const last = (await device.setState(PRE_COPY)) as DataSession
    for (let i = 0; i < 5; i++) last.lease(20)
    await device.close()
    expect(testEngine.allocatedBytes).toBe(start)
    for (let i = 0; i < 5; i++) last.release()
    expect(testEngine.allocatedBytes).toBe(start)
  })

  it('a PRE_COPY lease keeps its bytes until it is released, whatever the device does', async () => {
    const driver = define(testEngine)
    const device = await VfioDevice.open(driver)
    driver.memory.m.bytes.fill(1)
    const session = (await device.setState(PRE_COPY)) as DataSession
    for (let i = 0; i < 4; i++) session.lease(100_000)
    const frame = session.lease(100_000)
    const copy = frame.slice()
    expect(copy.length).toBe(100_000)
    await device.reset()
    driver.memory.m.bytes.fill(2)
    drain(await device.setState(PRE_COPY))
    expect(Buffer.compare(frame, copy)).toBe(0)
    for (let i = 0; i < 5; i++) session.release()
    await device.close()
  })
})

it('a hostile stream makes a device allocate no more than its own state and one section', async () => {
  const stream = await save(define(testEngine))
  const { header, sections } = takeApart(stream)
  const device = await VfioDevice.open(define(testEngine))
  const before = testEngine.allocatedBytes
  const config = sections[0]!
  const hostile = [
    { configuration: { 'state.bytes': 2 ** 32 } },
    { configuration: { 'memory.0.bytes': 2 ** 32, 'memory.0.name': 'm', 'state.bytes': 0 } },
    {
      header,
      configuration: null,
      sections: [config, { tag: TAG.STATE, payload: new Uint8Array(0), payloadBytes: 2 ** 32 - 1 }],
    },
    {
      header,
      configuration: null,
      sections: [
        config,
        { tag: TAG.PAGES, payload: new Uint8Array(0), payloadBytes: 2 ** 20, first: 2n ** 50n },
      ],
    },
    {
      header,
      configuration: null,
      sections: [config, { tag: TAG.STATE, payload: new Uint8Array(0), payloadBytes: 2 ** 20 }],
    },
  ]
  for (const crafted of hostile) {
    const session = await device.setState(RESUMING)
    const code = await codeOf(() =>
      session?.write(
        buildStream({
          end: null,
          ...crafted,
          header: { type: 'memory', ...('header' in crafted ? header : {}) },
        }),
      ),
    )
    expect(code).not.toBe('ok')
    expect(testEngine.allocatedBytes - before).toBeLessThan(10_000)
    await device.reset()
    expect(testEngine.allocatedBytes).toBe(before)
  }
  await device.close()
})
