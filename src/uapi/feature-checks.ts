/**
 * The entry checks of VFIO_DEVICE_FEATURE as pure functions. A device calls them in this order, which
 * decides which errno a call with several faults gets (facts A.1):
 *
 * 1. {@link parseFeatureHeader}: header readable, argsz, flag bits, GET and SET (steps 3 to 6)
 * 2. {@link findFeature}: known index, capability present (step 7, step a)
 * 3. {@link checkFeature}: operations, probe, payload size (steps b to e)
 * 4. decode of the payload (step f), then the feature itself
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { FEATURE_RULES, type FeatureRule } from './feature-rules.ts'
import {
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
  deviceFeatureName,
} from './features.ts'
import { MigrationFlag } from './state.ts'
import { FeatureHeader } from './structs/feature-header.ts'

/** A feature call whose header passed its checks. */
export interface FeatureRequest {
  /** Feature index, known or not. */
  readonly feature: number
  /** Whether VFIO_DEVICE_FEATURE_GET is set. */
  readonly get: boolean
  /** Whether VFIO_DEVICE_FEATURE_SET is set. */
  readonly set: boolean
  /** Whether VFIO_DEVICE_FEATURE_PROBE is set. */
  readonly probe: boolean
  /** As the caller declared it, 8 or more. */
  readonly argsz: number
  /** Address of the payload. */
  readonly payload: number
}

/** What a device has, as far as features depend on it. */
export interface FeatureCapabilities {
  /** {@link MigrationFlag} bits, 0 for a device without migration. */
  readonly flags: number
  /** Whether it logs DMA. */
  readonly dmaLogging: boolean
}

const KNOWN_BITS =
  VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE

/**
 * Reads and checks the 8-byte header (A.1 steps 3 to 6).
 *
 * @param address - the ioctl's argument pointer, an offset in `memory`
 * @throws {@link VfioError} EFAULT when the header is not readable; EINVAL when argsz is below 8, a bit
 * outside index, GET, SET and PROBE is set, or GET and SET come together without PROBE
 */
export function parseFeatureHeader(memory: Uint8Array, address: number | bigint): FeatureRequest {
  const { argsz, flags } = FeatureHeader.decode(memory, address)
  if (argsz < FeatureHeader.byteLength) {
    throw invalid(`Cannot read the feature header: argsz is ${argsz}, set it to 8 plus the size of the data`)
  }
  if ((flags & ~KNOWN_BITS) !== 0) {
    throw invalid(`Cannot use feature flags 0x${flags.toString(16)}: bits 19 to 31 are reserved, clear them`)
  }
  const get = (flags & VFIO_DEVICE_FEATURE_GET) !== 0
  const set = (flags & VFIO_DEVICE_FEATURE_SET) !== 0
  const probe = (flags & VFIO_DEVICE_FEATURE_PROBE) !== 0
  const feature = flags & VFIO_DEVICE_FEATURE_MASK
  if (get && set && !probe) {
    throw invalid(
      `Cannot call ${deviceFeatureName(feature)}: GET and SET are both set, choose one or add PROBE to ask for both`,
    )
  }
  return { feature, get, set, probe, argsz, payload: Number(address) + FeatureHeader.byteLength }
}

/**
 * The rule of the requested feature, if the device has what it needs (A.1 step 7 and step a). This comes
 * before any look at GET, SET, PROBE or argsz.
 *
 * @throws {@link VfioError} ENOTTY for an unknown feature or an absent capability; EINVAL, as the
 * kernel's one exception, for MIG_PRECOPY_INFOv2 on a device without PRE_COPY
 */
export function findFeature(request: FeatureRequest, capabilities: FeatureCapabilities): FeatureRule {
  const name = deviceFeatureName(request.feature)
  const rule = FEATURE_RULES.find(({ feature }) => feature === request.feature)
  if (rule === undefined) {
    throw new VfioError(
      'ENOTTY',
      `Cannot call ${name}: this device does not implement it, go on without it`,
      {
        syscall: 'ioctl',
      },
    )
  }
  if (rule.requires === 'pre-copy') {
    if ((capabilities.flags & MigrationFlag.PRE_COPY) === 0) {
      throw invalid(`Cannot enable ${name}: the device has no PRE_COPY, go on without it`)
    }
    return rule
  }
  const present = rule.requires === 'migration' ? capabilities.flags !== 0 : capabilities.dmaLogging
  if (!present) {
    const missing = rule.requires === 'migration' ? 'cannot migrate' : 'has no DMA logging'
    throw new VfioError('ENOTTY', `Cannot call ${name}: the device ${missing}, go on without it`, {
      syscall: 'ioctl',
    })
  }
  return rule
}

/**
 * Compares a request with the feature's rule (A.1 steps b to e).
 *
 * @returns 'probe': return 0 now, the payload is neither read nor written; 'proceed': go on
 * @throws {@link VfioError} EINVAL when GET or SET is asked for and not supported (also with PROBE), when
 * there is no operation at all, or when argsz does not cover the payload
 */
export function checkFeature(
  request: FeatureRequest,
  rule: Pick<FeatureRule, 'ops' | 'minimumPayload'>,
): 'probe' | 'proceed' {
  const name = deviceFeatureName(request.feature)
  const getAllowed = (rule.ops & VFIO_DEVICE_FEATURE_GET) !== 0
  const setAllowed = (rule.ops & VFIO_DEVICE_FEATURE_SET) !== 0
  if (request.get && !getAllowed) throw invalid(`Cannot get ${name}: the feature has no GET, use SET`)
  if (request.set && !setAllowed) throw invalid(`Cannot set ${name}: the feature has no SET, use GET`)
  if (request.probe) return 'probe'
  if (!request.get && !request.set) {
    throw invalid(`Cannot call ${name}: none of GET, SET and PROBE is set, set one`)
  }
  const needed = FeatureHeader.byteLength + rule.minimumPayload
  if (request.argsz < needed) {
    throw invalid(`Cannot call ${name}: argsz is ${request.argsz}, set it to ${needed} or more`)
  }
  return 'proceed'
}

function invalid(message: string): VfioError {
  return new VfioError('EINVAL', message, { syscall: 'ioctl' })
}
