import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { VfioError } from '../../../src/errors.ts'
import { FaultyDevice } from '../../../src/testing/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const { PRE_COPY, RUNNING, STOP } = DeviceState

class ThrottledDriver extends ScriptedDriver {
  readonly percents: number[] = []
  onThrottle: () => void | Promise<void> = () => {}

  throttle(percent: number): void | Promise<void> {
    this.percents.push(percent)
    return this.onThrottle()
  }
}

describe('VfioDevice.throttle', () => {
  it.each([0, 1, 50, 99])('passes %i percent on and changes no state', async (percent) => {
    const driver = new ThrottledDriver()
    const device = await VfioDevice.open(driver)
    await device.setState(PRE_COPY)
    await device.throttle(percent)
    expect(driver.percents).toEqual([percent])
    expect(await device.state()).toBe(PRE_COPY)
  })

  it.each([-1, 100, 0.5, Number.NaN, Infinity])(
    '%d percent is EINVAL and the driver is not asked',
    async (percent) => {
      const driver = new ThrottledDriver()
      const device = await VfioDevice.open(driver)
      expect(await codeOf(() => device.throttle(percent))).toBe('EINVAL')
      expect(driver.percents).toEqual([])
    },
  )

  it('is ENOTTY without the hook, whatever the percentage, and EBADF closed', async () => {
    const device = await VfioDevice.open(new ScriptedDriver())
    expect(await codeOf(() => device.throttle(0))).toBe('ENOTTY')
    expect(await codeOf(() => device.throttle(1000))).toBe('ENOTTY')
    await device.close()
    expect(await codeOf(() => device.throttle(0))).toBe('EBADF')
  })

  it('waits for the call before it, and the next waits for it', async () => {
    const driver = new ThrottledDriver()
    const device = await VfioDevice.open(driver)
    const arc = deferred()
    const slow = deferred()
    driver.onArc = () => arc.promise
    driver.onThrottle = () => slow.promise
    const stopped = device.setState(STOP)
    const throttled = device.throttle(7)
    const state = device.state()
    await turn()
    expect(driver.percents).toEqual([])
    arc.resolve()
    await stopped
    await turn()
    expect(driver.percents).toEqual([7])
    slow.resolve()
    await throttled
    expect(await state).toBe(STOP)
  })

  it("tells the driver's own failure, EIO for what is no VfioError", async () => {
    const driver = new ThrottledDriver()
    const device = await VfioDevice.open(driver)
    driver.onThrottle = () => {
      throw new Error('stuck')
    }
    const failure = await failureOf(() => device.throttle(1))
    expect(failure).toMatchObject({ code: 'EIO', syscall: 'throttle' })
    driver.onThrottle = () => {
      throw new VfioError('EBUSY', 'Cannot throttle: not now, wait')
    }
    expect(await codeOf(() => device.throttle(1))).toBe('EBUSY')
    expect(await device.state()).toBe(RUNNING)
  })

  it('goes through a FaultyDevice, and is absent there where the wrapped driver has none', async () => {
    const driver = new ThrottledDriver()
    const device = await VfioDevice.open(new FaultyDevice(driver))
    await device.throttle(30)
    expect(driver.percents).toEqual([30])
    const without = await VfioDevice.open(new FaultyDevice(new ScriptedDriver()))
    expect(await codeOf(() => without.throttle(0))).toBe('ENOTTY')
  })
})
