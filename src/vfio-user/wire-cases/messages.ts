/**
 * Payloads of right messages, from which the cases make wrong ones.
 *
 * @module
 */

import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from '../../uapi/features.ts'
import { DeviceFeature } from '../../uapi/features.ts'
import { FeatureHeader } from '../../uapi/structs/feature-header.ts'
import {
  DeviceInfo,
  DmaMap,
  DmaUnmap,
  IrqInfo,
  IrqSet,
  MigData,
  RegionAccess,
  RegionInfo,
  UserDmaLoggingControl,
  UserDmaLoggingReport,
} from '../structs.ts'

/** Where no case maps memory. */
export const UNUSED_ADDRESS = 0x7f00_0000_0000n
/** The region of PCI configuration space. */
export const CONFIG_REGION = 7
/** DMA_MAP: readable and writable. */
const READ_WRITE = 3

/** Payload of DEVICE_GET_INFO. */
export function deviceInfo(argsz: number = DeviceInfo.byteLength): Uint8Array {
  return DeviceInfo.encode({ argsz, flags: 0, numRegions: 0, numIrqs: 0 })
}

/** Payload of DEVICE_GET_REGION_INFO. */
export function regionInfo(index: number, argsz: number = RegionInfo.byteLength): Uint8Array {
  return RegionInfo.encode({ argsz, flags: 0, index, capOffset: 0, size: 0n, offset: 0n })
}

/** Payload of DEVICE_GET_IRQ_INFO. */
export function irqInfo(index: number, argsz: number = IrqInfo.byteLength): Uint8Array {
  return IrqInfo.encode({ argsz, flags: 0, index, count: 0 })
}

/** Payload of DEVICE_SET_IRQS. */
export function irqSet(flags: number, index: number, start: number, count: number, data = 0): Uint8Array {
  const argsz = IrqSet.byteLength + data
  return joined(IrqSet.encode({ argsz, flags, index, start, count }), new Uint8Array(data))
}

/** Payload of REGION_READ, and with `data` of REGION_WRITE. */
export function regionAccess(
  region: number,
  offset: bigint,
  count: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return joined(RegionAccess.encode({ offset, region, count }), data)
}

/** Payload of DMA_MAP without a descriptor. */
export function dmaMap(address: bigint, size: bigint, flags: number = READ_WRITE): Uint8Array {
  return DmaMap.encode({ argsz: DmaMap.byteLength, flags, offset: 0n, address, size })
}

/** Payload of DMA_UNMAP. */
export function dmaUnmap(address: bigint, size: bigint, flags = 0): Uint8Array {
  return DmaUnmap.encode({ argsz: DmaUnmap.byteLength, flags, address, size })
}

/** Payload of DEVICE_FEATURE: `flags` with feature and operation, `argsz` the truth unless it is told. */
export function feature(
  flags: number,
  data: Uint8Array = new Uint8Array(0),
  argsz: number = FeatureHeader.byteLength + data.length,
): Uint8Array {
  return joined(FeatureHeader.encode({ argsz, flags }), data)
}

/** A GET whose reply has room for `replyBytes` of data. */
export function featureGet(index: number, replyBytes: number): Uint8Array {
  return feature(index | VFIO_DEVICE_FEATURE_GET, undefined, FeatureHeader.byteLength + replyBytes)
}

/** A PROBE of one operation. */
export function featureProbe(index: number, operation: number): Uint8Array {
  return feature(index | VFIO_DEVICE_FEATURE_PROBE | operation)
}

/** A SET of the device state; any u32. */
export function setState(state: number, dataFd = 0xffff_ffff): Uint8Array {
  const data = new Uint8Array(8)
  const view = new DataView(data.buffer)
  view.setUint32(0, state, true)
  view.setUint32(4, dataFd, true)
  return feature(DeviceFeature.MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET, data)
}

/** A GET of the device state. */
export function getState(): Uint8Array {
  return featureGet(DeviceFeature.MIG_DEVICE_STATE, 8)
}

/** DMA_LOGGING_START with one range. */
export function loggingStart(pageSize: bigint, address: bigint, length: bigint): Uint8Array {
  const range = new Uint8Array(16)
  const view = new DataView(range.buffer)
  view.setBigUint64(0, address, true)
  view.setBigUint64(8, length, true)
  const control = UserDmaLoggingControl.encode({ pageSize, numRanges: 1, reserved: 0 })
  return feature(DeviceFeature.DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET, joined(control, range))
}

/** DMA_LOGGING_STOP, with the control structure that C clients send. */
export function loggingStop(): Uint8Array {
  const control = UserDmaLoggingControl.encode({ pageSize: 4096n, numRanges: 0, reserved: 0 })
  return feature(DeviceFeature.DMA_LOGGING_STOP | VFIO_DEVICE_FEATURE_SET, control)
}

/** DMA_LOGGING_REPORT with room for `bitmapBytes`. */
export function loggingReport(
  iova: bigint,
  length: bigint,
  pageSize: bigint,
  bitmapBytes: number,
): Uint8Array {
  const data = UserDmaLoggingReport.encode({ iova, length, pageSize })
  const argsz = FeatureHeader.byteLength + data.length + bitmapBytes
  return feature(DeviceFeature.DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET, data, argsz)
}

/** Payload of MIG_DATA_READ, and with `data` of MIG_DATA_WRITE. */
export function migData(
  size: number,
  data?: Uint8Array,
  argsz: number = MigData.byteLength + size,
): Uint8Array {
  return joined(MigData.encode({ argsz, size }), data ?? new Uint8Array(0))
}

/** Bytes after bytes. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
