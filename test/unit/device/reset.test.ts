import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { feature, migState, setStateMemory } from '../../support/feature-call.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const { ERROR, PRE_COPY, RESUMING, RUNNING, STOP, STOP_COPY } = DeviceState

async function open() {
  const driver = new ScriptedDriver()
  const device = await VfioDevice.open(driver)
  driver.calls.length = 0
  return { driver, device }
}

describe('VfioDevice.reset', () => {
  it.each([STOP, STOP_COPY, RESUMING, PRE_COPY])('A.7 from state %i leads to RUNNING', async (state) => {
    const { device } = await open()
    await device.setState(state)
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it('A.7 sessions end first, with ENODEV, then the driver is reset', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(STOP_COPY))!
    session.ended.addEventListener('abort', () => driver.calls.push('ended'))
    driver.calls.length = 0
    await device.reset()
    expect(driver.calls).toEqual(['ended', 'reset'])
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
  })

  it('A.7 with the lock free it is applied at once', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(STOP_COPY))!
    let started = false
    driver.onReset = () => {
      started = true
    }
    const reset = device.reset()
    expect([session.ended.aborted, started]).toEqual([true, true])
    await reset
  })

  it('A.7 during a blocked transition it is deferred and applied when that ends', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = device.setState(STOP)
    const order: string[] = []
    const reset = device.reset().then(() => order.push('reset'))
    const state = device.state().then((value) => order.push(`state ${value}`))
    await turn()
    expect([order, driver.calls]).toEqual([[], []])
    gate.resolve()
    await Promise.all([call, reset, state])
    expect(driver.calls).toEqual(['RUNNING>RUNNING_P2P', 'RUNNING_P2P>STOP', 'reset'])
    expect(order).toEqual(['reset', `state ${RUNNING}`])
  })

  it('A.7 a SET that races a reset resolves with a session that is dead, the state is RUNNING', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = device.setState(STOP_COPY)
    const reset = device.reset()
    gate.resolve()
    const session = (await call)!
    expect(session.ended.aborted).toBe(true)
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
    await reset
    expect(await device.state()).toBe(RUNNING)
  })

  it('A.7 the same race through bytes returns success with an fd that is already dead', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const memory = setStateMemory(STOP_COPY)
    const call = feature(device, memory)
    const reset = device.reset()
    gate.resolve()
    expect(await call).toBe(0)
    expect(migState(memory)).toEqual({ state: STOP_COPY, fd: 3 })
    expect(await codeOf(() => device.fds.get(3)!.read(new Uint8Array(1)))).toBe('ENODEV')
    await reset
  })

  it('A.7 resets marked while one is pending are one reset, marked while one runs another', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = device.setState(STOP)
    const pending = [device.reset(), device.reset(), device.reset()]
    let late: Promise<void> | undefined
    driver.onReset = () => {
      late ??= device.reset()
    }
    gate.resolve()
    await Promise.all([call, ...pending])
    await late
    expect(driver.calls.filter((name) => name === 'reset').length).toBe(2)
  })

  it('A.7 may be asked for from inside a transition', async () => {
    const { device, driver } = await open()
    let reset: Promise<void> | undefined
    driver.onArc = () => {
      reset ??= device.reset()
    }
    await device.setState(STOP)
    await reset
    expect(await device.state()).toBe(RUNNING)
  })

  it('a failing driver leaves ERROR and rejects with EIO; another reset may help', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(STOP_COPY))!
    const cause = new VfioError('ETIMEDOUT', 'Cannot reset: no answer')
    driver.onReset = () => {
      throw cause
    }
    const error = await failureOf(() => device.reset())
    expect([error.code, error.state, error.cause]).toEqual(['EIO', ERROR, cause])
    expect([await device.state(), session.ended.aborted]).toEqual([ERROR, true])
    driver.onReset = () => {}
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it('a failing deferred reset does not fail the call it waited for', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    driver.onReset = () => {
      throw new Error('broken')
    }
    const call = codeOf(() => device.setState(STOP))
    const reset = codeOf(() => device.reset())
    gate.resolve()
    expect([await call, await reset]).toEqual(['ok', 'EIO'])
    expect(await device.state()).toBe(ERROR)
  })

  it('a reset is applied after a transition that failed, too', async () => {
    const { device, driver } = await open()
    const gate = deferred()
    driver.onArc = () => gate.promise
    const call = codeOf(() => device.setState(STOP))
    const reset = device.reset()
    gate.reject(new VfioError('EIO', 'Cannot stop: burnt', { state: ERROR }))
    expect(await call).toBe('EIO')
    await reset
    expect(await device.state()).toBe(RUNNING)
  })
})

describe('the state lock', () => {
  it('A.7 serialises 100 concurrent setStates: the driver is never re-entered, the last one wins', async () => {
    const { device, driver } = await open()
    driver.onArc = () => turn()
    const targets = Array.from(
      { length: 100 },
      (_, i) => [STOP, RUNNING, PRE_COPY, STOP_COPY, RESUMING][i % 5]!,
    )
    const order: number[] = []
    const calls = targets.map((target, i) =>
      codeOf(() => device.setState(target)).then((code) => {
        order.push(i)
        return code
      }),
    )
    expect(await Promise.all(calls)).toEqual(targets.map(() => 'ok'))
    expect(order).toEqual(targets.map((_, i) => i))
    expect(await device.state()).toBe(targets.at(-1))
  })

  it('a newcomer does not overtake who waits', async () => {
    const { device, driver } = await open()
    driver.onArc = () => turn()
    const order: string[] = []
    const first = device.setState(STOP).then(() => {
      order.push('first')
      return device.setState(STOP_COPY).then(() => order.push('third'))
    })
    const second = device.setState(RUNNING).then(() => order.push('second'))
    await Promise.all([first, second])
    expect(order).toEqual(['first', 'second', 'third'])
  })

  it('A.7 close waits for the calls before it', async () => {
    const { device, driver } = await open()
    driver.onArc = () => turn()
    const call = device.setState(STOP_COPY)
    const close = device.close()
    const session = (await call)!
    expect(await codeOf(() => device.state())).toBe('EBADF')
    await close
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
    expect(driver.calls.at(-1)).toBe('close')
  })

  it('opening and closing many devices leaves no driver claimed', async () => {
    const driver = new ScriptedDriver()
    for (let i = 0; i < 1000; i++) await (await VfioDevice.open(driver)).close()
    expect(driver.calls.length).toBe(2000)
  })
})
