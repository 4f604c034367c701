/**
 * How a device is left when its client is gone.
 *
 * @module
 */

import { settle } from '../transport/index.ts'
import { DeviceState } from '../uapi/state.ts'
import type { ServedClient } from './served-client.ts'

/** Where a kept device goes that was saving: its session is gone with the client. */
const SETTLED: ReadonlyMap<DeviceState, DeviceState> = new Map([
  [DeviceState.PRE_COPY, DeviceState.RUNNING],
  [DeviceState.PRE_COPY_P2P, DeviceState.RUNNING],
  [DeviceState.STOP_COPY, DeviceState.STOP],
])

/**
 * Lets go of everything that was the client's, and brings the device where the next one should find it.
 *
 * @returns the state it is in; undefined when it could not be brought there
 */
export async function leaveDevice(client: ServedClient): Promise<DeviceState | undefined> {
  const { memory, interrupts, migration, config, settings } = client
  await settle(() => memory.close())
  await settle(() => interrupts.close())
  config.reset()
  try {
    const state = await migration.state()
    const settled = SETTLED.get(state)
    if (!settings.keepState || state === DeviceState.RESUMING) await migration.reset()
    else if (settled !== undefined) await migration.go(settled, new AbortController().signal)
    return await migration.state()
  } catch {
    return undefined
  } finally {
    await migration.close()
  }
}
