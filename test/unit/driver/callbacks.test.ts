import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice, u8 } from '../../../src/driver/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { DeviceState, MigrationFlag } from '../../../src/uapi/state.ts'
import { saveOpen, testEngine } from './session-io.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P, ERROR } = DeviceState

/** A device that writes down what it is told. */
function watched(flags: number, fail: { quiesce?: Error; resume?: Error } = {}) {
  const calls: string[] = []
  const take = (): string => calls.splice(0).join(' ')
  const driver = defineDevice({
    type: 'watched',
    version: 1,
    flags,
    engine: testEngine,
    state: { a: u8({ default: 1 }) },
    quiesce() {
      calls.push('quiesce')
      if (fail.quiesce !== undefined) throw fail.quiesce
    },
    resume() {
      calls.push('resume')
      if (fail.resume !== undefined) throw fail.resume
    },
    quiesceP2p: () => void calls.push('quiesceP2p'),
    resumeP2p: () => void calls.push('resumeP2p'),
    reset: () => void calls.push('reset'),
  })
  return { driver, take, fail }
}

type Walk = readonly (readonly [to: DeviceState | 'reset', calls: string])[]

const STOPPED: Walk = [
  [STOP_COPY, ''],
  [STOP, ''],
]

describe.each<[flags: number, name: string, walk: Walk]>([
  [
    1,
    'STOP_COPY',
    [
      [STOP, 'quiesce'],
      ...STOPPED,
      [RUNNING, 'resume'],
      [RESUMING, 'quiesce reset'],
      ['reset', 'reset resume'],
      ['reset', 'quiesce reset resume'],
    ],
  ],
  [
    3,
    'P2P',
    [
      [RUNNING_P2P, 'quiesceP2p'],
      [STOP, 'quiesce'],
      ...STOPPED,
      [RUNNING_P2P, 'resume'],
      [RUNNING, 'resumeP2p'],
      [STOP_COPY, 'quiesceP2p quiesce'],
      [RUNNING, 'resume resumeP2p'],
      [RESUMING, 'quiesceP2p quiesce reset'],
      ['reset', 'reset resume resumeP2p'],
      [RUNNING_P2P, 'quiesceP2p'],
      ['reset', 'quiesce reset resume resumeP2p'],
      ['reset', 'quiesce reset resume'],
    ],
  ],
  [
    5,
    'PRE_COPY',
    [
      [PRE_COPY, ''],
      [RUNNING, ''],
      [PRE_COPY, ''],
      [STOP_COPY, 'quiesce'],
      [STOP, ''],
      [RUNNING, 'resume'],
      [PRE_COPY, ''],
      ['reset', 'quiesce reset resume'],
    ],
  ],
  [
    7,
    'P2P and PRE_COPY',
    [
      [PRE_COPY, ''],
      [PRE_COPY_P2P, 'quiesceP2p'],
      [PRE_COPY, 'resumeP2p'],
      [STOP_COPY, 'quiesceP2p quiesce'],
      [STOP, ''],
      [RUNNING_P2P, 'resume'],
      [PRE_COPY_P2P, ''],
      [RUNNING_P2P, ''],
      [RUNNING, 'resumeP2p'],
      [PRE_COPY_P2P, 'quiesceP2p'],
      ['reset', 'quiesce reset resume resumeP2p'],
    ],
  ],
])('flags %i (%s)', (flags, _, walk) => {
  it('each arc calls quiesce and resume as often as it must', async () => {
    const { driver, take } = watched(flags)
    const device = await VfioDevice.open(driver)
    expect(take()).toBe('reset resume')
    for (const [to, calls] of walk) {
      await (to === 'reset' ? device.reset() : device.setState(to))
      expect(`${to}: ${take()}`).toBe(`${to}: ${calls}`)
    }
    await device.close()
    const running = walk.at(-1)?.[0] === 'reset'
    expect(take()).toBe(running ? 'quiesce' : '')
  })
})

