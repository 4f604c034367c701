import { describe, expect, it } from 'vitest'
import {
  DeviceFeature,
  DeviceState,
  DmaLoggingControl,
  DmaLoggingReport,
  FeatureHeader,
  FeatureMigDataSize,
  FeatureMigState,
  FeatureMigration,
  PrecopyInfoStruct,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  encodeFeatureMessage,
} from '../../../src/uapi/index.ts'
import type { Struct } from '../../../src/uapi/index.ts'
import { bytes, hex } from '../../support/hex.ts'

interface Vector {
  name: string
  hex: string
  feature: DeviceFeature
  ops: number
  /** Structure and value of the payload, if there is one. */
  encode?: () => Uint8Array
  decode?: (payload: Uint8Array) => unknown
  value?: object
}

function payload<Value extends object>(struct: Struct<Value>, value: Value): Partial<Vector> {
  return { encode: () => struct.encode(value), decode: (data) => struct.decode(data), value }
}

const STOP_COPY = DeviceState.STOP_COPY
const VECTORS: Vector[] = [
  {
    name: 'MIGRATION GET',
    hex: '10 00 00 00 01 00 01 00 00 00 00 00 00 00 00 00',
    feature: DeviceFeature.MIGRATION,
    ops: GET,
    ...payload(FeatureMigration, { flags: 0n }),
  },
  {
    name: 'MIGRATION PROBE',
    hex: '08 00 00 00 01 00 04 00',
    feature: DeviceFeature.MIGRATION,
    ops: PROBE,
  },
  {
    name: 'MIG_DEVICE_STATE GET',
    hex: '10 00 00 00 02 00 01 00 00 00 00 00 00 00 00 00',
    feature: DeviceFeature.MIG_DEVICE_STATE,
    ops: GET,
    ...payload(FeatureMigState, { deviceState: 0, dataFd: 0 }),
  },
  {
    name: 'MIG_DEVICE_STATE SET STOP_COPY',
    hex: '10 00 00 00 02 00 02 00 03 00 00 00 00 00 00 00',
    feature: DeviceFeature.MIG_DEVICE_STATE,
    ops: SET,
    ...payload(FeatureMigState, { deviceState: STOP_COPY, dataFd: 0 }),
  },
  {
    name: 'MIG_DEVICE_STATE SET STOP_COPY, reply with fd 7',
    hex: '10 00 00 00 02 00 02 00 03 00 00 00 07 00 00 00',
    feature: DeviceFeature.MIG_DEVICE_STATE,
    ops: SET,
    ...payload(FeatureMigState, { deviceState: STOP_COPY, dataFd: 7 }),
  },
  {
    name: 'MIG_DEVICE_STATE SET STOP_COPY, reply without fd',
    hex: '10 00 00 00 02 00 02 00 03 00 00 00 ff ff ff ff',
    feature: DeviceFeature.MIG_DEVICE_STATE,
    ops: SET,
    ...payload(FeatureMigState, { deviceState: STOP_COPY, dataFd: -1 }),
  },
  {
    name: 'MIG_DATA_SIZE GET',
    hex: '10 00 00 00 09 00 01 00 00 00 00 00 00 00 00 00',
    feature: DeviceFeature.MIG_DATA_SIZE,
    ops: GET,
    ...payload(FeatureMigDataSize, { stopCopyLength: 0n }),
  },
  {
    name: 'DMA_LOGGING_START SET, 4 KiB, 1 range, ptr 0x1000',
    hex: `20 00 00 00 06 00 02 00 00 10 00 00 00 00 00 00 01 00 00 00 00 00 00 00
          00 10 00 00 00 00 00 00`,
    feature: DeviceFeature.DMA_LOGGING_START,
    ops: SET,
    ...payload(DmaLoggingControl, { pageSize: 4096n, numRanges: 1, reserved: 0, ranges: 0x1000n }),
  },
  {
    name: 'DMA_LOGGING_STOP SET',
    hex: '08 00 00 00 07 00 02 00',
    feature: DeviceFeature.DMA_LOGGING_STOP,
    ops: SET,
  },
  {
    name: 'DMA_LOGGING_REPORT GET iova 0 len 1 MiB 4 KiB ptr 0x2000',
    hex: `28 00 00 00 08 00 01 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 00 00
          00 10 00 00 00 00 00 00 00 20 00 00 00 00 00 00`,
    feature: DeviceFeature.DMA_LOGGING_REPORT,
    ops: GET,
    ...payload(DmaLoggingReport, { iova: 0n, length: 0x10_0000n, pageSize: 4096n, bitmap: 0x2000n }),
  },
  {
    name: 'MIG_PRECOPY_INFOv2 SET',
    hex: '08 00 00 00 0c 00 02 00',
    feature: DeviceFeature.MIG_PRECOPY_INFOv2,
    ops: SET,
  },
]

describe('golden byte vectors of facts 0.4', () => {
  it.each(VECTORS)('0.4 $name is encoded to the recorded bytes', (vector) => {
    const message = encodeFeatureMessage(vector.feature, vector.ops, vector.encode?.())
    expect(hex(message)).toBe(hex(bytes(vector.hex)))
  })

  it.each(VECTORS)('0.4 $name is decoded from the recorded bytes', (vector) => {
    const message = bytes(vector.hex)
    expect(FeatureHeader.decode(message)).toEqual({
      argsz: message.length,
      flags: vector.feature | vector.ops,
    })
    const data = message.subarray(FeatureHeader.byteLength)
    expect(vector.decode?.(data)).toEqual(vector.value)
    expect(data.length > 0).toBe(vector.value !== undefined)
  })

  it.each([
    [
      'precopy_info in',
      '18 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
      { argsz: 24, flags: 0, initialBytes: 0n, dirtyBytes: 0n },
    ],
    [
      'precopy_info out initial=24 dirty=0',
      '18 00 00 00 00 00 00 00 18 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
      { argsz: 24, flags: 0, initialBytes: 24n, dirtyBytes: 0n },
    ],
  ])('0.4 %s is encoded and decoded as recorded', (_name, recorded, value) => {
    expect(hex(PrecopyInfoStruct.encode(value))).toBe(recorded)
    expect(PrecopyInfoStruct.decode(bytes(recorded))).toEqual(value)
  })
})
