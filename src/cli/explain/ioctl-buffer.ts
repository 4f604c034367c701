/**
 * The bytes of an ioctl's argument in words: every field, and what a device would refuse.
 *
 * The verdict comes from the checks the device room runs itself, so the errno shown is the one a call
 * with these bytes gets from a device with every capability.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { hasState } from '../../fsm/index.ts'
import { DMA_LOGGING_MAX_RANGES, checkDmaLoggingReport, readDmaLoggingStart } from '../../uapi/dma-logging.ts'
import { checkFeature, findFeature, parseFeatureHeader } from '../../uapi/feature-checks.ts'
import { FEATURE_RULES } from '../../uapi/feature-rules.ts'
import {
  DeviceFeature,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  deviceFeatureName,
} from '../../uapi/features.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Field, Struct } from '../../uapi/struct.ts'
import { DmaLoggingControl } from '../../uapi/structs/dma-logging-control.ts'
import { DmaLoggingReport } from '../../uapi/structs/dma-logging-report.ts'
import { FeatureHeader } from '../../uapi/structs/feature-header.ts'
import { FeatureMigDataSize } from '../../uapi/structs/feature-mig-data-size.ts'
import { FeatureMigState, NO_DATA_FD } from '../../uapi/structs/feature-mig-state.ts'
import { FeatureMigration } from '../../uapi/structs/feature-migration.ts'
import {
  PrecopyInfoStruct,
  VFIO_PRECOPY_INFO_REINIT,
  parsePrecopyInfo,
} from '../../uapi/structs/precopy-info.ts'
import { flagNames } from '../words.ts'
import type { Answer, ExplainedField } from './answer.ts'
import { operationNames } from './feature-text.ts'

type AnyStruct = Struct<Record<string, number | bigint>>

const PAYLOADS: Readonly<Record<number, AnyStruct>> = {
  [DeviceFeature.MIGRATION]: FeatureMigration as unknown as AnyStruct,
  [DeviceFeature.MIG_DEVICE_STATE]: FeatureMigState as unknown as AnyStruct,
  [DeviceFeature.DMA_LOGGING_START]: DmaLoggingControl as unknown as AnyStruct,
  [DeviceFeature.DMA_LOGGING_REPORT]: DmaLoggingReport as unknown as AnyStruct,
  [DeviceFeature.MIG_DATA_SIZE]: FeatureMigDataSize as unknown as AnyStruct,
}

const OPERATIONS = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE

/**
 * Explains an argument buffer. 24 bytes without an operation bit can be a precopy_info or a faulty
 * feature call: both are answered.
 */
export function explainBuffer(bytes: Uint8Array): Answer[] {
  const flags = bytes.length < FeatureHeader.byteLength ? 0 : FeatureHeader.decode(bytes).flags
  const maybePrecopy = bytes.length >= PrecopyInfoStruct.byteLength && (flags & OPERATIONS) === 0
  return maybePrecopy ? [explainPrecopyInfo(bytes), explainFeatureCall(bytes)] : [explainFeatureCall(bytes)]
}

function explainFeatureCall(bytes: Uint8Array): Answer {
  const size = bytes.length === 1 ? '1 byte' : `${bytes.length} bytes`
  if (bytes.length < FeatureHeader.byteLength) {
    return {
      kind: 'feature call',
      title: `${size} of a VFIO_DEVICE_FEATURE buffer`,
      problems: [`EFAULT: the header alone has ${FeatureHeader.byteLength} bytes`],
      notes: [],
    }
  }
  const { argsz, flags } = FeatureHeader.decode(bytes)
  const feature = flags & VFIO_DEVICE_FEATURE_MASK
  const payload = PAYLOADS[feature]
  const data = bytes.subarray(FeatureHeader.byteLength)
  const readable = payload !== undefined && data.length >= payload.byteLength
  return {
    kind: 'feature call',
    title: `VFIO_DEVICE_FEATURE ${operationNames(flags) || 'without operation'} ${deviceFeatureName(feature)}, ${size}`,
    fields: [
      ...fieldsOf(FeatureHeader as unknown as AnyStruct, bytes, 0),
      ...(readable ? fieldsOf(payload, data, FeatureHeader.byteLength) : []),
    ],
    problems: refusals(() => checkFeatureCall(bytes, feature)),
    notes: [
      ...sizeNotes(argsz, bytes.length, feature),
      ...(feature === DeviceFeature.DMA_LOGGING_START
        ? ['The ranges lie elsewhere in memory; they were not checked.']
        : []),
    ],
  }
}

/** Runs the device's own checks, as far as the bytes reach. */
function checkFeatureCall(bytes: Uint8Array, feature: number): void {
  const request = parseFeatureHeader(bytes, 0)
  const rule = findFeature(request, { flags: 7, dmaLogging: true })
  if (checkFeature(request, rule) === 'probe') return
  const data = PAYLOADS[feature]?.decode(bytes, request.payload)
  if (data === undefined) return
  if (feature === DeviceFeature.MIG_DEVICE_STATE && request.set) {
    checkRequestedState(FeatureMigState.decode(bytes, request.payload).deviceState)
  } else if (feature === DeviceFeature.DMA_LOGGING_START) {
    checkControl(DmaLoggingControl.decode(bytes, request.payload))
  } else if (feature === DeviceFeature.DMA_LOGGING_REPORT) {
    checkDmaLoggingReport(DmaLoggingReport.decode(bytes, request.payload))
  }
}

