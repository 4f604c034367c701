import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DmaLoggingControl,
  DmaLoggingRange,
  DmaLoggingReport,
  FeatureHeader,
  FeatureMigDataSize,
  FeatureMigState,
  FeatureMigration,
  PrecopyInfoStruct,
} from '../../../src/uapi/index.ts'
import type { Field, Struct } from '../../../src/uapi/index.ts'
import { outcome } from '../../support/vfio-error.ts'

const STRUCTS = [
  FeatureHeader,
  FeatureMigration,
  FeatureMigState,
  FeatureMigDataSize,
  DmaLoggingControl,
  DmaLoggingRange,
  DmaLoggingReport,
  PrecopyInfoStruct,
] as unknown as Struct<Record<string, number | bigint>>[]

function valueOf(field: Field): fc.Arbitrary<number | bigint> {
  if (field.type === 'u64') return fc.bigInt(0n, 0xffff_ffff_ffff_ffffn)
  return field.type === 'u32' ? fc.nat(0xffff_ffff) : fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
}

describe('wire structures', () => {
  it('0.3 every size and offset is the listed one', () => {
    const table = STRUCTS.map(({ name, byteLength, fields }) => [
      name.replace('vfio_device_', ''),
      Object.values(fields).map((field) => `${field.type} ${field.name}@${field.offset}`),
      byteLength,
    ])
    expect(table).toEqual([
      ['feature', ['u32 argsz@0', 'u32 flags@4'], 8],
      ['feature_migration', ['u64 flags@0'], 8],
      ['feature_mig_state', ['u32 device_state@0', 's32 data_fd@4'], 8],
      ['feature_mig_data_size', ['u64 stop_copy_length@0'], 8],
      [
        'feature_dma_logging_control',
        ['u64 page_size@0', 'u32 num_ranges@8', 'u32 __reserved@12', 'u64 ranges@16'],
        24,
      ],
      ['feature_dma_logging_range', ['u64 iova@0', 'u64 length@8'], 16],
      ['feature_dma_logging_report', ['u64 iova@0', 'u64 length@8', 'u64 page_size@16', 'u64 bitmap@24'], 32],
      ['vfio_precopy_info', ['u32 argsz@0', 'u32 flags@4', 'u64 initial_bytes@8', 'u64 dirty_bytes@16'], 24],
    ])
  })

  it.each(STRUCTS)(
    '$name decodes what it encoded, at any address and with other bytes untouched',
    (struct) => {
      const arbitrary = fc.record(
        Object.fromEntries(Object.entries(struct.fields).map(([key, field]) => [key, valueOf(field)])),
      )
      fc.assert(
        fc.property(arbitrary, fc.nat(9), (value, address) => {
          const memory = new Uint8Array(address + struct.byteLength + 3).fill(0xee)
          struct.encodeInto(memory, address, value)
          expect(struct.decode(memory, address)).toEqual(value)
          expect(struct.encode(value)).toEqual(memory.subarray(address, address + struct.byteLength))
          expect(memory.subarray(0, address).every((byte) => byte === 0xee)).toBe(true)
          expect(memory.subarray(address + struct.byteLength).every((byte) => byte === 0xee)).toBe(true)
        }),
        { numRuns: 50 },
      )
    },
  )

  it('a value that does not fit its field is EINVAL and is never wrapped', () => {
    const memory = new Uint8Array(8).fill(0xee)
    for (const deviceState of [2 ** 32 + 3, -1, 1.5, Number.NaN]) {
      expect(outcome(() => FeatureMigState.encodeInto(memory, 0, { deviceState, dataFd: -1 }))).toBe('EINVAL')
    }
    for (const dataFd of [2 ** 31, -(2 ** 31) - 1]) {
      expect(outcome(() => FeatureMigState.encode({ deviceState: 3, dataFd }))).toBe('EINVAL')
    }
    expect(outcome(() => FeatureMigration.encode({ flags: 1n << 64n }))).toBe('EINVAL')
    expect(outcome(() => FeatureMigration.encode({ flags: -1n }))).toBe('EINVAL')
    expect(memory.every((byte) => byte === 0xee)).toBe(true)
  })

  it('a structure that does not fit the memory is EFAULT and nothing is written', () => {
    const memory = new Uint8Array(31)
    const report = { iova: ~0n & 0xffffn, length: 1n, pageSize: 1n, bitmap: 1n }
    expect(outcome(() => DmaLoggingReport.encodeInto(memory, 0, report))).toBe('EFAULT')
    expect(outcome(() => DmaLoggingReport.decode(memory, 0))).toBe('EFAULT')
    expect(memory.every((byte) => byte === 0)).toBe(true)
  })
})
