/**
 * Answers DMA_MAP and DMA_UNMAP.
 *
 * @module
 */

import { PageBits } from '../device/page-bits.ts'
import { type Answer, answer, argumentsOf, HEADER_ONLY, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { bitmapBytes } from './serve-logging.ts'
import type { DmaBacking, DmaMapping, DmaRegion } from './dma-regions.ts'
import type { ServedClient } from './served-client.ts'
import { DirtyBitmapHead, DmaMap, DmaUnmap } from './structs.ts'

const ACCESS = 3
const MAP_MMAP = 4
const MAP_FILE = 8
const UNMAP_BITMAP = 1
const UNMAP_ALL = 2
/** Longer ones are read and written by position: a view cannot be that long everywhere. */
const MAX_MAPPED_BYTES: bigint = 1n << 32n

/**
 * DMA_MAP. Without a descriptor the device reaches the region by messages.
 *
 * @throws {@link VfioError} EINVAL unknown flags, more than one descriptor, flags that need one without; as
 * `DmaRegions.check`; the system's when the file cannot be mapped
 */
export function serveDmaMap(command: QueuedCommand, client: ServedClient): Answer {
  const { flags, offset, address, size } = argumentsOf(DmaMap, command)
  const { memory } = client
  if (flags >>> 4 !== 0) throw refusal(`flags 0x${flags.toString(16)}, bits 0 to 3 are known`)
  if (command.fds.length > 1) throw refusal(`${command.fds.length} descriptors, send one or none`)
  if (command.fds.length === 0 && (flags & (MAP_MMAP | MAP_FILE)) !== 0)
    throw refusal('flags that need a descriptor came without one, send one')
  const mapping: DmaMapping = { iova: address, byteLength: size, offset, access: flags & ACCESS }
  if (memory.regions.check(mapping) === undefined)
    memory.map(mapping, backingOf(command, client, mapping, (flags & MAP_FILE) !== 0))
  return HEADER_ONLY
}

/**
 * DMA_UNMAP of one region, or all.
 *
 * @throws {@link VfioError} EINVAL unknown flags, all with addresses or with a bitmap, a bitmap that is too small
 * or of no page size, or while nothing is logged; ENOENT no such region
 */
export function serveDmaUnmap(command: QueuedCommand, { memory }: ServedClient): Answer {
  const { argsz, flags, address, size } = argumentsOf(DmaUnmap, command)
  const head = command.payload.slice(0, DmaUnmap.byteLength)
  if (flags >>> 2 !== 0) throw refusal(`flags 0x${flags.toString(16)}, bits 0 and 1 are known`)
  if ((flags & UNMAP_ALL) !== 0) {
    if (flags !== UNMAP_ALL || address !== 0n || size !== 0n)
      throw refusal('all regions, with an address, a size or a bitmap: send zeros')
    memory.unmapAll()
    return answer(head)
  }
  const region = memory.regions.exactly(address, size)
  if (region === undefined) throw refusal(`no region is exactly ${size} bytes at ${address}`, 'ENOENT')
  if ((flags & UNMAP_BITMAP) === 0) {
    memory.unmap(region)
    return answer(head)
  }
  if (memory.loggedPageSize === undefined) throw refusal('a bitmap while nothing is logged, start logging')
  const rest = command.payload.subarray(DmaUnmap.byteLength)
  if (rest.length < DirtyBitmapHead.byteLength) throw refusal('a bitmap is wanted and not described, do so')
  const wanted = DirtyBitmapHead.decode(rest)
  const bitmap = bitmapOf(region, wanted, argsz)
  memory.unmap(region)
  return answer(head, rest.slice(0, DirtyBitmapHead.byteLength), bitmap)
}

function bitmapOf(region: DmaRegion, { pgsize, size }: DirtyBitmapHead, argsz: number): Uint8Array {
  const byteLength = bitmapBytes(region.byteLength, pgsize)
  if (size < BigInt(byteLength)) throw refusal(`a bitmap of ${size} bytes, take ${byteLength}`)
  const needed = DmaUnmap.byteLength + DirtyBitmapHead.byteLength + byteLength
  if (argsz < needed) throw refusal(`argsz is ${argsz}, set it to ${needed} or more`)
  const bits = new PageBits(byteLength)
  region.dirty.collect(Number(pgsize), bits)
  return bits.bytes
}

function backingOf(
  command: QueuedCommand,
  { fds, settings }: ServedClient,
  { iova, offset, byteLength, access }: DmaMapping,
  isFile: boolean,
): DmaBacking {
  const fd = command.fds[0]
  if (fd === undefined || fds === undefined) return { kind: 'message' }
  const { memoryAccess } = settings
  const way = typeof memoryAccess === 'string' ? memoryAccess : memoryAccess({ iova, byteLength })
  if (way === 'message') return { kind: 'message' }
  if (isFile || way === 'file' || byteLength > MAX_MAPPED_BYTES) {
    command.fds.length = 0
    return { kind: 'file', fd }
  }
  // The mapping outlives the descriptor, which is closed before the answer.
  const memory = fds.map(fd, offset, Number(byteLength), { write: (access & 2) !== 0 })
  return { kind: 'mapped', memory }
}
