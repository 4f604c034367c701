/**
 * Answers register accesses: BARs of the device, and configuration space.
 *
 * @module
 */

import { type Answer, answer, HEADER_ONLY, headOf, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import type { ServedClient } from './served-client.ts'
import { RegionAccess } from './structs.ts'

/** Six BARs, ROM, configuration space, VGA. */
export const REGION_COUNT = 9
/** Index of configuration space. */
export const CONFIG_REGION = 7

/** Bytes that are read or written. */
interface Access {
  readonly index: number
  readonly offset: number
  readonly byteLength: number
}

/**
 * REGION_READ.
 *
 * @throws {@link VfioError} EINVAL no such region, outside it, longer than a message; the device's own
 */
export function serveRegionRead(command: QueuedCommand, client: ServedClient): Answer {
  const { index, offset, byteLength } = accessOf(command, client)
  if (byteLength === 0) return HEADER_ONLY
  const data = new Uint8Array(byteLength)
  const { config } = client
  if (index === CONFIG_REGION) config.read(offset, data)
  else if (index === config.msix?.bar.index) config.msix.readBar(offset, data)
  else client.regions?.read(index, offset, data)
  return answer(command.payload.slice(0, RegionAccess.byteLength), data)
}

/** REGION_WRITE. @throws {@link VfioError} as {@link serveRegionRead}; EINVAL other bytes than `count` */
export function serveRegionWrite(command: QueuedCommand, client: ServedClient): Answer {
  const { index, offset, byteLength } = accessOf(command, client)
  const data = command.payload.subarray(RegionAccess.byteLength)
  if (data.length !== byteLength)
    throw refusal(`${data.length} bytes of data, send count, which is ${byteLength}`)
  if (byteLength === 0) return HEADER_ONLY
  const { config } = client
  if (index === CONFIG_REGION) config.write(offset, data)
  else if (index === config.msix?.bar.index) config.msix.writeBar(offset, data)
  else client.regions?.write(index, offset, data)
  return answer(command.payload.slice(0, RegionAccess.byteLength))
}

function accessOf(command: QueuedCommand, { config, settings }: ServedClient): Access {
  const { offset, region: index, count } = headOf(RegionAccess, command)
  if (index >= REGION_COUNT) throw refusal(`there is no region ${index}, access 0 to ${REGION_COUNT - 1}`)
  if (count > settings.maxDataBytes)
    throw refusal(`${count} bytes at once, access ${settings.maxDataBytes} at most`)
  const bar = config.bars.find((other) => other.index === index)
  const byteLength = index === CONFIG_REGION ? config.byteLength : (bar?.byteLength ?? 0)
  if (offset + BigInt(count) > BigInt(byteLength))
    throw refusal(`${count} bytes at ${offset} of region ${index}, which has ${byteLength}, stay inside`)
  return { index, offset: Number(offset), byteLength: count }
}
