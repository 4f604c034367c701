import { describe, expect, it } from 'vitest'
import type { MigrationDevice } from '../../../src/device/migration-device.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { defaultEngine } from '../../../src/engine/default-engine.ts'
import { VfioError, type ErrnoName } from '../../../src/errors.ts'
import { save, type SaveOptions } from '../../../src/migrate/save.ts'
import { type ArcName, FaultyDevice, type Faults } from '../../../src/testing/faulty-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { RecordingSink } from './byte-ends.ts'
import { createSampler, HopelessDevice, mttyContent, overridden } from './test-devices.ts'

interface Row {
  readonly faults: Faults
  readonly options?: SaveOptions
  readonly original?: DeviceState
  /** A second fault, from the moment the first one was hit. */
  readonly then?: ArcName
  readonly code: ErrnoName
  readonly state: DeviceState
  readonly resets: number
}

const { RUNNING, STOP, RUNNING_P2P, PRE_COPY } = DeviceState

const ROWS: readonly Row[] = [
  { faults: { failAt: 'RUNNING->RUNNING_P2P', errno: 'EBUSY' }, code: 'EBUSY', state: RUNNING, resets: 0 },
  { faults: { failAt: 'RUNNING_P2P->STOP', errno: 'EBUSY' }, code: 'EBUSY', state: RUNNING, resets: 0 },
  { faults: { failAt: 'STOP->STOP_COPY', errno: 'ENOMEM' }, code: 'ENOMEM', state: RUNNING, resets: 0 },
  { faults: { failAt: 'STOP->STOP_COPY' }, original: STOP, code: 'EIO', state: STOP, resets: 0 },
  { faults: { failAt: 'STOP->STOP_COPY', toError: true }, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failRead: 0 }, code: 'EIO', state: RUNNING, resets: 0 },
  { faults: { failRead: 30, errno: 'EPROTO' }, code: 'EPROTO', state: RUNNING, resets: 0 },
  { faults: { failRead: 30 }, original: STOP, code: 'EIO', state: STOP, resets: 0 },
  { faults: { failRead: 30 }, original: RUNNING_P2P, code: 'EIO', state: RUNNING_P2P, resets: 0 },
  { faults: { failRead: 30 }, original: PRE_COPY, code: 'EIO', state: RUNNING, resets: 0 },
  {
    faults: { failRead: 30, errno: 'EPROTO', failAt: 'STOP->RUNNING_P2P' },
    code: 'EPROTO',
    state: RUNNING,
    resets: 1,
  },
  { faults: { failAt: 'STOP_COPY->STOP', errno: 'EBUSY' }, code: 'EBUSY', state: RUNNING, resets: 1 },
  { faults: { failAt: 'STOP_COPY->STOP' }, original: STOP, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failAt: 'STOP_COPY->STOP', toError: true }, code: 'EIO', state: RUNNING, resets: 1 },
  {
    faults: { failAt: 'STOP->RUNNING_P2P' },
    options: { finalState: RUNNING },
    code: 'EIO',
    state: RUNNING,
    resets: 1,
  },
]

