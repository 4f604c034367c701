import { describe, expect, it } from 'vitest'
import { VFIO_DEVICE_FEATURE, VFIO_MIG_GET_PRECOPY_INFO } from '../../../src/uapi/requests.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { bytes, hex } from '../../support/hex.ts'
import { openTestSession } from '../../support/open-test-session.ts'
import { ScriptedResume, ScriptedSave } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

const { PRE_COPY, PRE_COPY_P2P, RUNNING, STOP_COPY } = DeviceState
const REQUEST = '18 00 00 00' + ' 00'.repeat(20)

function precopy(state: DeviceState = PRE_COPY) {
  const end = new ScriptedSave(new Uint8Array(24))
  const handle = openTestSession(end, state)
  return { end, handle, session: handle.session, device: handle.device }
}

describe('VFIO_MIG_GET_PRECOPY_INFO', () => {
  it('0.4 answers the golden vector for initial 24 and dirty 0', () => {
    const { session } = precopy()
    const memory = bytes(REQUEST)
    expect(session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, memory)).toBe(0)
    expect(hex(memory)).toBe('18 00 00 00 00 00 00 00 18' + ' 00'.repeat(15))
  })

  it('B.1 echoes nothing of a poisoned structure but argsz, and writes 24 bytes only', () => {
    const { session, end } = precopy(PRE_COPY_P2P)
    end.info = { initialBytes: 0, dirtyBytes: 5, reinit: false }
    const memory = new Uint8Array(40).fill(0xee)
    memory.set([0x40, 0, 0, 0], 8)
    session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, memory, 8)
    expect(hex(memory.subarray(8, 32))).toBe('40' + ' 00'.repeat(15) + ' 05' + ' 00'.repeat(7))
    expect([memory[7], memory[32]]).toEqual([0xee, 0xee])
  })

  it('B.1 checks in order: ENOTTY, EFAULT, EINVAL for argsz, EINVAL for the state, ENODEV', () => {
    const { session, device, handle } = precopy(STOP_COPY)
    const call = (request: number, memory: Uint8Array, address = 0): string =>
      outcome(() => session.ioctl(request, memory, address))
    const small = bytes('17 00 00 00' + ' 00'.repeat(20))
    handle.terminate('the test ended it')
    expect(call(VFIO_DEVICE_FEATURE, new Uint8Array(0))).toBe('ENOTTY')
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, new Uint8Array(23))).toBe('EFAULT')
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, small, 1)).toBe('EFAULT')
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, small)).toBe('EINVAL')
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST))).toBe('EINVAL')
    device.state = RUNNING
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST))).toBe('EINVAL')
    device.state = PRE_COPY
    expect(call(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST))).toBe('ENODEV')
  })

  it('A.7 is ENODEV after the device was closed, whatever its state was', () => {
    const { session, device, handle } = precopy(RUNNING)
    device.closed = true
    handle.terminate('the device was closed')
    expect(outcome(() => session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST)))).toBe('ENODEV')
    expect(outcome(() => session.precopyInfo())).toBe('ENODEV')
  })

  it('is EBADF on a closed session, before any look at the request', () => {
    const { session } = precopy()
    session.close()
    expect(outcome(() => session.ioctl(0, new Uint8Array(0)))).toBe('EBADF')
    expect(outcome(() => session.precopyInfo())).toBe('EBADF')
  })

  it('B.1 every ioctl of a resuming session is ENOTTY, precopyInfo too', () => {
    const { session } = openTestSession(new ScriptedResume(), DeviceState.RESUMING)
    expect(outcome(() => session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST)))).toBe('ENOTTY')
    expect(outcome(() => session.precopyInfo())).toBe('ENOTTY')
  })

  it('B.2 a driver without precopy info is ENOTTY', () => {
    const end = Object.assign(new ScriptedSave(new Uint8Array(1)), { precopyInfo: undefined })
    const { session } = openTestSession(end, PRE_COPY)
    expect(outcome(() => session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, bytes(REQUEST)))).toBe('ENOTTY')
    expect(outcome(() => session.precopyInfo())).toBe('ENOTTY')
  })

  it('a structure that the driver made unwritable meanwhile is EFAULT', () => {
    const { session, end } = precopy()
    const memory = bytes(REQUEST)
    end.precopyInfo = () => {
      structuredClone(memory.buffer, { transfer: [memory.buffer] })
      return { initialBytes: 1, dirtyBytes: 1, reinit: false }
    }
    expect(outcome(() => session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, memory))).toBe('EFAULT')
  })

  it('A.1 REINIT is shown only after the opt-in of feature 12', () => {
    const { session, end, device } = precopy()
    end.info = { initialBytes: 8, dirtyBytes: 0, reinit: true }
    expect(session.precopyInfo()).toEqual({ initialBytes: 8, dirtyBytes: 0, reinit: false })
    device.precopyInfoV2 = true
    expect(session.precopyInfo().reinit).toBe(true)
    const memory = bytes(REQUEST)
    session.ioctl(VFIO_MIG_GET_PRECOPY_INFO, memory)
    expect(memory[4]).toBe(1)
  })
})
