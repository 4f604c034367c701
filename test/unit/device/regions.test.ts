import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { DeviceRegions } from '../../../src/device/driver.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

/** One region of 8 bytes, and one refusal. */
class Registers implements DeviceRegions {
  readonly bytes = new Uint8Array(8)
  read(index: number, offset: number, dst: Uint8Array): void {
    this.#check(index, offset, dst.length)
    dst.set(this.bytes.subarray(offset, offset + dst.length))
  }
  write(index: number, offset: number, src: Uint8Array): void {
    this.#check(index, offset, src.length)
    this.bytes.set(src, offset)
  }
  #check(index: number, offset: number, byteLength: number): void {
    if (index !== 0 || offset + byteLength > 8) throw new VfioError('EINVAL', 'Cannot access: outside')
  }
}

async function open() {
  const regions = new Registers()
  const driver = new ScriptedDriver({ regions })
  const device = await VfioDevice.open(driver)
  const access = (): string[] =>
    [
      () => device.regions!.write(0, 2, Uint8Array.of(5)),
      () => device.regions!.read(0, 2, new Uint8Array(1)),
    ].map(outcome)
  return { regions, driver, device, access }
}

describe('VfioDevice.regions', () => {
  it.each([1, 2, 3, 5, 6, 7] as DeviceState[])('reach the driver in state %i', async (state) => {
    const { device, regions } = await open()
    await device.setState(state)
    device.regions!.write(0, 2, Uint8Array.of(5, 6))
    const dst = new Uint8Array(4)
    device.regions!.read(0, 1, dst)
    expect([[...dst], regions.bytes[3]]).toEqual([[0, 5, 6, 0], 6])
  })

  it('are EBUSY in RESUMING, EIO in ERROR and EBADF after close', async () => {
    const { device, driver, access, regions } = await open()
    await device.setState(DeviceState.RESUMING)
    expect(access()).toEqual(['EBUSY', 'EBUSY'])
    driver.onArc = () => {
      throw new VfioError('EIO', 'Cannot load: burnt', { state: DeviceState.ERROR })
    }
    await codeOf(() => device.setState(DeviceState.STOP))
    expect(access()).toEqual(['EIO', 'EIO'])
    await device.reset()
    expect(access()).toEqual(['ok', 'ok'])
    await device.close()
    regions.bytes.fill(0)
    expect(access()).toEqual(['EBADF', 'EBADF'])
    expect(regions.bytes[2]).toBe(0)
  })

  it('pass the driver errno through', async () => {
    const { device } = await open()
    expect(outcome(() => device.regions!.read(1, 0, new Uint8Array(1)))).toBe('EINVAL')
  })

  it('are undefined when the driver has none', async () => {
    expect((await VfioDevice.open(new ScriptedDriver())).regions).toBeUndefined()
  })
})
