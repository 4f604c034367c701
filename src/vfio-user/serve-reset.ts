/**
 * Answers DEVICE_RESET.
 *
 * @module
 */

import { DeviceState } from '../uapi/state.ts'
import { type Answer, HEADER_ONLY } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import type { ServedClient } from './served-client.ts'

/**
 * Power-on: RUNNING from every state, as in the kernel, and configuration space as at the start. What the client
 * mapped, its eventfds and its log stay.
 *
 * With `resetKeepsState`, libvfio-user's way, a device that is saving or being loaded keeps its state and its
 * session: only configuration space is reset then.
 *
 * @throws {@link VfioError} the device's own
 */
export async function serveReset(
  _command: QueuedCommand,
  { config, migration, settings }: ServedClient,
): Promise<Answer> {
  if (!settings.resetKeepsState || resets(await migration.state())) await migration.reset()
  config.reset()
  return HEADER_ONLY
}

function resets(state: DeviceState): boolean {
  return state === DeviceState.RUNNING || state === DeviceState.ERROR
}
