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

import type { DmaMemory } from '../../device/pci-function.ts'
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
  /** Copies local memory at src to a linked peer's at dst; the peer's place stands in the upper 16 bits. */
  TO_PEER: 5,
  /** Copies a linked peer's memory at src to local memory at dst. */
  FROM_PEER: 6,
} as const

/** What became of a descriptor. */
export const DescriptorStatus = { PENDING: 0, DONE: 1, ERROR: 2 } as const

/**
 * Memory behind the device's DMA, by IOVA; it may answer later. A throw or rejection makes the descriptor fail.
 */
export type HostMemory = DmaMemory

/** What a peer-to-peer descriptor asks for; no offset or length is checked but for being an exact number. */
export interface PeerRequest {
  readonly peer: number
  readonly toPeer: boolean
  readonly dst: number
  readonly src: number
  readonly byteLength: number
}

/** Whether the descriptor at `index` is one between peers. */
export function isPeerDescriptor(ring: Uint8Array, index: number): boolean {
  const op = entryAt(ring, index).getUint16(0, true)
  return op === DescriptorOp.TO_PEER || op === DescriptorOp.FROM_PEER
}

/** The peer-to-peer descriptor at `index`, undefined when it is out of range for any peer. */
export function peerRequest(ring: Uint8Array, index: number): PeerRequest | undefined {
  const entry = entryAt(ring, index)
  const [dst = 0, src = 0, byteLength = 0] = [8, 16, 24].map((at) => Number(entry.getBigUint64(at, true)))
  if (byteLength > MAX_TRANSFER_BYTES || Math.max(dst, src) > Number.MAX_SAFE_INTEGER - MAX_TRANSFER_BYTES)
    return undefined
  const toPeer = entry.getUint16(0, true) === DescriptorOp.TO_PEER
  return { peer: entry.getUint16(2, true), toPeer, dst, src, byteLength }
}

/** What a descriptor between local memory and the host asks for; `offset` is of local memory, and inside it. */
export interface HostRequest {
  readonly toHost: boolean
  readonly iova: bigint
  readonly offset: number
  readonly byteLength: number
}

/** Whether the descriptor at `index` is one between local memory and the host. */
export function isHostDescriptor(ring: Uint8Array, index: number): boolean {
  const op = entryAt(ring, index).getUint32(0, true)
  return op === DescriptorOp.TO_HOST || op === DescriptorOp.FROM_HOST
}

/** The descriptor at `index` between local memory and the host, undefined when it is out of range. */
export function hostRequest(ring: Uint8Array, index: number, localBytes: number): HostRequest | undefined {
  const entry = entryAt(ring, index)
  const toHost = entry.getUint32(0, true) === DescriptorOp.TO_HOST
  const [dst, src, bytes] = [8, 16, 24].map((at) => entry.getBigUint64(at, true)) as [bigint, bigint, bigint]
  const [offset, iova] = toHost ? [src, dst] : [dst, src]
  if (bytes > BigInt(MAX_TRANSFER_BYTES)) return undefined
  if (offset + bytes > BigInt(localBytes) || iova + bytes > 1n << 64n) return undefined
  return { toHost, iova, offset: Number(offset), byteLength: Number(bytes) }
}

/** Stores what became of the descriptor at `index`. */
export function finishDescriptor(ring: Uint8Array, index: number, done: boolean): void {
  entryAt(ring, index).setUint32(4, done ? DescriptorStatus.DONE : DescriptorStatus.ERROR, true)
}

function entryAt(ring: Uint8Array, index: number): DataView {
  return new DataView(ring.buffer, ring.byteOffset + index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
}

/** Executes the descriptor at `index`, which reaches nothing but local memory; false: it cannot be done. */
export function runDescriptor(ring: Uint8Array, index: number, local: DeviceMemory): boolean {
  const entry = entryAt(ring, index)
  const op = entry.getUint32(0, true)
  const [dst, src, bytes] = [8, 16, 24].map((at) => entry.getBigUint64(at, true)) as [bigint, bigint, bigint]
  const inside = (offset: bigint): boolean => offset + bytes <= BigInt(local.byteLength)
  if (bytes > BigInt(MAX_TRANSFER_BYTES) || !inside(dst)) return false
  const to = Number(dst)
  const byteLength = Number(bytes)
  if (op === DescriptorOp.FILL) local.bytes.fill(Number(src & 0xffn), to, to + byteLength)
  else if (op === DescriptorOp.COPY && inside(src))
    local.bytes.copyWithin(to, Number(src), Number(src) + byteLength)
  else return false
  local.mark(to, byteLength)
  return true
}
