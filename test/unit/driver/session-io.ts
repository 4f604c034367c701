/** Reading and writing whole sessions, and streams with other state. @module */

import { expect } from 'vitest'
import type { Driver } from '../../../src/device/driver.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createEngine, type Engine } from '../../../src/engine/index.ts'
import { VfioError } from '../../../src/errors.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { concat, putTogether, TAG, takeApart } from '../../support/stream-builder.ts'

const { STOP, STOP_COPY, RESUMING } = DeviceState

/** One engine for the tests of a file. */
export const testEngine: Engine = await createEngine({ memoryBytes: 24 * 1024 * 1024 })

/** Everything that can be read now: to the permanent end, or to ENOMSG in PRE_COPY. */
export function drain(session: DataSession | undefined, chunkBytes = 100_000): Uint8Array {
  const chunks: Uint8Array[] = []
  const buffer = new Uint8Array(chunkBytes)
  try {
    for (let n; (n = (session as DataSession).read(buffer)) > 0;) chunks.push(buffer.slice(0, n))
  } catch (error) {
    if (!VfioError.is(error, 'ENOMSG')) throw error
  }
  return concat(chunks)
}

/** What STOP_COPY delivers; the device is in STOP_COPY after it. */
export async function saveOpen(device: VfioDevice): Promise<Uint8Array> {
  return drain(await device.setState(STOP_COPY))
}

/** Opens, saves and closes. */
export async function save(driver: Driver, prepare: () => void = () => {}): Promise<Uint8Array> {
  const device = await VfioDevice.open(driver)
  prepare()
  const stream = await saveOpen(device)
  await device.close()
  return stream
}

/** Writes a stream to RESUMING and goes to STOP. */
export async function restoreOpen(device: VfioDevice, stream: Uint8Array): Promise<void> {
  const session = await device.setState(RESUMING)
  session?.write(stream)
  await device.setState(STOP)
}

/** The failure of a restore, and that it left the device in RESUMING; closes the device. */
export async function refusal(driver: Driver, stream: Uint8Array): Promise<VfioError> {
  const device = await VfioDevice.open(driver)
  try {
    await restoreOpen(device, stream)
  } catch (error) {
    if (!VfioError.is(error)) throw error
    expect(await device.state()).toBe(RESUMING)
    return error
  } finally {
    await device.close()
  }
  throw new Error('the stream was accepted')
}

/** The packed state of a stream. */
export function stateOf(stream: Uint8Array): Uint8Array {
  const pieces = takeApart(stream).sections.filter(({ tag }) => tag === TAG.STATE)
  return concat(pieces.map(({ payload }) => payload))
}

/** The stream with other packed state, of one piece, and checksums to match. */
export function withState(stream: Uint8Array, state: Uint8Array): Uint8Array {
  const { header, sections } = takeApart(stream)
  const others = sections.filter(({ tag }) => tag !== TAG.STATE)
  return putTogether(header, [...others, { tag: TAG.STATE, payload: state }])
}
