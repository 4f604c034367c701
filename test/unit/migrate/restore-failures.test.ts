import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { defaultEngine } from '../../../src/engine/default-engine.ts'
import { VfioError, type ErrnoName } from '../../../src/errors.ts'
import { restore, type RestoreOptions } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { FaultyDevice, type Faults } from '../../../src/testing/faulty-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'
import { createSampler, HopelessDevice, kindNamed, overridden, savedStream } from './test-devices.ts'

const MTTY = 'mtty of 1 port(s)'
const SAMPLER = 'a defined device with memory'
const { RUNNING, STOP, RUNNING_P2P, PRE_COPY } = DeviceState
const mttyStream = await savedStream(kindNamed(MTTY))
const samplerStream = await savedStream(kindNamed(SAMPLER))

interface Row {
  readonly faults: Faults
  readonly options?: RestoreOptions
  readonly original?: DeviceState
  readonly code: ErrnoName
  readonly state: DeviceState
  readonly resets: number
  /** Whether the device holds what it held before: RESUMING was never entered. */
  readonly kept?: true
}

const ROWS: readonly Row[] = [
  {
    faults: { failAt: 'RUNNING->RUNNING_P2P', errno: 'EBUSY' },
    code: 'EBUSY',
    state: RUNNING,
    resets: 0,
    kept: true,
  },
  { faults: { failAt: 'RUNNING_P2P->STOP' }, code: 'EIO', state: RUNNING, resets: 0, kept: true },
  {
    faults: { failAt: 'STOP->RESUMING', errno: 'ENOMEM' },
    code: 'ENOMEM',
    state: RUNNING,
    resets: 0,
    kept: true,
  },
  { faults: { failAt: 'STOP->RESUMING' }, original: STOP, code: 'EIO', state: STOP, resets: 0, kept: true },
  { faults: { failAt: 'STOP->RESUMING', toError: true }, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failWrite: 0, errno: 'EPROTO' }, code: 'EPROTO', state: RUNNING, resets: 1 },
  { faults: { failWrite: 30 }, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failWrite: 30 }, original: STOP, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failAt: 'RESUMING->STOP', errno: 'EBUSY' }, code: 'EBUSY', state: RUNNING, resets: 1 },
  { faults: { failAt: 'RESUMING->STOP', toError: true }, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failAt: 'STOP->RUNNING_P2P' }, code: 'EIO', state: RUNNING, resets: 1 },
  { faults: { failAt: 'RUNNING_P2P->RUNNING' }, code: 'EIO', state: RUNNING, resets: 1 },
  {
    faults: { failAt: 'STOP->RUNNING_P2P' },
    options: { finalState: RUNNING_P2P },
    code: 'EIO',
    state: RUNNING,
    resets: 1,
  },
]

describe.each([MTTY, SAMPLER])('facts C.1.13: a restore of %s that fails', (name) => {
  const stream = name === MTTY ? mttyStream : samplerStream
  const create = () => (name === MTTY ? createMtty() : createSampler())

  it.each(ROWS)('with $faults from state $original reports $code and leaves state $state', async (row) => {
    const driver = new FaultyDevice(create())
    const device = await VfioDevice.open(driver)
    await device.setState(row.original ?? RUNNING)
    Object.assign(driver.faults, row.faults)
    const source = new RecordingSource(stream)
    const failure = await failureOf(() => restore(device, source, row.options))
    expect(failure).toMatchObject({ code: row.code, state: row.state })
    expect(failure.message).toContain('a fault was injected here')
    expect(await device.state()).toBe(row.state)
    expect(driver.resets).toBe(row.resets)
    expect(source.cancels).toHaveLength(1)
    Object.assign(driver.faults, { failAt: undefined, failWrite: undefined })
    expect(await codeOf(() => restore(device, new RecordingSource(stream)))).toBe('ok')
  })
})

describe('the content of a defined device', () => {
  it.each(ROWS)('after $faults is power-on content, unless RESUMING was never tried', async (row) => {
    const sampler = createSampler()
    const driver = new FaultyDevice(sampler)
    const device = await VfioDevice.open(driver)
    sampler.state.cursor = 99
    sampler.memory.samples.write(0, Uint8Array.of(1, 2, 3))
    await device.setState(row.original ?? RUNNING)
    Object.assign(driver.faults, row.faults)
    expect(await codeOf(() => restore(device, new RecordingSource(samplerStream), row.options))).toBe(
      row.code,
    )
    expect(sampler.state.cursor).toBe(row.kept ? 99 : 0)
    const content = sampler.memory.samples.bytes
    expect([...content.subarray(0, 3)]).toEqual(row.kept ? [1, 2, 3] : [0, 0, 0])
    expect(content.subarray(3).every((byte) => byte === 0)).toBe(true)
  })
})

