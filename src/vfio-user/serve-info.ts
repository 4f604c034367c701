/**
 * Answers what a client asks about a device before it uses it.
 *
 * @module
 */

import { type Answer, answer, argumentsOf, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { IRQ_COUNT } from './interrupts.ts'
import { encodeSparseAreas } from './region-capabilities.ts'
import { CONFIG_REGION, REGION_COUNT } from './serve-regions.ts'
import type { ServedClient } from './served-client.ts'
import { DeviceInfo, IrqInfo, RegionInfo, RegionIoFds } from './structs.ts'

const DEVICE_RESET = 1
const DEVICE_PCI = 2
const REGION_READ_WRITE = 3
const REGION_MMAP = 4
const REGION_CAPS = 8
const IRQ_EVENTFD = 1

/** DEVICE_GET_INFO: a PCI device that can be reset. */
export function serveDeviceInfo(command: QueuedCommand): Answer {
  argumentsOf(DeviceInfo, command)
  const flags = DEVICE_RESET | DEVICE_PCI
  const argsz = DeviceInfo.byteLength
  return answer(DeviceInfo.encode({ argsz, flags, numRegions: REGION_COUNT, numIrqs: IRQ_COUNT }))
}

/**
 * DEVICE_GET_REGION_INFO: a region that is not there has no bytes. The file behind a BAR, and what of it can be
 * mapped, is told to who has room for it, over a connection with descriptors.
 */
export function serveRegionInfo(command: QueuedCommand, { config, fds }: ServedClient): Answer {
  const { index, argsz } = argumentsOf(RegionInfo, command)
  if (index >= REGION_COUNT) throw refusal(`there is no region ${index}, ask for 0 to ${REGION_COUNT - 1}`)
  const bar = config.bars.find((other) => other.index === index)
  const byteLength = index === CONFIG_REGION ? config.byteLength : (bar?.byteLength ?? 0)
  const info = {
    argsz: RegionInfo.byteLength,
    flags: byteLength > 0 ? REGION_READ_WRITE : 0,
    index,
    capOffset: 0,
    size: BigInt(byteLength),
    offset: 0n,
  }
  const file = fds === undefined ? undefined : bar?.file
  if (file === undefined) return answer(RegionInfo.encode(info))
  const areas = encodeSparseAreas(file.areas ?? [{ offset: 0n, size: info.size }])
  const whole = {
    ...info,
    argsz: RegionInfo.byteLength + areas.length,
    flags: info.flags | REGION_MMAP | REGION_CAPS,
    capOffset: RegionInfo.byteLength,
    offset: file.offset ?? 0n,
  }
  if (argsz < whole.argsz) return answer(RegionInfo.encode(whole))
  return { chunks: [RegionInfo.encode(whole), areas], fds: [file.fd] }
}

/**
 * DEVICE_GET_REGION_IO_FDS: no region has descriptors for its accesses.
 *
 * @throws {@link VfioError} EINVAL always, which clients take for "go on without"
 */
export function serveRegionIoFds(command: QueuedCommand): Answer {
  const { index } = argumentsOf(RegionIoFds, command)
  throw refusal(`region ${index} has no descriptors, use REGION_READ and REGION_WRITE`)
}

/** DEVICE_GET_IRQ_INFO. */
export function serveIrqInfo(command: QueuedCommand, { interrupts }: ServedClient): Answer {
  const { index } = argumentsOf(IrqInfo, command)
  const count = interrupts.count(index)
  if (count === undefined) throw refusal(`there is no interrupt ${index}, ask for 0 to ${IRQ_COUNT - 1}`)
  return answer(IrqInfo.encode({ argsz: IrqInfo.byteLength, flags: IRQ_EVENTFD, index, count }))
}