describe('facts C.1.11: a save that fails', () => {
  it.each(ROWS)('with $faults from state $original reports $code and leaves state $state', async (row) => {
    const driver = new FaultyDevice(createMtty())
    const device = await VfioDevice.open(driver)
    const original = row.original ?? RUNNING
    device.regions?.write(0, 7, Uint8Array.of(0xa5))
    await device.setState(original)
    Object.assign(driver.faults, row.faults)
    const sink = new RecordingSink()
    const failure = await failureOf(() => save(device, sink, row.options))
    expect(failure).toMatchObject({ code: row.code, state: row.state })
    expect(failure.message).toContain('a fault was injected here')
    expect(await device.state()).toBe(row.state)
    expect(driver.resets).toBe(row.resets)
    expect(sink.aborts).toHaveLength(1)
    expect(sink.closes).toBe(0)
    // An mtty keeps its content even across a reset.
    expect(mttyContent(device, 1)).toEqual(Uint8Array.of(0xa5))
    driver.faults.failAt = undefined
    driver.faults.failRead = undefined
    expect(await codeOf(() => save(device, new RecordingSink()))).toBe('ok')
  })

  it('says in its message what became of the device', async () => {
    const driver = new FaultyDevice(createMtty(), { failRead: 30 })
    const device = await VfioDevice.open(driver)
    const back = await failureOf(() => save(device, new RecordingSink()))
    expect(back.message).toMatch(/Cannot read past byte 30: .*; the device is in RUNNING$/)
    driver.faults.failAt = 'STOP_COPY->STOP'
    const reset = await failureOf(() => save(device, new RecordingSink()))
    expect(reset.message).toMatch(/; the device was reset and is in RUNNING$/)
  })

  it('reports the first error when the reset fails too: the device is lost in ERROR', async () => {
    const driver = new HopelessDevice(createMtty(), {
      failAt: 'STOP->STOP_COPY',
      errno: 'ENOMEM',
      toError: true,
    })
    const device = await VfioDevice.open(driver)
    const sink = new RecordingSink()
    const failure = await failureOf(() => save(device, sink))
    expect(failure).toMatchObject({ code: 'ENOMEM', state: DeviceState.ERROR })
    expect(failure.message).toMatch(/; the reset failed too \(.*\): the device is lost in ERROR, close it$/)
    expect(sink.aborts).toHaveLength(1)
  })

  it('believes no reset that left the device elsewhere: it is lost', async () => {
    const driver = new FaultyDevice(createMtty(), { failAt: 'STOP->STOP_COPY', toError: true })
    const idle = overridden(await VfioDevice.open(driver), { reset: () => Promise.resolve() })
    const failure = await failureOf(() => save(idle, new RecordingSink()))
    expect(failure.state).toBe(DeviceState.ERROR)
    expect(failure.message).toMatch(/; the reset failed too: the device is lost in ERROR, close it$/)
  })

  it('facts C.1.12: believes only state() after a failed SET', async () => {
    const device = await VfioDevice.open(createMtty())
    const sets: DeviceState[] = []
    // The SET is reported as failed, and yet the device is where it was asked to go.
    const liar = overridden(device, {
      async setState(target) {
        sets.push(target)
        await device.setState(target)
        throw new VfioError('EFAULT', 'Cannot ioctl: the write-back failed')
      },
    })
    const failure = await failureOf(() => save(liar, new RecordingSink()))
    expect(failure).toMatchObject({ code: 'EFAULT', state: RUNNING })
    expect(sets).toEqual([DeviceState.STOP_COPY, RUNNING])
    expect(failure.message).toMatch(/; the device is in RUNNING$/)
  })

  it.each(['open', 'write', 'close'] as const)(
    'because of the sink in %s leaves the device as it was',
    async (at) => {
      const driver = new FaultyDevice(createMtty())
      const device = await VfioDevice.open(driver)
      const sink = new RecordingSink()
      const refused = Object.assign(new Error('no space left on device'), { code: 'ENOSPC', errno: -28 })
      sink.onCall = (call) => {
        if (call === at) throw refused
      }
      const failure = await failureOf(() => save(device, sink))
      expect(failure.code).toBe('ENOSPC')
      expect(failure.message).toContain('Cannot save the device: no space left on device')
      expect(await device.state()).toBe(RUNNING)
      expect(sink.aborts).toHaveLength(1)
      expect(driver.resets).toBe(0)
      if (at === 'open') expect(driver.transitions).toEqual([])
    },
  )

  it('because of a sink that throws anything reports EIO with that as its cause', async () => {
    const device = await VfioDevice.open(createMtty())
    const sink = new RecordingSink()
    sink.onCall = () => Promise.reject('a string')
    const failure = await failureOf(() => save(device, sink))
    expect(failure).toMatchObject({ code: 'EIO', cause: 'a string' })
  })

  it('because the device was reset from outside reports ENODEV', async () => {
    const device = await VfioDevice.open(createSampler())
    const sink = new RecordingSink()
    sink.onCall = (call) => (call === 'write' ? device.reset() : undefined)
    const failure = await failureOf(() => save(device, sink))
    expect(failure).toMatchObject({ code: 'ENODEV', state: RUNNING })
    expect(sink.closes).toBe(0)
  })

  it('because STOP_COPY opened no session reports EIO', async () => {
    const device = await VfioDevice.open(createMtty())
    const mute = overridden(device, {
      async setState(target) {
        await device.setState(target)
        return undefined
      },
    })
    expect(await failureOf(() => save(mute, new RecordingSink()))).toMatchObject({
      code: 'EIO',
      state: RUNNING,
    })
  })
})

describe('a save is refused before anything changed', () => {
  it.each([
    [DeviceState.ERROR, 'EIO'],
    [DeviceState.RESUMING, 'EBUSY'],
    [DeviceState.STOP_COPY, 'EBUSY'],
  ] as const)('in state %s with %s', async (state, code) => {
    const driver = new FaultyDevice(createMtty(), { failAt: 'RUNNING->RUNNING_P2P', toError: true })
    const device = await VfioDevice.open(driver)
    if (state !== DeviceState.ERROR) driver.faults.failAt = undefined
    await device.setState(state === DeviceState.ERROR ? STOP : state).catch(() => {})
    const arcs = driver.transitions.length
    const sink = new RecordingSink()
    expect(await failureOf(() => save(device, sink))).toMatchObject({ code, state })
    expect(await device.state()).toBe(state)
    expect(driver.transitions).toHaveLength(arcs)
    expect(driver.resets).toBe(0)
    expect(sink.aborts).toHaveLength(1)
  })

  it('on a device that cannot migrate: ENOTTY', async () => {
    const sink = new RecordingSink()
    const device = await VfioDevice.open(new ScriptedDriver({ flags: 0 }))
    expect(await codeOf(() => save(device, sink))).toBe('ENOTTY')
    expect(sink.aborts).toHaveLength(1)
  })

  it('on a device without the STOP_COPY bit: EOPNOTSUPP; higher bits are ignored', async () => {
    const device = await VfioDevice.open(createMtty())
    const flagged = (flags: number): MigrationDevice =>
      overridden(device, {
        migrationFlags: () => Promise.resolve(flags),
      })
    expect(await codeOf(() => save(flagged(6), new RecordingSink()))).toBe('EOPNOTSUPP')
    expect(await codeOf(() => save(flagged(0x107), new RecordingSink()))).toBe('ok')
  })

  it('with a final state that no save can end in: EINVAL', async () => {
    const device = await VfioDevice.open(createMtty())
    for (const finalState of [0, 3, 4, 6, 7, 8]) {
      const options = { finalState: finalState as DeviceState }
      expect(await codeOf(() => save(device, new RecordingSink(), options))).toBe('EINVAL')
    }
    const plain = await VfioDevice.open(new ScriptedDriver({ flags: 1 }))
    const p2p = { finalState: RUNNING_P2P }
    expect(await codeOf(() => save(plain, new RecordingSink(), p2p))).toBe('EINVAL')
    expect(await codeOf(() => save(device, new RecordingSink(), p2p))).toBe('ok')
    expect(await device.state()).toBe(RUNNING_P2P)
  })
})