describe('a restore that fails', () => {
  it('reports the first error when the reset fails too: the device is lost in ERROR', async () => {
    const driver = new HopelessDevice(createMtty(), { failWrite: 30, errno: 'EPROTO' })
    const device = await VfioDevice.open(driver)
    const source = new RecordingSource(mttyStream)
    const failure = await failureOf(() => restore(device, source))
    expect(failure).toMatchObject({ code: 'EPROTO', state: DeviceState.ERROR })
    expect(failure.message).toMatch(/; the reset failed too \(.*\): the device is lost in ERROR, close it$/)
    expect(source.cancels).toHaveLength(1)
  })

  it('because the source failed reports its errno', async () => {
    const device = await VfioDevice.open(createSampler())
    const source = new RecordingSource(samplerStream, 1000)
    let reads = 0
    source.onRead = () => {
      if (++reads === 20) throw Object.assign(new Error('connection timed out'), { code: 'ETIMEDOUT' })
    }
    const failure = await failureOf(() => restore(device, source))
    expect(failure).toMatchObject({ code: 'ETIMEDOUT', state: RUNNING })
    expect(failure.message).toContain('Cannot restore the device: connection timed out, see the cause')
  })

  it('because the device was reset from outside reports ENODEV, and nothing is written after it', async () => {
    const sampler = createSampler()
    const device = await VfioDevice.open(sampler)
    const source = new RecordingSource(samplerStream, 5000)
    const stuck = deferred()
    let reads = 0
    source.onRead = () => {
      if (++reads < 10) return undefined
      stuck.resolve()
      return new Promise(() => {})
    }
    const restoring = failureOf(() => restore(device, source))
    await stuck.promise
    await device.reset()
    expect(await restoring).toMatchObject({ code: 'ENODEV', state: RUNNING })
    expect(source.cancels.length).toBeGreaterThan(0)
    expect(sampler.memory.samples.bytes.every((byte) => byte === 0)).toBe(true)
  })

  it('because RESUMING opened no session reports EIO', async () => {
    const device = await VfioDevice.open(createMtty())
    const mute = overridden(device, {
      async setState(target) {
        await device.setState(target)
        return undefined
      },
    })
    const failure = await failureOf(() => restore(mute, new RecordingSource(mttyStream)))
    expect(failure).toMatchObject({ code: 'EIO', state: RUNNING })
  })

  it('facts C.1.12: resets a device found in RESUMING after a SET that was reported as failed', async () => {
    const driver = new FaultyDevice(createMtty())
    const device = await VfioDevice.open(driver)
    const sets: DeviceState[] = []
    const liar = overridden(device, {
      async setState(target) {
        sets.push(target)
        await device.setState(target)
        throw new VfioError('EFAULT', 'Cannot ioctl: the write-back failed')
      },
    })
    const failure = await failureOf(() => restore(liar, new RecordingSource(mttyStream)))
    expect(failure).toMatchObject({ code: 'EFAULT', state: RUNNING })
    // A SET from RESUMING would load what came so far.
    expect(sets).toEqual([DeviceState.RESUMING])
    expect(driver.resets).toBe(1)
  })
})

describe('a restore is refused before anything changed', () => {
  it.each([
    [DeviceState.ERROR, 'EIO'],
    [DeviceState.RESUMING, 'EBUSY'],
    [DeviceState.STOP_COPY, 'EBUSY'],
    [PRE_COPY, 'EBUSY'],
    [DeviceState.PRE_COPY_P2P, 'EBUSY'],
  ] as const)('in state %s with %s', async (state, code) => {
    const driver = new FaultyDevice(createMtty(), { failAt: 'RUNNING->RUNNING_P2P', toError: true })
    const device = await VfioDevice.open(driver)
    if (state !== DeviceState.ERROR) driver.faults.failAt = undefined
    await device.setState(state === DeviceState.ERROR ? STOP : state).catch(() => {})
    const arcs = driver.transitions.length
    const source = new RecordingSource(mttyStream)
    expect(await failureOf(() => restore(device, source))).toMatchObject({ code, state })
    expect(await device.state()).toBe(state)
    expect(driver.transitions).toHaveLength(arcs)
    expect(driver.resets).toBe(0)
    expect(source.cancels).toHaveLength(1)
  })

  it('with a final state that no restore can end in: EINVAL', async () => {
    const device = await VfioDevice.open(createMtty())
    for (const finalState of [0, 3, 4, 6, 7, 8]) {
      const options = { finalState: finalState as DeviceState }
      expect(await codeOf(() => restore(device, new RecordingSource(mttyStream), options))).toBe('EINVAL')
    }
    expect(await device.state()).toBe(RUNNING)
  })
})

async function refusal(stream: Uint8Array, device: VfioDevice): Promise<VfioError> {
  const failure = await failureOf(() => restore(device, new RecordingSource(stream)))
  expect(failure.state).toBe(RUNNING)
  expect(await device.state()).toBe(RUNNING)
  return failure
}