it.each([1, 3, 5, 7])(
  'flags %i: a quiesce that throws keeps the last state and the device running',
  async (flags) => {
    const { driver, take, fail } = watched(flags)
    const device = await VfioDevice.open(driver)
    take()
    const preCopy = (flags & MigrationFlag.PRE_COPY) !== 0
    if (preCopy) await device.setState(PRE_COPY)
    const from = preCopy ? (flags === 7 ? PRE_COPY_P2P : PRE_COPY) : flags === 3 ? RUNNING_P2P : RUNNING
    fail.quiesce = new VfioError('ETIMEDOUT', 'Cannot stop: the queue does not drain')
    await expect(device.setState(STOP_COPY)).rejects.toMatchObject({ code: 'ETIMEDOUT', state: from })
    expect(await device.state()).toBe(from)
    delete fail.quiesce
    take()
    const session = await device.setState(STOP_COPY)
    // It was still running, so it is stopped once more.
    expect(take()).toBe('quiesce')
    expect(session === undefined).toBe(preCopy)
    await device.close()
  },
)

it('a quiesce that fails the device moves it to ERROR, and reset stops it first', async () => {
  const { driver, take, fail } = watched(MigrationFlag.STOP_COPY | MigrationFlag.PRE_COPY)
  const device = await VfioDevice.open(driver)
  const session = await device.setState(PRE_COPY)
  fail.quiesce = new VfioError('EIO', 'Cannot stop: the device hangs', { state: ERROR })
  await expect(device.setState(STOP_COPY)).rejects.toMatchObject({ code: 'EIO', state: ERROR })
  expect(session?.ended.aborted).toBe(true)
  delete fail.quiesce
  take()
  await device.reset()
  expect(take()).toBe('quiesce reset resume')
  expect(await device.state()).toBe(RUNNING)
  await device.close()
})

it('the stop-copy length in ERROR leaves memory alone that the ended session gave back', async () => {
  const fail = new VfioError('EIO', 'Cannot stop: the device hangs', { state: ERROR })
  let broken = false
  const driver = defineDevice({
    type: 'failing',
    version: 1,
    flags: 5,
    engine: testEngine,
    state: {},
    memory: { m: { byteLength: 8 * 4096 } },
    quiesce() {
      if (broken) throw fail
    },
  })
  const device = await VfioDevice.open(driver)
  const expected = await device.stopCopyLength()
  await device.setState(PRE_COPY)
  broken = true
  await expect(device.setState(STOP_COPY)).rejects.toThrow(fail.message)
  // Whoever gets the session's memory now must keep it as it is.
  const others = Array.from({ length: 64 }, () => testEngine.allocate(4096))
  for (const at of others) testEngine.bytes.fill(0x5a, at, at + 4096)
  expect(await device.stopCopyLength()).toBe(expected)
  for (const at of others) {
    expect(testEngine.bytes.subarray(at, at + 4096).every((byte) => byte === 0x5a)).toBe(true)
    testEngine.free(at)
  }
  broken = false
  await device.reset()
  await device.close()
})

it('a resume that throws keeps STOP; one that throws at open leaves nothing behind', async () => {
  const { driver, take, fail } = watched(1)
  const before = testEngine.allocatedBytes
  fail.resume = new TypeError('no clock')
  await expect(VfioDevice.open(driver)).rejects.toMatchObject({ code: 'EIO' })
  expect(testEngine.allocatedBytes).toBe(before)
  delete fail.resume
  const device = await VfioDevice.open(driver)
  await device.setState(STOP)
  fail.resume = new TypeError('no clock')
  await expect(device.setState(RUNNING)).rejects.toMatchObject({ code: 'EIO', state: STOP })
  delete fail.resume
  take()
  await device.setState(RUNNING)
  expect(take()).toBe('resume')
  await device.close()
})

it('the device still saves after an arc that failed', async () => {
  const { driver, fail } = watched(1)
  const device = await VfioDevice.open(driver)
  const expected = await device.stopCopyLength()
  fail.quiesce = new Error('busy')
  await expect(device.setState(STOP_COPY)).rejects.toMatchObject({ code: 'EIO', state: RUNNING })
  delete fail.quiesce
  expect((await saveOpen(device)).length).toBe(expected)
  await device.close()
})
