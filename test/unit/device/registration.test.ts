import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { Driver } from '../../../src/device/driver.ts'
import { DirtyLog } from '../../../src/device/dirty-log.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

/** A scripted driver with members replaced. */
function driverWith(members: Record<string, unknown>): Driver {
  return Object.assign(new ScriptedDriver({ dirtyLog: new DirtyLog() }), members)
}

describe('VfioDevice.open', () => {
  it.each([1, 3, 5, 7, 9])('A.5 flags %i register and open in RUNNING', async (flags) => {
    const driver = driverWith({ flags })
    const device = await VfioDevice.open(driver)
    expect(await device.migrationFlags()).toBe(flags)
    expect(await device.state()).toBe(DeviceState.RUNNING)
    expect(device.identity).toBe(driver.identity)
    expect((driver as ScriptedDriver).calls).toEqual(['open'])
  })

  it.each([2, 4, 6, -1, 1.5, 8])(
    'A.5 flags %f lack STOP_COPY: EINVAL, the driver untouched',
    async (flags) => {
      const driver = driverWith({ flags })
      expect(await codeOf(() => VfioDevice.open(driver))).toBe('EINVAL')
      expect((driver as ScriptedDriver).calls).toEqual([])
    },
  )

  it.each(['transition', 'stopCopyLength', 'reset'])('A.5 without %s it is EINVAL', async (name) => {
    expect(await codeOf(() => VfioDevice.open(driverWith({ [name]: undefined })))).toBe('EINVAL')
  })

  it.each([0, undefined])('A.5 flags %s need no migration operations', async (flags) => {
    const device = await VfioDevice.open(
      driverWith({ flags, transition: undefined, stopCopyLength: undefined }),
    )
    expect(await codeOf(() => device.migrationFlags())).toBe('ENOTTY')
  })

  it.each(['start', 'stop', 'report'])('A.5 log operations without %s are EINVAL', async (name) => {
    const dirtyLog = { start: () => 4096n, stop: () => {}, report: () => {}, [name]: undefined }
    expect(await codeOf(() => VfioDevice.open(driverWith({ dirtyLog })))).toBe('EINVAL')
  })

  it('A.7 a second open of an open driver is EINVAL; after close it opens again, in RUNNING', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    expect(await codeOf(() => VfioDevice.open(driver))).toBe('EINVAL')
    await device.setState(DeviceState.STOP_COPY)
    await device.close()
    const again = await VfioDevice.open(driver)
    expect(await again.state()).toBe(DeviceState.RUNNING)
    expect(await again.setState(DeviceState.STOP_COPY)).toBeDefined()
  })

  it('A.7 a second open while the first is still opening is EINVAL', async () => {
    const driver = new ScriptedDriver()
    const first = VfioDevice.open(driver)
    expect(await codeOf(() => VfioDevice.open(driver))).toBe('EINVAL')
    await first
  })

  it('a failing open passes its errno on and leaves the driver free', async () => {
    const driver = new ScriptedDriver()
    driver.onOpen = () => {
      throw new VfioError('ENOMEM', 'Cannot open: no memory')
    }
    expect(await codeOf(() => VfioDevice.open(driver))).toBe('ENOMEM')
    driver.onOpen = () => {
      throw new TypeError('broken')
    }
    expect(await failureOf(() => VfioDevice.open(driver))).toMatchObject({
      code: 'EIO',
      cause: expect.any(TypeError),
    })
    driver.onOpen = () => {}
    expect(await codeOf(() => VfioDevice.open(driver))).toBe('ok')
  })
})

describe('VfioDevice.close', () => {
  it('A.7 ends sessions with ENODEV, stops logging and closes the driver', async () => {
    const dirtyLog = new DirtyLog()
    const driver = new ScriptedDriver({ dirtyLog })
    const device = await VfioDevice.open(driver)
    await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 4096n }] })
    const session = (await device.setState(DeviceState.PRE_COPY))!
    await device.close()
    expect([session.ended.aborted, driver.save!.ended, dirtyLog.started]).toEqual([true, 1, false])
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
    expect(await codeOf(() => session.precopyInfo())).toBe('ENODEV')
    expect(driver.calls.at(-1)).toBe('close')
  })

  it('A.7 a session of a device closed in RUNNING is ENODEV, for the precopy ioctl too', async () => {
    const device = await VfioDevice.open(new ScriptedDriver())
    const session = (await device.setState(DeviceState.PRE_COPY))!
    await device.setState(DeviceState.RUNNING)
    expect(await codeOf(() => session.precopyInfo())).toBe('EINVAL')
    await device.close()
    expect(await codeOf(() => session.precopyInfo())).toBe('ENODEV')
  })

  it('later calls are EBADF', async () => {
    const device = await VfioDevice.open(new ScriptedDriver({ dirtyLog: new DirtyLog() }))
    await device.close()
    const range = { iova: 0n, length: 4096n }
    const calls = [
      () => device.ioctl(0, new Uint8Array(0)),
      () => device.migrationFlags(),
      () => device.state(),
      () => device.setState(DeviceState.STOP),
      () => device.stopCopyLength(),
      () => device.enablePrecopyInfoV2(),
      () => device.dmaLoggingStart({ pageSize: 4096, ranges: [range] }),
      () => device.dmaLoggingReport({ ...range, pageSize: 4096 }, new Uint8Array(8)),
      () => device.dmaLoggingStop(),
      () => device.reset(),
      () => device.close(),
    ]
    expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'EBADF'))
  })

  it('A.1 clears the INFOv2 opt-in', async () => {
    const driver = new ScriptedDriver()
    const reinit = async (optIn: boolean): Promise<boolean> => {
      const device = await VfioDevice.open(driver)
      if (optIn) await device.enablePrecopyInfoV2()
      const session = (await device.setState(DeviceState.PRE_COPY))!
      driver.save!.info = { initialBytes: 1, dirtyBytes: 0, reinit: true }
      const { reinit: shown } = session.precopyInfo()
      await device.close()
      return shown
    }
    expect([await reinit(true), await reinit(false)]).toEqual([true, false])
  })

  it('gives the driver back and tells the failure when closing it or stopping its log fails', async () => {
    const driver = new ScriptedDriver({ dirtyLog: new DirtyLog() })
    driver.onClose = () => {
      throw new VfioError('EBUSY', 'Cannot close: busy')
    }
    expect(await codeOf(async () => (await VfioDevice.open(driver)).close())).toBe('EBUSY')
    driver.onClose = () => {}
    driver.dirtyLog!.stop = () => {
      throw new Error('broken')
    }
    expect(await codeOf(async () => (await VfioDevice.open(driver)).close())).toBe('EIO')
    expect(driver.calls.filter((call) => call === 'close').length).toBe(2)
    expect(await codeOf(() => VfioDevice.open(driver))).toBe('ok')
  })
})