describe('a save that is canceled', () => {
  const reason = new Error('enough')

  it('before it began touches nothing', async () => {
    const driver = new FaultyDevice(createMtty())
    const device = await VfioDevice.open(driver)
    const sink = new RecordingSink()
    const failure = await failureOf(() => save(device, sink, { signal: AbortSignal.abort(reason) }))
    expect(failure).toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(driver.transitions).toEqual([])
    expect(sink.aborts).toHaveLength(1)
  })

  it('during any arc goes back to where it was', async () => {
    for (const at of ['RUNNING>RUNNING_P2P', 'RUNNING_P2P>STOP', 'STOP>STOP_COPY', 'STOP_COPY>STOP']) {
      const driver = new ScriptedDriver()
      const device = await VfioDevice.open(driver)
      const controller = new AbortController()
      driver.onArc = (arc) => {
        if (arc === at) controller.abort(reason)
      }
      const sink = new RecordingSink()
      const failure = await failureOf(() => save(device, sink, { signal: controller.signal }))
      expect([at, failure.code, failure.cause, failure.state]).toEqual([at, 'ECANCELED', reason, RUNNING])
      expect(driver.calls).not.toContain('reset')
      expect([sink.aborts.length, sink.closes]).toEqual([1, 0])
    }
  })

  it('between two pieces, and while the sink is stuck until it is aborted', async () => {
    const between = new AbortController()
    const first = await VfioDevice.open(createSampler())
    const canceled = await failureOf(() =>
      save(first, new RecordingSink(), { signal: between.signal, onProgress: () => between.abort(reason) }),
    )
    expect(canceled).toMatchObject({ code: 'ECANCELED', cause: reason, state: RUNNING })

    const during = new AbortController()
    const second = await VfioDevice.open(createSampler())
    const stuck = new RecordingSink()
    stuck.onCall = (call) => (call === 'write' ? new Promise(() => {}) : undefined)
    const saving = failureOf(() => save(second, stuck, { signal: during.signal }))
    await turn()
    during.abort(reason)
    expect(await saving).toMatchObject({ code: 'ECANCELED', cause: reason, state: RUNNING })
    expect(await second.state()).toBe(RUNNING)
    expect(stuck.aborts).toHaveLength(1)
  })

  it('once the sink is being closed is too late: the save is done', async () => {
    const controller = new AbortController()
    const device = await VfioDevice.open(createMtty())
    const sink = new RecordingSink()
    sink.onCall = (call) => {
      if (call === 'close') controller.abort(reason)
    }
    const report = await save(device, sink, { signal: controller.signal })
    expect(report.state).toBe(STOP)
    expect([sink.aborts.length, sink.closes]).toEqual([0, 1])
  })
})

it('a save from PRE_COPY ends the session there and sends a whole stream of its own', async () => {
  const device = await VfioDevice.open(createSampler())
  const other = await device.setState(PRE_COPY)
  const sink = new RecordingSink()
  const { bytes, state } = await save(device, sink)
  expect(other?.ended.aborted).toBe(true)
  expect(state).toBe(STOP)
  expect(sink.bytes.length).toBe(bytes)
  expect(sink.bytes[1]).toBe(0x53)
})

it('a save gives back what it took: no session stays open, no frame stays allocated', async () => {
  const device = await VfioDevice.open(createMtty())
  const sessions: { closed: boolean }[] = []
  const spied = overridden(device, {
    async setState(target) {
      const session = await device.setState(target)
      if (session !== undefined) sessions.push(session)
      return session
    },
  })
  const before = (await defaultEngine()).allocatedBytes
  for (let round = 0; round < 20; round++) {
    const sink = new RecordingSink()
    if (round % 2 === 1)
      sink.onCall = (call) => (call === 'write' ? Promise.reject(new Error('full')) : undefined)
    expect(await codeOf(() => save(spied, sink))).toBe(round % 2 === 1 ? 'EIO' : 'ok')
    await device.setState(RUNNING)
  }
  expect(sessions).toHaveLength(20)
  expect((await defaultEngine()).allocatedBytes).toBe(before)
  expect(sessions.every(({ closed }) => closed)).toBe(true)
})
