/**
 * Who a device is, in the VERSION reply to a client that asks.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { encodeConfiguration } from '../format/index.ts'

/** An identity as JSON: bytes in hexadecimal digits. */
export function encodeIdentity(identity: DeviceIdentity): Record<string, unknown> {
  const { type, version, stream } = identity
  return {
    type,
    version,
    fingerprint: hex(identity.fingerprint),
    stream,
    configuration: hex(encodeConfiguration(identity.configuration ?? {})),
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
