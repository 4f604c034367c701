/**
 * Features, requests and feature flags in words.
 *
 * @module
 */

import { FeatureHeader } from '../../uapi/structs/feature-header.ts'
import { FEATURE_RULES } from '../../uapi/feature-rules.ts'
import {
  DeviceFeature,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  deviceFeatureName,
} from '../../uapi/features.ts'
import { VFIO_DEVICE_FEATURE, VFIO_DEVICE_RESET, VFIO_MIG_GET_PRECOPY_INFO } from '../../uapi/requests.ts'
import type { Answer } from './answer.ts'

const PURPOSE: Readonly<Record<number, string>> = {
  [DeviceFeature.MIGRATION]:
    'Gives the capability flags; bit 0 (STOP_COPY) means that the device can migrate.',
  [DeviceFeature.MIG_DEVICE_STATE]:
    'GET gives the state. SET walks to another one and returns a data fd when the last arc opens a session.',
  [DeviceFeature.DMA_LOGGING_START]:
    'Logs what the device writes to the given ranges; returns the page size in use.',
  [DeviceFeature.DMA_LOGGING_STOP]: 'Stops logging; no error when it is off.',
  [DeviceFeature.DMA_LOGGING_REPORT]:
    'Sets the bits of pages written since the last report and clears the log; the caller zeroes the bitmap.',
  [DeviceFeature.MIG_DATA_SIZE]: 'Estimates the bytes STOP_COPY would deliver.',
  [DeviceFeature.MIG_PRECOPY_INFOv2]:
    'Makes the flags of precopy_info defined until the device is closed (2026).',
}

const REQUESTS: readonly { name: string; number: number; text: string }[] = [
  {
    name: 'VFIO_DEVICE_RESET',
    number: VFIO_DEVICE_RESET,
    text: 'On a device fd: back to RUNNING, sessions end (ENODEV). The only way out of ERROR, and the only way to abandon RESUMING.',
  },
  {
    name: 'VFIO_DEVICE_FEATURE',
    number: VFIO_DEVICE_FEATURE,
    text: 'On a device fd, with a vfio_device_feature buffer: get, set or probe a feature.',
  },
  {
    name: 'VFIO_MIG_GET_PRECOPY_INFO',
    number: VFIO_MIG_GET_PRECOPY_INFO,
    text: 'On the data fd of a saving session, in PRE_COPY: what is still unread. The number means something else on a container fd.',
  },
]

/** The operations in a feature flags word: `GET`, `PROBE SET`, ... */
export function operationNames(flags: number): string {
  const names = [
    [VFIO_DEVICE_FEATURE_PROBE, 'PROBE'],
    [VFIO_DEVICE_FEATURE_GET, 'GET'],
    [VFIO_DEVICE_FEATURE_SET, 'SET'],
  ] as const
  return names.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])).join(' ')
}

/** A feature by name or index. */
export function explainFeature(feature: number): Answer {
  const title = `feature ${feature} is ${deviceFeatureName(feature)}`
  const rule = FEATURE_RULES.find((candidate) => candidate.feature === feature)
  if (rule === undefined) {
    return { kind: 'feature', title, notes: ['Not a part of migration; a stopcopy device answers ENOTTY.'] }
  }
  const absent = rule.requires === 'pre-copy' ? 'EINVAL without PRE_COPY' : `ENOTTY without ${rule.requires}`
  return {
    kind: 'feature',
    title,
    notes: [
      PURPOSE[feature] ?? '',
      `${operationNames(rule.ops).replace(' ', ' and ')}, argsz ${FeatureHeader.byteLength + rule.minimumPayload} or more, ${absent}.`,
    ],
  }
}

/** A feature flags word: index and operation bits. */
export function explainFeatureFlags(flags: number): Answer {
  const name = deviceFeatureName(flags & VFIO_DEVICE_FEATURE_MASK)
  return {
    kind: 'feature flags',
    title: `flags 0x${flags.toString(16)} of a feature call: ${operationNames(flags)} ${name}`,
    notes: explainFeature(flags & VFIO_DEVICE_FEATURE_MASK).notes,
  }
}

/** A request by its name or number, if there is one. */
export function explainRequest(wanted: string | number): Answer | undefined {
  const request = REQUESTS.find(({ name, number }) => name === wanted || number === wanted)
  if (request === undefined) return undefined
  const title = `request 0x${request.number.toString(16)} is ${request.name}`
  return { kind: 'request', title, notes: [request.text] }
}
