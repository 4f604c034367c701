/**
 * Whether the devices here can take over what a source offers; told before anything changes on either side.
 *
 * @module
 */

import type { DeviceIdentity } from '../../device/driver.ts'
import { VfioError } from '../../errors.ts'
import { type Configuration, configurationDifference } from '../../format/index.ts'
import type { Hello } from '../handover/payloads.ts'

/** Versions of the hand-over protocol that this release speaks. */
export const PROTOCOL_VERSIONS: readonly [number, number] = [1, 1]

/** The highest version that both speak. @throws {@link VfioError} EOPNOTSUPP when there is none */
export function commonVersion([lowest, highest]: readonly [number, number]): number {
  const version = Math.min(highest, PROTOCOL_VERSIONS[1])
  if (version >= Math.max(lowest, PROTOCOL_VERSIONS[0])) return version
  throw new VfioError(
    'EOPNOTSUPP',
    `the source speaks versions ${lowest} to ${highest} of the hand-over protocol and this side ${PROTOCOL_VERSIONS.join(' to ')}, use the same release at both ends`,
  )
}

/**
 * Compares device by device.
 *
 * @throws {@link VfioError} EINVAL another number of devices, type, kind of stream or configuration;
 * EOPNOTSUPP a newer version of a device's state
 */
export function checkOffer(hello: Hello, here: readonly DeviceIdentity[], hasMemory: boolean): void {
  if (hello.memory !== hasMemory)
    throw new VfioError(
      'EINVAL',
      hello.memory
        ? 'the source sends its guest memory and this side has none, pass memory at both ends'
        : 'this side wants guest memory and the source sends none, pass memory at both ends',
    )
  if (hello.streams.length !== here.length)
    throw new VfioError(
      'EINVAL',
      `the source has ${hello.streams.length} devices and this side ${here.length}, open the same devices at both ends`,
    )
  for (const [index, { identity }] of hello.streams.entries())
    checkIdentity(
      identity,
      here[index] as DeviceIdentity,
      'source',
      here.length === 1 ? '' : ` (device ${index})`,
    )
}

/**
 * Compares one device here with one of the source's, or with the one that a stream holds.
 *
 * @throws {@link VfioError} as {@link checkOffer}; its message begins with the reason
 */
export function checkIdentity(
  offered: DeviceIdentity,
  here: DeviceIdentity,
  from: 'source' | 'stream',
  place = '',
): void {
  if (offered.type !== here.type)
    throw new VfioError(
      'EINVAL',
      `the ${from}'s device${place} is a "${offered.type}" and the one here a "${here.type}", open a "${offered.type}"`,
    )
  if (offered.stream !== here.stream)
    throw new VfioError(
      'EINVAL',
      `the ${from}'s "${offered.type}"${place} sends a ${offered.stream} stream and the one here loads a ${here.stream} one, use the same kind of device`,
    )
  if (offered.version < 1 || offered.version > here.version)
    throw new VfioError(
      'EOPNOTSUPP',
      `the ${from}'s "${offered.type}"${place} has state version ${offered.version} and the one here loads 1 to ${here.version}, use a newer release of the device here`,
    )
  const isSame =
    offered.fingerprint.every((byte, at) => byte === here.fingerprint[at]) &&
    offered.fingerprint.length === here.fingerprint.length
  if (offered.version === here.version && isSame) return
  // An older version of the state has another layout by right; the rest must be the same.
  const ofState = offered.version !== here.version
  const difference = configurationDifference(
    comparable(here.configuration, ofState),
    comparable(offered.configuration, ofState),
  )?.replace('in the stream', from === 'source' ? 'at the source' : 'in the stream')
  if (difference === undefined && ofState) return
  throw new VfioError(
    'EINVAL',
    `the configuration of "${offered.type}"${place} differs: ${difference ?? 'its fingerprint is another'}, open it with the same options`,
  )
}

function comparable(configuration: Configuration = {}, withoutState: boolean): Configuration {
  if (!withoutState) return configuration
  return Object.fromEntries(Object.entries(configuration).filter(([name]) => !name.startsWith('state.')))
}
