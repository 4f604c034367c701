/** VFIO_DEVICE_FEATURE calls as bytes. @module */

import type { VfioDevice } from '../../src/device/vfio-device.ts'
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from '../../src/uapi/features.ts'
import { VFIO_DEVICE_FEATURE } from '../../src/uapi/requests.ts'

export const GET: number = VFIO_DEVICE_FEATURE_GET
export const SET: number = VFIO_DEVICE_FEATURE_SET
export const PROBE: number = VFIO_DEVICE_FEATURE_PROBE

/** Caller's memory with a feature header at 0; the payload starts at 8. */
export function featureMemory(flags: number, argsz: number, byteLength = Math.max(argsz, 64)): Uint8Array {
  const memory = new Uint8Array(byteLength)
  const view = new DataView(memory.buffer)
  view.setUint32(0, argsz, true)
  view.setUint32(4, flags >>> 0, true)
  return memory
}

/** MIG_DEVICE_STATE SET of `state`, as in facts 0.4. */
export function setStateMemory(state: number): Uint8Array {
  const memory = featureMemory(2 | SET, 16, 16)
  new DataView(memory.buffer).setUint32(8, state, true)
  return memory
}

/** device_state and data_fd of a MIG_DEVICE_STATE buffer. */
export function migState(memory: Uint8Array): { state: number; fd: number } {
  const view = new DataView(memory.buffer)
  return { state: view.getUint32(8, true), fd: view.getInt32(12, true) }
}

/** The call itself. */
export function feature(device: VfioDevice, memory: Uint8Array, address = 0): Promise<number> {
  return device.ioctl(VFIO_DEVICE_FEATURE, memory, address)
}

/** Detaches the array's buffer: its length is 0 from now on. */
export function detach(memory: Uint8Array): void {
  structuredClone(memory.buffer, { transfer: [memory.buffer] })
}
