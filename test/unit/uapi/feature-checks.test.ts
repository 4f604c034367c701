import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DeviceFeature,
  FEATURE_RULES,
  type FeatureCapabilities,
  FeatureHeader,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
  checkFeature,
  findFeature,
  parseFeatureHeader,
} from '../../../src/uapi/index.ts'
import { VfioError } from '../../../src/errors.ts'

const FULL: FeatureCapabilities = { flags: 7, dmaLogging: true }
const NOTHING: FeatureCapabilities = { flags: 0, dmaLogging: false }
const BIT19 = 1 << 19

/** The three checks in a device's order: an errno name, 'probe' or 'proceed'. */
function enter(flags: number, argsz: number, capabilities = FULL, memoryBytes = 8): string {
  const memory = new Uint8Array(memoryBytes)
  memory.set(FeatureHeader.encode({ argsz, flags: flags >>> 0 }).subarray(0, memoryBytes))
  try {
    const request = parseFeatureHeader(memory, 0)
    return checkFeature(request, findFeature(request, capabilities))
  } catch (error) {
    if (VfioError.is(error)) return error.code
    throw error
  }
}

const MATRIX: [name: string, flags: number, argsz: number, [string, string, string]][] = [
  ['no operation with argsz 16', 0, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['GET with argsz 15', GET, 15, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['GET with argsz 16', GET, 16, ['proceed', 'proceed', 'proceed']],
  ['GET with argsz 4096', GET, 4096, ['proceed', 'proceed', 'proceed']],
  ['SET with argsz 16', SET, 16, ['EINVAL', 'proceed', 'EINVAL']],
  ['GET+SET with argsz 16', GET | SET, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['PROBE with argsz 8', PROBE, 8, ['probe', 'probe', 'probe']],
  ['PROBE with argsz 7', PROBE, 7, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['PROBE+GET with argsz 8', PROBE | GET, 8, ['probe', 'probe', 'probe']],
  ['PROBE+SET with argsz 8', PROBE | SET, 8, ['EINVAL', 'probe', 'EINVAL']],
  ['PROBE+GET+SET with argsz 8', PROBE | GET | SET, 8, ['EINVAL', 'probe', 'EINVAL']],
  ['bit 19 + GET with argsz 16', BIT19 | GET, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
]
const MATRIX_FEATURES = [DeviceFeature.MIGRATION, DeviceFeature.MIG_DEVICE_STATE, DeviceFeature.MIG_DATA_SIZE]

describe('entry checks of VFIO_DEVICE_FEATURE', () => {
  it.each(MATRIX)('A.1 %s gives features 1, 2 and 9 the listed results', (_name, flags, argsz, expected) => {
    expect(MATRIX_FEATURES.map((feature) => enter(feature | flags, argsz))).toEqual(expected)
  })

  it.each([
    ['no operation', 0],
    ['GET', GET],
    ['SET', SET],
    ['PROBE', PROBE],
    ['PROBE+GET', PROBE | GET],
    ['PROBE+SET', PROBE | SET],
    ['PROBE+GET+SET', PROBE | GET | SET],
  ])(
    'A.1 a device without migration says ENOTTY to %s before it looks at the operation or argsz',
    (_name, flags) => {
      for (const feature of MATRIX_FEATURES) expect(enter(feature | flags, 8, NOTHING)).toBe('ENOTTY')
    },
  )

  it.each([
    ['GET+SET', GET | SET],
    ['bit 19', BIT19],
    ['bit 19 + GET', BIT19 | GET],
  ])('A.1 %s is EINVAL even on a device without migration', (_name, flags) => {
    for (const feature of MATRIX_FEATURES) expect(enter(feature | flags, 8, NOTHING)).toBe('EINVAL')
  })

  it('A.1 table: operations, argsz at the limit, one below and above it', () => {
    const rows = FEATURE_RULES.map(({ feature, ops, minimumPayload }) => {
      const op = ops & GET ? GET : SET
      const argsz = 8 + minimumPayload
      expect(enter(feature | op, argsz)).toBe('proceed')
      expect(enter(feature | op, argsz + 1)).toBe('proceed')
      expect(enter(feature | op, argsz - 1)).toBe('EINVAL')
      return [feature, enter(feature | GET, 4096), enter(feature | SET, 4096), argsz]
    })
    expect(rows).toEqual([
      [1, 'proceed', 'EINVAL', 16],
      [2, 'proceed', 'proceed', 16],
      [6, 'EINVAL', 'proceed', 32],
      [7, 'EINVAL', 'proceed', 8],
      [8, 'proceed', 'EINVAL', 40],
      [9, 'proceed', 'EINVAL', 16],
      [12, 'EINVAL', 'proceed', 8],
    ])
  })

  it('A.1 step 3: a header of fewer than 8 readable bytes is EFAULT, before anything else', () => {
    expect(enter(GET | SET | BIT19, 0, NOTHING, 7)).toBe('EFAULT')
    expect(enter(DeviceFeature.MIGRATION | GET, 16, FULL, 8)).toBe('proceed')
  })

  it('A.1 step 4: argsz 0 and 7 are EINVAL even for an unknown feature', () => {
    expect(enter(99 | GET, 0)).toBe('EINVAL')
    expect(enter(99 | GET, 7)).toBe('EINVAL')
  })

  it('A.1 step 5: each of bits 19 to 31 is EINVAL, and no lower bit is reserved', () => {
    for (let bit = 19; bit < 32; bit++) expect(enter((1 << bit) | PROBE | 1, 8)).toBe('EINVAL')
    expect(enter(0xffff | PROBE | GET | SET, 8)).toBe('ENOTTY')
  })

  it('A.1 step 7: a feature nobody implements is ENOTTY with any operation', () => {
    for (const feature of [0, 3, 4, 5, 10, 11, 13, 0xffff]) {
      for (const flags of [0, GET, SET, PROBE]) expect(enter(feature | flags, 8)).toBe('ENOTTY')
    }
  })

  it('A.1 step a: DMA logging needs its own capability, not migration', () => {
    const logging = [6, 7, 8]
    expect(logging.map((feature) => enter(feature, 8, { flags: 7, dmaLogging: false }))).toEqual(
      Array(3).fill('ENOTTY'),
    )
    expect(logging.map((feature) => enter(feature | PROBE, 8, { flags: 0, dmaLogging: true }))).toEqual(
      Array(3).fill('probe'),
    )
  })

  it('A.1 step a: INFOv2 without PRE_COPY is EINVAL, not ENOTTY, also without any migration', () => {
    for (const flags of [0, 1, 3]) {
      expect(enter(12 | SET, 8, { flags, dmaLogging: false })).toBe('EINVAL')
      expect(enter(12 | PROBE, 8, { flags, dmaLogging: false })).toBe('EINVAL')
    }
    for (const flags of [5, 7]) expect(enter(12 | SET, 8, { flags, dmaLogging: false })).toBe('proceed')
  })

  it('A.1 argsz is a declaration: 4 GiB - 1 passes with 8 readable bytes', () => {
    expect(enter(DeviceFeature.MIGRATION | GET, 0xffff_ffff)).toBe('proceed')
  })

  it('the request carries the decoded header and the address of the payload', () => {
    const memory = new Uint8Array(32)
    FeatureHeader.encodeInto(memory, 12, { argsz: 99, flags: 2 | PROBE | SET })
    const expected = { feature: 2, get: false, set: true, probe: true, argsz: 99, payload: 20 }
    expect(parseFeatureHeader(memory, 12)).toEqual(expected)
    expect(parseFeatureHeader(memory, 12n)).toEqual(expected)
  })

  it('a refusal of any header is an ioctl error that names a remedy', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.nat(64), (flags, argsz) => {
        const memory = FeatureHeader.encode({ argsz, flags })
        try {
          const request = parseFeatureHeader(memory, 0)
          checkFeature(request, findFeature(request, FULL))
        } catch (error) {
          expect(VfioError.is(error) && error.syscall).toBe('ioctl')
          expect((error as VfioError).message).toMatch(/^Cannot [^:]+: [^:]+, [^:]+$/)
        }
        expect(enter(flags, argsz)).toMatch(/^(probe|proceed|EINVAL|ENOTTY)$/)
      }),
    )
  })
})