describe('a stream that does not fit', () => {
  it('names the option that differs, wanted and found', async () => {
    const failure = await refusal(mttyStream, await VfioDevice.open(createMtty({ ports: 2 })))
    expect(failure).toMatchObject({ code: 'EINVAL', section: 'section 0 (CONFIG)', offset: 128 })
    expect(failure.message).toContain('ports is 2 here and 1 in the stream')
  })

  it('names both types, also where only one of the devices speaks the checked format', async () => {
    const toMtty = await refusal(samplerStream, await VfioDevice.open(createMtty()))
    expect(toMtty.code).toBe('EINVAL')
    expect(toMtty.message).toContain('it holds a "sampler", this device is a "mtty"')
    const toSampler = await refusal(mttyStream, await VfioDevice.open(createSampler()))
    expect(toSampler.code).toBe('EINVAL')
  })

  it('of the checked format is refused by an opaque device of the same type, and a newer version by name', async () => {
    const mtty = createMtty()
    const checked = overridden(await VfioDevice.open(mtty), {
      identity: { ...mtty.identity, type: 'sampler' },
    })
    const plain = await failureOf(() => restore(checked, new RecordingSource(samplerStream)))
    expect(plain.code).toBe('EINVAL')
    expect(plain.message).toContain('it holds checked state and pages')
    const older = createMtty()
    const old = overridden(await VfioDevice.open(older), { identity: { ...older.identity, version: 0 } })
    const newer = await failureOf(() => restore(old, new RecordingSource(mttyStream)))
    expect(newer.code).toBe('EOPNOTSUPP')
    expect(newer.message).toContain('device version 1 is not one of 1 to 0')
  })
})

describe('a restore that is canceled', () => {
  const reason = new Error('enough')

  it('before it began touches nothing', async () => {
    const driver = new FaultyDevice(createMtty())
    const device = await VfioDevice.open(driver)
    const source = new RecordingSource(mttyStream)
    const failure = await failureOf(() => restore(device, source, { signal: AbortSignal.abort(reason) }))
    expect(failure).toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(driver.transitions).toEqual([])
    expect(source.cancels).toHaveLength(1)
  })

  it('during an arc before RESUMING goes back, and resets from RESUMING on', async () => {
    for (const [at, resets] of [
      ['RUNNING>RUNNING_P2P', 0],
      ['RUNNING_P2P>STOP', 0],
      ['STOP>RESUMING', 1],
      ['RESUMING>STOP', 1],
      ['STOP>RUNNING_P2P', 1],
    ] as const) {
      const driver = new ScriptedDriver()
      const device = await VfioDevice.open(driver)
      const saved = await savedScripted()
      const controller = new AbortController()
      driver.onArc = (arc) => {
        if (arc === at) controller.abort(reason)
      }
      const failure = await failureOf(() =>
        restore(device, new RecordingSource(saved), { signal: controller.signal }),
      )
      expect([at, failure.code, failure.cause, failure.state]).toEqual([at, 'ECANCELED', reason, RUNNING])
      expect(driver.calls.filter((call) => call === 'reset')).toHaveLength(resets)
    }
  })

  it('between two pieces, and while the source is stuck', async () => {
    const between = new AbortController()
    const first = createSampler()
    const canceled = await failureOf(async () =>
      restore(await VfioDevice.open(first), new RecordingSource(samplerStream), {
        signal: between.signal,
        onProgress: ({ bytes }) => {
          if (bytes > 10_000) between.abort(reason)
        },
      }),
    )
    expect(canceled).toMatchObject({ code: 'ECANCELED', cause: reason, state: RUNNING })
    expect(first.memory.samples.bytes.every((byte) => byte === 0)).toBe(true)

    const during = new AbortController()
    const second = await VfioDevice.open(createMtty())
    const stuck = new RecordingSource(mttyStream)
    stuck.onRead = () => new Promise(() => {})
    const restoring = failureOf(() => restore(second, stuck, { signal: during.signal }))
    await turn()
    during.abort(reason)
    expect(await restoring).toMatchObject({ code: 'ECANCELED', cause: reason, state: RUNNING })
    expect(stuck.cancels.length).toBeGreaterThan(0)
  })
})

async function savedScripted(): Promise<Uint8Array> {
  const sink = new RecordingSink()
  await save(await VfioDevice.open(new ScriptedDriver()), sink)
  return sink.bytes
}

it('restores give back what they took: the default engine ends as it began', async () => {
  const { device } = await kindNamed(MTTY).open(false)
  const before = (await defaultEngine()).allocatedBytes
  for (let round = 0; round < 20; round++) {
    const stream = mttyStream.slice()
    if (round % 2 === 1) stream[stream.length - 1]! ^= 1
    const code = await codeOf(() => restore(device, new RecordingSource(stream)))
    expect(code).toBe(round % 2 === 1 ? 'EBADMSG' : 'ok')
  }
  expect((await defaultEngine()).allocatedBytes).toBe(before)
})
