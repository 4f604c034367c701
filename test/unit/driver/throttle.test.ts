import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice, u8 } from '../../../src/driver/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { testEngine } from './session-io.ts'

const { RESUMING, STOP, PRE_COPY } = DeviceState

function slowable(fails: { at?: number } = {}) {
  const percents: number[] = []
  const driver = defineDevice({
    type: 'slowable',
    version: 1,
    engine: testEngine,
    state: { a: u8({ default: 1 }) },
    throttle({ state }, percent) {
      percents.push(percent)
      if (percent === fails.at) throw new Error('stuck')
      expect(state.a).toBe(1)
    },
  })
  return { driver, percents }
}

describe("a defined device's throttle", () => {
  it("is the author's, with the device's context, in any state", async () => {
    const { driver, percents } = slowable()
    const device = await VfioDevice.open(driver)
    await device.throttle(20)
    await device.setState(PRE_COPY)
    await device.throttle(99)
    await device.setState(STOP)
    await device.throttle(0)
    expect(percents).toEqual([20, 99, 0])
  })

  it('goes back to full speed at a reset, at a load and at close, and only when it was slowed', async () => {
    const { driver, percents } = slowable()
    const device = await VfioDevice.open(driver)
    await device.reset()
    expect(percents).toEqual([])
    await device.throttle(20)
    await device.reset()
    await device.reset()
    expect(percents).toEqual([20, 0])
    await device.throttle(30)
    await device.setState(RESUMING)
    expect(percents).toEqual([20, 0, 30, 0])
    await device.reset()
    await device.throttle(40)
    await device.close()
    expect(percents).toEqual([20, 0, 30, 0, 40, 0])
  })

  it('goes back to full speed after a call that failed', async () => {
    const { driver, percents } = slowable({ at: 50 })
    const device = await VfioDevice.open(driver)
    expect(await codeOf(() => device.throttle(50))).toBe('EIO')
    await device.reset()
    expect(percents).toEqual([50, 0])
  })

  it('is ENOTTY where the author has none', async () => {
    const device = await VfioDevice.open(
      defineDevice({ type: 'steady', version: 1, engine: testEngine, state: { a: u8() } }),
    )
    expect(await codeOf(() => device.throttle(0))).toBe('ENOTTY')
  })
})
