/**
 * The descriptor ring: 64 entries that a guest fills and the device works off.
 *
 * ```text
 *  0        4          8       16      24         32
 *  | op u32 | status u32 | dst u64 | src u64 | bytes u64 |
 * ```
 * Every value comes from the guest: out of range is an error status, never an access.
 *
 * @module
 */

import type { DirtyLog } from '../../device/dirty-log.ts'
import type { DeviceMemory } from '../../driver/index.ts'

/** Entries of the ring. */
export const RING_ENTRIES = 64
/** Bytes of a descriptor. */
export const DESCRIPTOR_BYTES = 32
/** Bytes of the ring. */
export const RING_BYTES: number = RING_ENTRIES * DESCRIPTOR_BYTES
/** Most bytes of one transfer; keeps a turn of the clock short. */
export const MAX_TRANSFER_BYTES: number = 1024 * 1024

/** What a descriptor asks for. */
export const DescriptorOp = {
  /** Fills local memory at dst with the low byte of src. */
  FILL: 1,
  /** Copies local memory from src to dst. */
  COPY: 2,
  /** Copies local memory at src to the host at dst (DMA write). */
  TO_HOST: 3,
  /** Copies host memory at src to local memory at dst (DMA read). */
  FROM_HOST: 4,
} as const

/** What became of a descriptor. */
export const DescriptorStatus = { PENDING: 0, DONE: 1, ERROR: 2 } as const

/** Memory behind the device's DMA, by IOVA. A throw makes the descriptor fail. */
export interface HostMemory {
  read(iova: bigint, dst: Uint8Array): void
  write(iova: bigint, src: Uint8Array): void
}

/** Executes the descriptor at `index` and stores its status. */
export function runDescriptor(
  ring: Uint8Array,
  index: number,
  local: DeviceMemory,
  host: HostMemory | undefined,
  dirtyLog: DirtyLog,
): void {
  const entry = new DataView(ring.buffer, ring.byteOffset + index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
  const bytes = entry.getBigUint64(24, true)
  let done = false
  if (bytes <= BigInt(MAX_TRANSFER_BYTES)) {
    try {
      done = transfer(entry, Number(bytes), local, host, dirtyLog)
    } catch {
      // A host that refuses the access fails this descriptor, not the device.
    }
  }
  entry.setUint32(4, done ? DescriptorStatus.DONE : DescriptorStatus.ERROR, true)
}

function transfer(
  entry: DataView,
  byteLength: number,
  local: DeviceMemory,
  host: HostMemory | undefined,
  dirtyLog: DirtyLog,
): boolean {
  const op = entry.getUint32(0, true)
  const dst = entry.getBigUint64(8, true)
  const src = entry.getBigUint64(16, true)
  const inside = (offset: bigint): boolean => offset + BigInt(byteLength) <= BigInt(local.byteLength)
  const at = (offset: bigint): Uint8Array => local.bytes.subarray(Number(offset), Number(offset) + byteLength)
  if (op === DescriptorOp.TO_HOST) {
    if (host === undefined || !inside(src)) return false
    host.write(dst, at(src))
    dirtyLog.mark(dst, byteLength)
    return true
  }
  if (!inside(dst)) return false
  if (op === DescriptorOp.FILL) at(dst).fill(Number(src & 0xffn))
  else if (op === DescriptorOp.COPY && inside(src))
    local.bytes.copyWithin(Number(dst), Number(src), Number(src) + byteLength)
  else if (op === DescriptorOp.FROM_HOST && host !== undefined) host.read(src, at(dst))
  else return false
  local.mark(Number(dst), byteLength)
  return true
}
