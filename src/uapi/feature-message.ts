/**
 * Whole VFIO_DEVICE_FEATURE buffers, as a caller builds them.
 *
 * @module
 */

import type { DeviceFeature } from './features.ts'
import { FeatureHeader } from './structs/feature-header.ts'

/**
 * Header and payload in one buffer, argsz set to its length.
 *
 * @param ops - VFIO_DEVICE_FEATURE_GET, SET and PROBE bits
 * @param payload - the feature's structure; leave it out for a probe or a feature without data
 */
export function encodeFeatureMessage(
  feature: DeviceFeature,
  ops: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const message = new Uint8Array(FeatureHeader.byteLength + payload.length)
  FeatureHeader.encodeInto(message, 0, { argsz: message.length, flags: feature | ops })
  message.set(payload, FeatureHeader.byteLength)
  return message
}
