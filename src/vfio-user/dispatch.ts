/**
 * Which command is answered by whom, and in which states of the device.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'
import { VfioUserCommand, commandName } from './command.ts'
import { type Answer, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { serveDmaMap, serveDmaUnmap } from './serve-dma.ts'
import { serveFeature } from './serve-feature.ts'
import { serveDeviceInfo, serveIrqInfo, serveRegionInfo, serveRegionIoFds } from './serve-info.ts'
import { serveSetIrqs } from './serve-irqs.ts'
import { serveMigDataRead, serveMigDataWrite } from './serve-mig-data.ts'
import { serveRegionRead, serveRegionWrite } from './serve-regions.ts'
import { serveReset } from './serve-reset.ts'
import type { ServedClient } from './served-client.ts'

type Serve = (command: QueuedCommand, client: ServedClient) => Awaitable<Answer>

const COMMANDS: ReadonlyMap<number, Serve> = new Map<number, Serve>([
  [VfioUserCommand.DMA_MAP, serveDmaMap],
  [VfioUserCommand.DMA_UNMAP, serveDmaUnmap],
  [VfioUserCommand.DEVICE_GET_INFO, serveDeviceInfo],
  [VfioUserCommand.DEVICE_GET_REGION_INFO, serveRegionInfo],
  [VfioUserCommand.DEVICE_GET_REGION_IO_FDS, serveRegionIoFds],
  [VfioUserCommand.DEVICE_GET_IRQ_INFO, serveIrqInfo],
  [VfioUserCommand.DEVICE_SET_IRQS, serveSetIrqs],
  [VfioUserCommand.REGION_READ, serveRegionRead],
  [VfioUserCommand.REGION_WRITE, serveRegionWrite],
  [VfioUserCommand.DEVICE_RESET, serveReset],
  [VfioUserCommand.DEVICE_FEATURE, serveFeature],
  [VfioUserCommand.MIG_DATA_READ, serveMigDataRead],
  [VfioUserCommand.MIG_DATA_WRITE, serveMigDataWrite],
])

/** These ask for the session, which is there in the right states only. */
const STREAM: readonly number[] = [VfioUserCommand.MIG_DATA_READ, VfioUserCommand.DEVICE_FEATURE]
const REGION: readonly number[] = [VfioUserCommand.REGION_READ, VfioUserCommand.REGION_WRITE]

/**
 * Answers a command other than VERSION.
 *
 * In STOP and STOP_COPY only register access (in STOP), DEVICE_FEATURE and MIG_DATA_READ are answered, as with
 * libvfio-user, and beyond it DEVICE_RESET, which leaves every state as in the kernel (option `resetKeepsState`:
 * refused as well).
 *
 * @throws {@link VfioError} EINVAL no such command, not in this state; as who answers it
 */
export async function dispatch(command: QueuedCommand, client: ServedClient): Promise<Answer> {
  const { header } = command
  if (header.type !== 'command') throw refusal('a reply that nobody waits for, send commands')
  const serve = COMMANDS.get(header.command)
  if (serve === undefined) throw refusal(`there is no ${commandName(header.command)} here, go on without it`)
  if (!STREAM.includes(header.command)) await checkState(header.command, client)
  return serve(command, client)
}

async function checkState(command: number, { migration, settings }: ServedClient): Promise<void> {
  const state = await migration.state()
  if (state !== DeviceState.STOP && state !== DeviceState.STOP_COPY) return
  if (REGION.includes(command) && state === DeviceState.STOP) return
  if (command === VfioUserCommand.DEVICE_RESET && !settings.resetKeepsState) return
  throw refusal(`${commandName(command)} is not answered in ${deviceStateName(state)}, leave that first`)
}
