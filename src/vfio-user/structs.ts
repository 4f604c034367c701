/**
 * The fixed heads of vfio-user's payloads, packed and little endian. Those of features stand in `uapi`.
 *
 * @module
 */

import { defineStruct, type Struct } from '../uapi/struct.ts'
import { readU32, writeU32 } from './little-endian.ts'

/** `struct vfio_device_info` as vfio-user sends it: 16 bytes. */
export interface DeviceInfo {
  /** Bytes of the structure. */
  argsz: number
  /** Bit 0: can be reset; bit 1: PCI. */
  flags: number
  /** Regions, by index from 0. */
  numRegions: number
  /** Kinds of interrupts, by index from 0. */
  numIrqs: number
}
/** Payload of DEVICE_GET_INFO, both ways. */
export const DeviceInfo: Struct<DeviceInfo> = defineStruct<DeviceInfo>('vfio_device_info', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  numRegions: ['num_regions', 'u32'],
  numIrqs: ['num_irqs', 'u32'],
})

/** `struct vfio_region_info`: 32 bytes; capabilities follow in a reply that has room for them. */
export interface RegionInfo {
  /** In: bytes the client takes. Out: bytes there are. */
  argsz: number
  /** Bit 0 read, 1 write, 2 mmap, 3 capabilities. */
  flags: number
  /** 0 to 5 BARs, 6 ROM, 7 configuration space, 8 VGA. */
  index: number
  /** From the structure's start; 0 for none. */
  capOffset: number
  /** Bytes; 0 where there is none. */
  size: bigint
  /** For mmap of the region's file descriptor. */
  offset: bigint
}
/** Payload of DEVICE_GET_REGION_INFO, both ways. */
export const RegionInfo: Struct<RegionInfo> = defineStruct<RegionInfo>('vfio_region_info', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  index: ['index', 'u32'],
  capOffset: ['cap_offset', 'u32'],
  size: ['size', 'u64'],
  offset: ['offset', 'u64'],
})

/** Payload head of DEVICE_GET_REGION_IO_FDS: 16 bytes. */
export interface RegionIoFds {
  argsz: number
  flags: number
  index: number
  count: number
}
/** `struct vfio_user_region_io_fds_request`. */
export const RegionIoFds: Struct<RegionIoFds> = defineStruct<RegionIoFds>('vfio_user_region_io_fds_request', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  index: ['index', 'u32'],
  count: ['count', 'u32'],
})

/** `struct vfio_irq_info`: 16 bytes. */
export interface IrqInfo {
  /** Bytes of the structure. */
  argsz: number
  /** Bit 0: signalled by eventfd. */
  flags: number
  /** 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ. */
  index: number
  /** How many there are. */
  count: number
}
/** Payload of DEVICE_GET_IRQ_INFO, both ways. */
export const IrqInfo: Struct<IrqInfo> = defineStruct<IrqInfo>('vfio_irq_info', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  index: ['index', 'u32'],
  count: ['count', 'u32'],
})

/** `struct vfio_irq_set`: 20 bytes, then `count` bytes with data type bool. */
export interface IrqSet {
  argsz: number
  /** Data: 1 none, 2 bool, 4 eventfd. Action: 8 mask, 16 unmask, 32 trigger. */
  flags: number
  index: number
  start: number
  count: number
}
/** Payload head of DEVICE_SET_IRQS. */
export const IrqSet: Struct<IrqSet> = defineStruct<IrqSet>('vfio_irq_set', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  index: ['index', 'u32'],
  start: ['start', 'u32'],
  count: ['count', 'u32'],
})

/** Payload head of REGION_READ and REGION_WRITE: 16 bytes. */
export interface RegionAccess {
  offset: bigint
  region: number
  /** Bytes. */
  count: number
}
/** `struct vfio_user_region_access`. */
export const RegionAccess: Struct<RegionAccess> = defineStruct<RegionAccess>('vfio_user_region_access', {
  offset: ['offset', 'u64'],
  region: ['region', 'u32'],
  count: ['count', 'u32'],
})

