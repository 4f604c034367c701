/** Open mttys, their golden streams, and what the recorded kernel run did to one. @module */

import { readFileSync } from 'node:fs'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createMtty } from '../../src/devices/mtty/mtty.ts'
import type { Mtty, MttyOptions } from '../../src/devices/mtty/mtty.ts'
import { VfioError } from '../../src/errors.ts'
import type { DataSession } from '../../src/session/data-session.ts'
import { DeviceState } from '../../src/uapi/state.ts'

/** A golden stream of test/golden/mtty. */
export function goldenStream(name: 'fresh-1-port' | 'fresh-2-ports' | 'linux-6.12-recorded'): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../golden/mtty/${name}.bin`, import.meta.url)))
}

/** An mtty and the device around it. */
export async function openMtty(options?: MttyOptions): Promise<{ mtty: Mtty; device: VfioDevice }> {
  const mtty = createMtty(options)
  return { mtty, device: await VfioDevice.open(mtty) }
}

/** What the recorded run did: FIFO on, loop-back mode, SCR=a5, ten bytes sent on port 0. */
export function playRecordedScenario({ regions }: Pick<MigrationDevice, 'regions'>): void {
  regions?.write(0, 2, Uint8Array.of(0x01))
  regions?.write(0, 4, Uint8Array.of(0x10))
  regions?.write(0, 7, Uint8Array.of(0xa5))
  for (const byte of new TextEncoder().encode('hello-vfio')) regions?.write(0, 0, Uint8Array.of(byte))
}

/** The session of `state`. */
export async function enter(device: VfioDevice, state: DeviceState): Promise<DataSession> {
  const session = await device.setState(state)
  if (session === undefined) throw new Error('no session')
  return session
}

/** A whole stream through STOP_COPY, then STOP. */
export async function save(device: VfioDevice): Promise<Uint8Array> {
  const session = await enter(device, DeviceState.STOP_COPY)
  const stream = new Uint8Array(4096)
  const byteLength = session.read(stream)
  if (session.read(stream.subarray(byteLength)) !== 0) throw new Error('a second piece')
  await device.setState(DeviceState.STOP)
  return stream.subarray(0, byteLength)
}

/** Bytes of `stream` with the changes of `patch` (offset to value). */
export function patched(stream: Uint8Array, patch: Record<number, number>): Uint8Array {
  const copy = stream.slice()
  for (const [offset, value] of Object.entries(patch)) copy[Number(offset)] = value
  return copy
}

/** The errno name of a failing call, or what it resolved to. */
export async function errnoOf(call: () => unknown): Promise<unknown> {
  try {
    return await call()
  } catch (error) {
    if (VfioError.is(error)) return error.code
    throw error
  }
}
