import { describe, expect, it } from 'vitest'
import { FdTable } from '../../../src/device/fd-table.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { feature, migState, setStateMemory } from '../../support/feature-call.ts'
import { codeOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

async function openSessionFd(fds: FdTable): Promise<{ device: VfioDevice; fd: number }> {
  const device = await VfioDevice.open(new ScriptedDriver(), { fds })
  const memory = setStateMemory(DeviceState.STOP_COPY)
  await feature(device, memory)
  return { device, fd: migState(memory).fd }
}

describe('FdTable', () => {
  it('gives the lowest free number from 3, shared by devices', async () => {
    const fds = new FdTable()
    expect(fds.limit).toBe(1024)
    const numbers = [await openSessionFd(fds), await openSessionFd(fds), await openSessionFd(fds)]
    expect(numbers.map(({ fd }) => fd)).toEqual([3, 4, 5])
    fds.close(4)
    expect((await openSessionFd(fds)).fd).toBe(4)
    expect((await openSessionFd(fds)).fd).toBe(6)
  })

  it('frees a number when its session is closed, and closes the session with the number', async () => {
    const fds = new FdTable()
    const { fd } = await openSessionFd(fds)
    const session = fds.get(fd)!
    session.close()
    expect([fds.get(fd), fds.size]).toEqual([undefined, 0])
    const second = await openSessionFd(fds)
    const other = fds.get(second.fd)!
    fds.close(second.fd)
    expect(outcome(() => other.read(new Uint8Array(1)))).toBe('EBADF')
  })

  it('A.7 a number lives on after its session ended and after the device was closed', async () => {
    const fds = new FdTable()
    const { device, fd } = await openSessionFd(fds)
    await device.reset()
    expect(outcome(() => fds.get(fd)!.read(new Uint8Array(1)))).toBe('ENODEV')
    await device.close()
    expect(outcome(() => fds.get(fd)!.read(new Uint8Array(1)))).toBe('ENODEV')
    fds.close(fd)
    expect(fds.size).toBe(0)
  })

  it('a late second close of a session does not free the number of its successor', async () => {
    const fds = new FdTable()
    const { fd } = await openSessionFd(fds)
    const first = fds.get(fd)!
    first.close()
    const successor = await openSessionFd(fds)
    first.close()
    expect(successor.fd).toBe(fd)
    expect(fds.get(fd)).toBeDefined()
  })

  it('is EMFILE at its limit and EBADF for numbers that are not open', async () => {
    const fds = new FdTable({ limit: 2 })
    await openSessionFd(fds)
    await openSessionFd(fds)
    expect(await codeOf(() => openSessionFd(fds))).toBe('EMFILE')
    expect([0, 2, 5, -1].map((fd) => outcome(() => fds.close(fd)))).toEqual([
      'EBADF',
      'EBADF',
      'EBADF',
      'EBADF',
    ])
  })

  it.each([-1, 1.5, Number.NaN])('a limit of %f is EINVAL', (limit) => {
    expect(outcome(() => new FdTable({ limit }))).toBe('EINVAL')
  })

  it('each device without a table has its own', async () => {
    const one = await VfioDevice.open(new ScriptedDriver())
    const two = await VfioDevice.open(new ScriptedDriver())
    await feature(one, setStateMemory(DeviceState.STOP_COPY))
    expect([one.fds.size, two.fds.size]).toEqual([1, 0])
  })
})
