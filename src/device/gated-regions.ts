/**
 * Register access, gated by the device state.
 *
 * STOP and the saving states pass: what a stopped device does with a stored register is its driver's
 * business. A RESUMING device has no registers of its own to show, a failed one none to trust.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { DeviceState } from '../uapi/state.ts'
import type { DeviceRegions } from './driver.ts'

/**
 * The driver's regions behind the gate.
 *
 * @param state - the state now, or undefined when the device is closed
 * @returns regions that throw EBADF closed, EIO in ERROR and EBUSY in RESUMING, then as the driver's
 */
export function gateRegions(regions: DeviceRegions, state: () => DeviceState | undefined): DeviceRegions {
  const check = (syscall: string): void => {
    switch (state()) {
      case undefined:
        throw refusal('EBADF', syscall, 'the device is closed, open it')
      case DeviceState.ERROR:
        throw refusal('EIO', syscall, 'the device has failed, reset it')
      case DeviceState.RESUMING:
        throw refusal('EBUSY', syscall, 'the device is being loaded, leave RESUMING first')
      default:
    }
  }
  return {
    read(index, offset, dst) {
      check('read')
      regions.read(index, offset, dst)
    },
    write(index, offset, src) {
      check('write')
      regions.write(index, offset, src)
    },
  }
}

function refusal(code: 'EBADF' | 'EIO' | 'EBUSY', syscall: string, reason: string): VfioError {
  return new VfioError(code, `Cannot ${syscall} a register: ${reason}`, { syscall })
}
