/**
 * Who a device is: as a server of this package says it, or as PCI configuration space shows it.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import {
  type Configuration,
  configurationFingerprint,
  decodeConfiguration,
  encodeConfiguration,
  TYPE_BYTES,
} from '../format/index.ts'

/** Bytes of configuration space that {@link pciIdentity} looks at. */
export const PCI_HEADER_BYTES = 64

/** An identity as JSON, for the `stopcopy` capability of a VERSION reply. */
export function encodeIdentity(identity: DeviceIdentity): Record<string, unknown> {
  const { type, version, fingerprint, stream, configuration = {} } = identity
  return {
    type,
    version,
    fingerprint: toHex(fingerprint),
    stream,
    configuration: toHex(encodeConfiguration(configuration)),
  }
}

/** The identity of a `stopcopy` capability. @throws {@link VfioError} EPROTO when it is none */
export function decodeIdentity(said: Readonly<Record<string, unknown>>): DeviceIdentity {
  const { type, version, fingerprint, stream, configuration } = said
  if (typeof type !== 'string' || type === '' || new TextEncoder().encode(type).length > TYPE_BYTES)
    throw malformed('type')
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1 || version > 0xffff_ffff)
    throw malformed('version')
  if (stream !== 'stopcopy' && stream !== 'opaque') throw malformed('stream')
  if (typeof fingerprint !== 'string' || !/^[0-9a-f]{16}$/.test(fingerprint)) throw malformed('fingerprint')
  const options = configuration === undefined ? undefined : configurationOf(configuration)
  return {
    type,
    version,
    fingerprint: fromHex(fingerprint),
    stream,
    ...(options === undefined ? {} : { configuration: options }),
  }
}

/**
 * The identity of a foreign PCI function: its ids, and the sizes of its regions, which must be the other end's.
 *
 * @param header - the first {@link PCI_HEADER_BYTES} of configuration space
 * @param regionBytes - by region index
 */
export function pciIdentity(header: Uint8Array, regionBytes: readonly bigint[]): DeviceIdentity {
  const view = new DataView(header.buffer, header.byteOffset, PCI_HEADER_BYTES)
  const [vendor, device] = [view.getUint16(0, true), view.getUint16(2, true)]
  return opaqueIdentity(`pci-${id(vendor)}:${id(device)}`, {
    vendor,
    device,
    'subsystem.vendor': view.getUint16(0x2c, true),
    subsystem: view.getUint16(0x2e, true),
    ...regionSizes(regionBytes),
  })
}

/** What is given stands; a fingerprint follows its configuration. */
export function mergeIdentity(found: DeviceIdentity, given: Partial<DeviceIdentity>): DeviceIdentity {
  const { configuration } = given
  const fingerprint =
    configuration === undefined ? {} : { fingerprint: configurationFingerprint(configuration) }
  return { ...found, ...fingerprint, ...given }
}

/** The identity of a device that shows no ids: all but its type. */
export function opaqueIdentity(type: string, configuration: Configuration): DeviceIdentity {
  const fingerprint = configurationFingerprint(configuration)
  return { type, version: 1, fingerprint, stream: 'opaque', configuration }
}

/** The sizes of regions as a configuration. */
export function regionSizes(regionBytes: readonly bigint[]): Configuration {
  return Object.fromEntries(
    regionBytes.flatMap((bytes, index) => (bytes === 0n ? [] : [[`region.${index}.bytes`, bytes]])),
  )
}

function configurationOf(value: unknown): Configuration {
  if (typeof value !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(value)) throw malformed('configuration')
  try {
    return decodeConfiguration(fromHex(value))
  } catch {
    throw malformed('configuration')
  }
}

function malformed(what: string): VfioError {
  return new VfioError(
    'EPROTO',
    `Cannot use the server: the device it names has a malformed ${what}, use the same release at both ends`,
  )
}

function id(value: number): string {
  return value.toString(16).padStart(4, '0')
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
