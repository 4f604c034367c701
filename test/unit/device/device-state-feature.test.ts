import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { FdTable } from '../../../src/device/fd-table.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import type { SessionHandle } from '../../../src/session/open-session.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { GET, detach, feature, featureMemory, migState, setStateMemory } from '../../support/feature-call.ts'
import { bytes, hex } from '../../support/hex.ts'
import { codeOf, deferred, failureOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const { PRE_COPY, RESUMING, RUNNING, STOP, STOP_COPY } = DeviceState

async function open(options: { fds?: FdTable } = {}) {
  const driver = new ScriptedDriver()
  return { driver, device: await VfioDevice.open(driver, options) }
}

describe('MIG_DEVICE_STATE GET', () => {
  it('A.2 tells the current state and data_fd -1, also during a session', async () => {
    const { device } = await open()
    await device.ioctl(0x3b75, setStateMemory(STOP_COPY))
    const memory = featureMemory(2 | GET, 16)
    await feature(device, memory)
    expect(migState(memory)).toEqual({ state: STOP_COPY, fd: -1 })
  })
})

describe('MIG_DEVICE_STATE GET of a payload outside memory', () => {
  it('A.1 step f: is EFAULT at once, not after the call under way', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = device.setState(STOP)
    expect(await codeOf(() => feature(device, featureMemory(2 | GET, 16, 15)))).toBe('EFAULT')
    gate.resolve()
    await call
  })
})