/** Payload of DMA_MAP: 32 bytes. */
export interface DmaMap {
  argsz: number
  /** Bit 0 read, 1 write; of libvfio-user also 2 mmap, 3 file I/O. */
  flags: number
  /** Where the region begins in its file. */
  offset: bigint
  address: bigint
  size: bigint
}
/** `struct vfio_user_dma_map`. */
export const DmaMap: Struct<DmaMap> = defineStruct<DmaMap>('vfio_user_dma_map', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  offset: ['offset', 'u64'],
  address: ['address', 'u64'],
  size: ['size', 'u64'],
})

/** Payload of DMA_UNMAP: 24 bytes. */
export interface DmaUnmap {
  argsz: number
  /** Bit 0: a dirty bitmap is wanted; bit 1: all regions. */
  flags: number
  address: bigint
  size: bigint
}
/** `struct vfio_user_dma_unmap`. */
export const DmaUnmap: Struct<DmaUnmap> = defineStruct<DmaUnmap>('vfio_user_dma_unmap', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
  address: ['address', 'u64'],
  size: ['size', 'u64'],
})

/** What follows a DMA_UNMAP that wants a bitmap: 16 bytes, in the reply the bitmap behind them. */
export interface DirtyBitmapHead {
  pgsize: bigint
  /** Bytes of the bitmap. */
  size: bigint
}
/** `struct vfio_user_bitmap`. */
export const DirtyBitmapHead: Struct<DirtyBitmapHead> = defineStruct<DirtyBitmapHead>('vfio_user_bitmap', {
  pgsize: ['pgsize', 'u64'],
  size: ['size', 'u64'],
})

/** Payload head of DMA_READ and DMA_WRITE, commands and replies: 16 bytes. */
export interface DmaAccess {
  address: bigint
  /** Bytes. */
  count: bigint
}
/** `struct vfio_user_dma_region_access`. */
export const DmaAccess: Struct<DmaAccess> = defineStruct<DmaAccess>('vfio_user_dma_region_access', {
  address: ['address', 'u64'],
  count: ['count', 'u64'],
})

/** Payload head of MIG_DATA_READ and MIG_DATA_WRITE: 8 bytes. */
export interface MigData {
  /** Bytes of this head and the data. */
  argsz: number
  /** Bytes of data. */
  size: number
}
/** `struct vfio_user_mig_data`. */
export const MigData: Struct<MigData> = defineStruct<MigData>('vfio_user_mig_data', {
  argsz: ['argsz', 'u32'],
  size: ['size', 'u32'],
})

/** Data of feature DMA_LOGGING_START: 16 bytes, then the ranges (uapi's have a pointer instead). */
export interface UserDmaLoggingControl {
  pageSize: bigint
  numRanges: number
  reserved: number
}
/** `struct vfio_user_device_feature_dma_logging_control`. */
export const UserDmaLoggingControl: Struct<UserDmaLoggingControl> = defineStruct<UserDmaLoggingControl>(
  'vfio_user_device_feature_dma_logging_control',
  { pageSize: ['page_size', 'u64'], numRanges: ['num_ranges', 'u32'], reserved: ['reserved', 'u32'] },
)

/** Data of feature DMA_LOGGING_REPORT: 24 bytes, in the reply the bitmap behind them. */
export interface UserDmaLoggingReport {
  iova: bigint
  length: bigint
  pageSize: bigint
}
/** `struct vfio_user_device_feature_dma_logging_report`. */
export const UserDmaLoggingReport: Struct<UserDmaLoggingReport> = defineStruct<UserDmaLoggingReport>(
  'vfio_user_device_feature_dma_logging_report',
  { iova: ['iova', 'u64'], length: ['length', 'u64'], pageSize: ['page_size', 'u64'] },
)

/** {@link MigData} of a message that comes thousands of times a second; its bytes are there. */
export function readMigData(payload: Uint8Array): MigData {
  return { argsz: readU32(payload, 0), size: readU32(payload, 4) }
}

/** Writes {@link MigData} at `offset`. */
export function writeMigData(dst: Uint8Array, offset: number, size: number): void {
  writeU32(dst, offset, MigData.byteLength + size)
  writeU32(dst, offset + 4, size)
}