function checkRequestedState(state: number): void {
  if (hasState(state, 7)) return
  const reason = state === DeviceState.ERROR ? 'it can never be requested' : 'there is no such state'
  throw new VfioError('EINVAL', `Cannot request ${deviceStateName(state)}: ${reason}, ask for one of 1 to 7`)
}

/** The ranges are elsewhere in the caller's memory, so only what comes before reading them is checked. */
function checkControl(control: DmaLoggingControl): void {
  const elsewhere = DmaLoggingControl.encode({ ...control, ranges: 1n << 60n })
  try {
    readDmaLoggingStart(elsewhere, 0)
  } catch (error) {
    if (!VfioError.is(error, 'EFAULT')) throw error
  }
}

function explainPrecopyInfo(bytes: Uint8Array): Answer {
  const { initialBytes, dirtyBytes, flags } = PrecopyInfoStruct.decode(bytes)
  const reinit = (flags & VFIO_PRECOPY_INFO_REINIT) !== 0
  return {
    kind: 'precopy info',
    title: 'vfio_precopy_info, argument of VFIO_MIG_GET_PRECOPY_INFO on a saving data fd',
    fields: fieldsOf(PrecopyInfoStruct as unknown as AnyStruct, bytes, 0),
    problems: refusals(() => parsePrecopyInfo(bytes, 0)),
    notes: [
      initialBytes === 0n
        ? `The initial part was read; ${dirtyBytes} bytes changed since.`
        : `${initialBytes} bytes should reach the destination before the switchover.`,
      ...(reinit ? ['With the INFOv2 opt-in, REINIT says that a new initial part began.'] : []),
      'Both counters are estimates. Zero the structure before the call: some drivers leave one untouched.',
    ],
  }
}

function refusals(check: () => unknown): string[] {
  try {
    check()
    return []
  } catch (error) {
    if (VfioError.is(error)) return [`${error.code}: ${error.message}`]
    throw error
  }
}

function sizeNotes(argsz: number, byteLength: number, feature: number): string[] {
  const notes: string[] = []
  const rule = FEATURE_RULES.find((candidate) => candidate.feature === feature)
  if (argsz > byteLength) notes.push(`argsz declares ${argsz - byteLength} bytes more than these.`)
  if (rule !== undefined) {
    const needed = FeatureHeader.byteLength + rule.minimumPayload
    if (argsz > needed) notes.push('argsz is larger than needed, which is allowed; the rest is ignored.')
    if (argsz < needed) notes.push(`argsz must be ${needed} or more, except for a probe, where 8 is enough.`)
  }
  return notes
}

function fieldsOf(struct: AnyStruct, bytes: Uint8Array, base: number): ExplainedField[] {
  const values = struct.decode(bytes)
  return Object.entries(struct.fields as Record<string, Field>).map(([key, { name, type, offset }]) => {
    const value = values[key]!
    return {
      name,
      type,
      offset: base + offset,
      value: String(value),
      meaning: fieldMeaning(struct.name, name, value),
    }
  })
}

function fieldMeaning(struct: string, field: string, value: number | bigint): string {
  switch (`${struct} ${field}`) {
    case 'vfio_device_feature flags':
      return featureFlagsMeaning(Number(value))
    case 'vfio_device_feature_migration flags':
      return flagNames(value).join(', ') || 'none (yet)'
    case 'vfio_device_feature_mig_state device_state':
      return value < Object.keys(DeviceState).length ? deviceStateName(Number(value)) : 'no state'
    case 'vfio_device_feature_mig_state data_fd':
      return Number(value) === NO_DATA_FD
        ? 'no data fd'
        : 'data fd of the session (output; not read on the way in)'
    case 'vfio_device_feature_dma_logging_control num_ranges':
      return `ranges, at most ${DMA_LOGGING_MAX_RANGES}`
    case 'vfio_device_feature_dma_logging_control __reserved':
      return 'not looked at'
    case 'vfio_device_feature_dma_logging_control ranges':
    case 'vfio_device_feature_dma_logging_report bitmap':
    case 'vfio_device_feature_dma_logging_report iova':
      return `0x${value.toString(16)}`
    case 'vfio_precopy_info flags':
      return (Number(value) & VFIO_PRECOPY_INFO_REINIT) !== 0 ? 'REINIT' : 'none'
    default:
      return 'bytes'
  }
}

function featureFlagsMeaning(flags: number): string {
  const reserved = flags >>> 19
  const parts = [
    `0x${flags.toString(16)}`,
    operationNames(flags) || 'no operation',
    deviceFeatureName(flags & VFIO_DEVICE_FEATURE_MASK),
  ]
  if (reserved !== 0) parts.push(`reserved bits 0x${(reserved * 2 ** 19).toString(16)}`)
  return parts.join(', ')
}