describe('MIG_DEVICE_STATE SET, three outcomes', () => {
  it('A.2 success with a session: device_state as requested, a new fd (0.4)', async () => {
    const { device } = await open()
    const memory = bytes('10 00 00 00 02 00 02 00 03 00 00 00 00 00 00 00')
    expect(await feature(device, memory)).toBe(0)
    expect(hex(memory)).toBe('10 00 00 00 02 00 02 00 03 00 00 00 03 00 00 00')
    const session = device.fds.get(3)!
    const dst = new Uint8Array(8)
    expect(session.read(dst)).toBe(5)
    expect([...dst]).toEqual([1, 2, 3, 4, 5, 0, 0, 0])
  })

  it('A.2 success without a session: data_fd -1 (0.4)', async () => {
    const { device } = await open()
    await device.setState(PRE_COPY)
    const memory = bytes('10 00 00 00 02 00 02 00 03 00 00 00 00 00 00 00')
    expect(await feature(device, memory)).toBe(0)
    expect(hex(memory)).toBe('10 00 00 00 02 00 02 00 03 00 00 00 ff ff ff ff')
    expect(device.fds.size).toBe(0)
  })

  it('A.2 driver error: device_state stays the requested value, data_fd -1, the driver errno', async () => {
    const { device, driver } = await open()
    driver.onArc = (arc) => {
      if (arc === 'STOP>STOP_COPY') throw new VfioError('EOPNOTSUPP', 'Cannot save: firmware says no')
    }
    const memory = setStateMemory(STOP_COPY)
    const error = await failureOf(() => feature(device, memory))
    expect([error.code, error.state]).toEqual(['EOPNOTSUPP', STOP])
    expect(migState(memory)).toEqual({ state: STOP_COPY, fd: -1 })
    expect(await device.state()).toBe(STOP)
  })

  it('a refused SET says ioctl as its syscall, a refused setState says setState', async () => {
    const { device, driver } = await open()
    driver.onArc = () => {
      throw new TypeError('the driver broke')
    }
    for (const target of [STOP, 8]) {
      const memory = setStateMemory(target)
      expect(await failureOf(() => device.ioctl(0x3b75, memory))).toMatchObject({ syscall: 'ioctl' })
      expect(await failureOf(() => device.setState(target as DeviceState))).toMatchObject({
        syscall: 'setState',
        state: RUNNING,
      })
    }
  })

  it('a driver error that names a place in the stream still does, by ioctl and by setState', async () => {
    const { device, driver } = await open()
    const place = { section: 'registers', offset: 0 }
    driver.onArc = () => {
      throw new VfioError('EINVAL', 'Cannot load: the test says so', place)
    }
    expect(await failureOf(() => device.setState(STOP))).toMatchObject({ ...place, state: RUNNING })
    const memory = setStateMemory(STOP)
    expect(await failureOf(() => device.ioctl(0x3b75, memory))).toMatchObject({ ...place, state: RUNNING })
  })

  it('A.2 a driver error whose write-back faults is EFAULT', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const memory = setStateMemory(STOP_COPY)
    const call = feature(device, memory)
    detach(memory)
    gate.reject(new VfioError('EIO', 'Cannot stop: broken'))
    const error = await failureOf(() => call)
    expect([error.code, error.state]).toEqual(['EFAULT', RUNNING])
  })

  it('A.2 success without a session whose write-back faults is EFAULT, the state has changed', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const memory = setStateMemory(STOP)
    const call = feature(device, memory)
    detach(memory)
    gate.resolve()
    const error = await failureOf(() => call)
    expect([error.code, error.state]).toEqual(['EFAULT', STOP])
    expect(await device.state()).toBe(STOP)
  })

  it('A.2 EMFILE: the state has changed, the session is closed, the struct untouched, and leaving works', async () => {
    const { device, driver } = await open({ fds: new FdTable({ limit: 1 }) })
    await feature(device, setStateMemory(PRE_COPY))
    await device.setState(RUNNING)
    const memory = setStateMemory(STOP_COPY)
    const error = await failureOf(() => feature(device, memory))
    expect([error.code, error.state]).toEqual(['EMFILE', STOP_COPY])
    expect(migState(memory)).toEqual({ state: STOP_COPY, fd: 0 })
    expect(await device.state()).toBe(STOP_COPY)
    expect([device.fds.size, driver.save!.ended]).toEqual([1, 0])
    await device.setState(STOP)
    expect(driver.save!.ended).toBe(1)
    device.fds.close(3)
    const again = setStateMemory(STOP_COPY)
    await feature(device, again)
    expect(migState(again).fd).toBe(3)
  })

  it('A.2 a session whose number cannot be published is closed', async () => {
    let session: DataSession | undefined
    class FullTable extends FdTable {
      override install(_fd: number, handle: SessionHandle): void {
        session = handle.session
        throw new VfioError('ENFILE', 'Cannot install the fd: the system has no more')
      }
    }
    const { device } = await open({ fds: new FullTable() })
    expect(await codeOf(() => feature(device, setStateMemory(STOP_COPY)))).toBe('ENFILE')
    expect([session!.closed, session!.ended.aborted]).toEqual([true, false])
  })

  it('A.2 EFAULT at fd return: the state has changed and no fd number leaks', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const memory = setStateMemory(RESUMING)
    const call = feature(device, memory)
    detach(memory)
    gate.resolve()
    const error = await failureOf(() => call)
    expect([error.code, error.state]).toEqual(['EFAULT', RESUMING])
    expect(device.fds.size).toBe(0)
    expect(await device.state()).toBe(RESUMING)
    expect(await device.setState(RESUMING)).toBeUndefined()
  })

  it('A.2 an array over memory that was shortened meanwhile is EFAULT', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    // A length-tracking view: it is as long as its buffer is at the moment.
    const buffer = new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(16, {
      maxByteLength: 16,
    })
    const memory = new Uint8Array(buffer)
    memory.set(setStateMemory(STOP))
    const call = feature(device, memory)
    ;(buffer as unknown as { resize(n: number): void }).resize(15)
    gate.resolve()
    expect(await codeOf(() => call)).toBe('EFAULT')
  })
})

describe('MIG_DEVICE_STATE SET, other values', () => {
  it('A.2 SET to the current state does no work and hands out no second fd', async () => {
    const { device, driver } = await open()
    await feature(device, setStateMemory(STOP_COPY))
    const arcs = driver.calls.length
    const memory = setStateMemory(STOP_COPY)
    expect(await feature(device, memory)).toBe(0)
    expect(migState(memory)).toEqual({ state: STOP_COPY, fd: -1 })
    expect([driver.calls.length, device.fds.size]).toEqual([arcs, 1])
  })

  it.each([0, 8, 9, 0xabcd, 0xffff_ffff])('A.2 state %i is EINVAL, nothing happens', async (state) => {
    const { device, driver } = await open()
    const memory = setStateMemory(state)
    expect(await codeOf(() => feature(device, memory))).toBe('EINVAL')
    expect(migState(memory)).toEqual({ state, fd: -1 })
    expect(driver.calls).toEqual(['open'])
  })

  it('the typed setState takes no fd number and cannot fail EMFILE', async () => {
    const { device } = await open({ fds: new FdTable({ limit: 0 }) })
    expect(await device.setState(STOP_COPY)).toBeDefined()
    expect(device.fds.size).toBe(0)
  })
})
