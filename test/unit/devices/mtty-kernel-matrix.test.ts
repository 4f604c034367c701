import { describe, expect, it } from 'vitest'
import type { VfioDevice } from '../../../src/device/vfio-device.ts'
import { VfioError } from '../../../src/errors.ts'
import { DeviceState, deviceStateName } from '../../../src/uapi/state.ts'
import { goldenStream, openMtty, patched, playRecordedScenario } from '../../support/mtty-device.ts'
import { KERNEL_ANSWERS } from '../../support/migration-oracle.ts'

/** One ioctl as the recording program made it: return code, and the message as it came back. */
async function feature(
  device: VfioDevice,
  index: number,
  operation: number,
  state = 0,
): Promise<{ rc: number; view: DataView }> {
  const message = new Uint8Array(16)
  const view = new DataView(message.buffer)
  view.setUint32(0, 16, true)
  view.setUint16(4, index, true)
  view.setUint16(6, operation, true)
  view.setUint32(8, state, true)
  try {
    return { rc: await device.ioctl(0x3b75, message), view }
  } catch (error) {
    if (!VfioError.is(error)) throw error
    return { rc: error.errno, view }
  }
}

const get = (device: VfioDevice, index: number): ReturnType<typeof feature> => feature(device, index, 1)

async function set(device: VfioDevice, state: number): Promise<{ rc: number; fd: number }> {
  const { rc, view } = await feature(device, 2, 2, state)
  return { rc, fd: view.getInt32(12, true) }
}

async function stateOf(device: VfioDevice): Promise<string> {
  return deviceStateName((await get(device, 2)).view.getUint32(8, true))
}

async function openRecorded(): Promise<VfioDevice> {
  const { device } = await openMtty({ ports: 2, profile: 'exact' })
  return device
}

describe('Linux 6.12.117, recorded: every request from a fresh reset to each state', () => {
  it('the recording has 70 lines', () => {
    expect(KERNEL_ANSWERS).toHaveLength(70)
  })

  it.each(KERNEL_ANSWERS)(
    'M $from -> $target rc=$rc state=$state fd=$fd',
    async ({ from, target, rc, state, fd }) => {
      const device = await openRecorded()
      expect(await device.ioctl(0x3b6f, new Uint8Array(0))).toBe(0)
      expect((await set(device, DeviceState[from as keyof typeof DeviceState])).rc).toBe(0)
      const answer = await set(device, target)
      expect(answer.rc).toBe(rc)
      expect(await stateOf(device)).toBe(state)
      expect(answer.fd >= 0).toBe(fd)
      expect(device.fds.get(answer.fd) !== undefined).toBe(fd)
    },
  )
})

describe('Linux 6.12.117, recorded: a pre-copy migration of one mtty to another', () => {
  it('gives the recorded answers, line by line', async () => {
    const source = await openRecorded()
    playRecordedScenario(source)
    const migration = await get(source, 1)
    expect([migration.rc, migration.view.getBigUint64(8, true), await source.state()]).toEqual([0, 7n, 2])
    const size = await get(source, 9)
    expect([size.rc, size.view.getBigUint64(8, true)]).toEqual([0, 96n])

    const { rc, fd } = await set(source, DeviceState.PRE_COPY)
    expect([rc, fd >= 0]).toEqual([0, true])
    const session = source.fds.get(fd)
    if (session === undefined) throw new Error('no session behind the fd')
    const info = new Uint8Array(24)
    info[0] = 24
    expect(session.ioctl(0x3b79, info)).toBe(0)
    const infoView = new DataView(info.buffer)
    expect([infoView.getBigUint64(8, true), infoView.getBigUint64(16, true)]).toEqual([24n, 0n])

    const stream: number[] = []
    const readAll = (piece: number): void => {
      const dst = new Uint8Array(piece)
      for (let n = 0; (n = session.read(dst)) > 0;) stream.push(...dst.subarray(0, n))
    }
    readAll(16)
    expect(stream).toHaveLength(24)
    expect(await set(source, DeviceState.STOP_COPY)).toEqual({ rc: 0, fd: -1 })
    readAll(7)
    expect(Uint8Array.from(stream)).toEqual(goldenStream('linux-6.12-recorded'))

    const destination = await openRecorded()
    const resuming = await set(destination, DeviceState.RESUMING)
    expect([resuming.rc, resuming.fd >= 0]).toEqual([0, true])
    for (let at = 0; at < stream.length; at += 13) {
      destination.fds.get(resuming.fd)?.write(Uint8Array.from(stream.slice(at, at + 13)))
    }
    expect((await set(source, DeviceState.STOP)).rc).toBe(0)
    expect(() => session.read(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'ENODEV' }))
    expect((await set(destination, DeviceState.RUNNING)).rc).toBe(0)
    const scratch = new Uint8Array(1)
    destination.regions?.read(0, 7, scratch)
    expect(scratch[0]).toBe(0xa5)
  })
})

describe('Linux 6.12.117, recorded: bad data', () => {
  it('truncated image: RESUMING -> RUNNING rc=-22, state RESUMING', async () => {
    const device = await openRecorded()
    const { fd } = await set(device, DeviceState.RESUMING)
    device.fds.get(fd)?.write(goldenStream('fresh-2-ports').subarray(0, 60))
    expect((await set(device, DeviceState.RUNNING)).rc).toBe(-22)
    expect(await stateOf(device)).toBe('RESUMING')
  })

  it('too long: write -ENOMEM', async () => {
    const device = await openRecorded()
    const { fd } = await set(device, DeviceState.RESUMING)
    expect(() => device.fds.get(fd)?.write(new Uint8Array(97))).toThrow(
      expect.objectContaining({ errno: -12 }),
    )
  })

  it('bad magic: write -EFAULT, and the following -> RUNNING returns 0; strict refuses', async () => {
    const bad = patched(goldenStream('fresh-2-ports'), { 0: 0xff })
    const device = await openRecorded()
    const { fd } = await set(device, DeviceState.RESUMING)
    expect(() => device.fds.get(fd)?.write(bad)).toThrow(expect.objectContaining({ errno: -14 }))
    expect((await set(device, DeviceState.RUNNING)).rc).toBe(0)
    expect(await stateOf(device)).toBe('RUNNING')

    const { device: strict } = await openMtty({ ports: 2 })
    const refused = await set(strict, DeviceState.RESUMING)
    expect(() => strict.fds.get(refused.fd)?.write(bad)).toThrow(expect.objectContaining({ errno: -22 }))
    expect((await set(strict, DeviceState.RUNNING)).rc).toBe(-22)
    expect(await stateOf(strict)).toBe('RESUMING')
  })
})
