import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../../src/device/vfio-device.ts'
import { createBulk } from '../../../../src/devices/index.ts'
import { createMtty } from '../../../../src/devices/index.ts'
import { migrate } from '../../../../src/migrate/live/migrate.ts'
import { DeviceState } from '../../../../src/uapi/state.ts'

describe('migrate', () => {
  it('moves a working device live', async () => {
    const from = createBulk({ memoryBytes: 64 * 2 ** 20, seed: 1, workload: { pagesPerSecond: 20_000 } })
    const to = createBulk({ memoryBytes: 64 * 2 ** 20 })
    const source = await VfioDevice.open(from)
    const destination = await VfioDevice.open(to)
    const report = await migrate(source, destination, {})
    expect(report.owner).toBe('destination')
    expect(await source.state()).toBe(DeviceState.STOP)
    expect(await destination.state()).toBe(DeviceState.RUNNING)
    await source.close()
    await destination.close()
  })
  it('moves an mtty', async () => {
    const source = await VfioDevice.open(createMtty())
    const destination = await VfioDevice.open(createMtty())
    const report = await migrate(source, destination, {})
    expect(report.owner).toBe('destination')
  })
})
