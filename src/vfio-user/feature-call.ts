/**
 * DEVICE_FEATURE as it arrives: which feature, what to do with it, and its data.
 *
 * @module
 */

import {
  deviceFeatureName,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from '../uapi/features.ts'
import { FeatureHeader } from '../uapi/structs/feature-header.ts'
import { argumentsOf, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'

const OPERATIONS: number = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE

/** A call whose head passed its checks. */
export interface FeatureCall {
  readonly feature: number
  readonly isGet: boolean
  readonly isSet: boolean
  readonly isProbe: boolean
  /** As the client sent them. */
  readonly flags: number
  /** Most bytes of the reply's payload that the client takes. */
  readonly argsz: number
  /** Behind the 8 bytes of the head. */
  readonly data: Uint8Array
  /** The whole payload, in memory of its own: what a SET and a PROBE are answered with, byte for byte. */
  readonly echo: Uint8Array
}

/**
 * Reads and checks the head.
 *
 * @throws {@link VfioError} EINVAL fewer than 8 bytes, argsz below them, unknown bits, no operation, GET with SET
 * without PROBE, and SET or PROBE with an argsz below what was sent
 */
export function featureCallOf(command: QueuedCommand): FeatureCall {
  const { argsz, flags } = argumentsOf(FeatureHeader, command)
  const { payload } = command
  const feature = flags & VFIO_DEVICE_FEATURE_MASK
  const name = deviceFeatureName(feature)
  if ((flags & ~(VFIO_DEVICE_FEATURE_MASK | OPERATIONS)) !== 0)
    throw refusal(`unknown bits of ${name}, clear them`)
  if ((flags & OPERATIONS) === 0) throw refusal(`no operation on ${name}, set GET, SET or PROBE`)
  const isGet = (flags & VFIO_DEVICE_FEATURE_GET) !== 0
  const isSet = (flags & VFIO_DEVICE_FEATURE_SET) !== 0
  const isProbe = (flags & VFIO_DEVICE_FEATURE_PROBE) !== 0
  if (isGet && isSet && !isProbe) throw refusal(`GET and SET of ${name}, choose one or add PROBE`)
  if ((isSet || isProbe) && argsz < payload.length)
    throw refusal(`argsz of ${name} is ${argsz} with ${payload.length} bytes, set it to that or more`)
  const data = payload.subarray(FeatureHeader.byteLength)
  return { feature, isGet, isSet, isProbe, flags, argsz, data, echo: payload.slice() }
}
