/**
 * Devices of the command line, open and ready.
 *
 * @module
 */

import type { ConfigurationValue } from '../device/driver.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import { type BulkMemory, type BulkOptions, createBulk, createMtty } from '../devices/index.ts'
import { VfioError } from '../errors.ts'
import type { StreamHeader } from '../format/index.ts'
import { formatBytes } from './byte-size.ts'
import type { DeviceSpec } from './device-spec.ts'

/** An open device and what there is to say about it. */
export interface OpenedDevice {
  readonly device: VfioDevice
  /** Its memory, where it has one. */
  readonly memory?: BulkMemory
  /** Its options, for `--json`. */
  readonly options: { readonly type: string; readonly ports?: number; readonly memoryBytes?: number }
  /** The same for people: `bulk with 64 MiB of memory`. */
  readonly name: string
}

/** Opens an mtty. */
export async function openMtty(ports: 1 | 2): Promise<OpenedDevice> {
  const device = await VfioDevice.open(createMtty({ ports }))
  const name = `mtty with ${ports === 1 ? '1 port' : '2 ports'}`
  return { device, options: { type: 'mtty', ports }, name }
}

/** Opens an idle bulk device. ENOMEM, EINVAL when the memory is more than any device can have. */
export async function openBulk(
  memoryBytes: number,
  options: Pick<BulkOptions, 'seed' | 'compression'> = {},
): Promise<OpenedDevice> {
  const bulk = createBulk({ memoryBytes, ...options })
  const device = await VfioDevice.open(bulk)
  const name = `bulk with ${formatBytes(memoryBytes)} of memory`
  return { device, memory: bulk.memory, options: { type: 'bulk', memoryBytes }, name }
}

/**
 * Opens the device that fits a stream; what the spec says comes first.
 *
 * @param maxMemory - most bytes of device memory, checked before anything is allocated
 * @throws {@link VfioError} EINVAL when the stream holds another device, or one without the options it
 * must have; EMSGSIZE above `maxMemory`
 */
export async function openForStream(
  spec: DeviceSpec,
  stream: { header: StreamHeader; configuration: Readonly<Record<string, ConfigurationValue>> },
  maxMemory: number,
): Promise<OpenedDevice> {
  const { header, configuration } = stream
  if (header.deviceType !== spec.type)
    throw new VfioError(
      'EINVAL',
      `Cannot restore ${spec.type}: the stream holds a device of type ${JSON.stringify(header.deviceType)}, name that one`,
    )
  if (spec.type === 'mtty') {
    const ports = spec.ports ?? configuration['ports']
    if (ports === 1 || ports === 2) return openMtty(ports)
    throw new VfioError(
      'EINVAL',
      'Cannot restore mtty: its stream does not say 1 or 2 ports, save the device again',
    )
  }
  const memoryBytes = spec.size ?? configuration['memory.0.bytes']
  if (typeof memoryBytes !== 'number')
    throw new VfioError(
      'EINVAL',
      'Cannot restore bulk: its stream does not say how much memory it has, save the device again',
    )
  if (memoryBytes > maxMemory)
    throw new VfioError(
      'EMSGSIZE',
      `Cannot restore bulk: its memory of ${memoryBytes} bytes passes the limit of ${maxMemory} bytes, raise --max-memory`,
    )
  return openBulk(memoryBytes, spec.seed === undefined ? {} : { seed: spec.seed })
}
