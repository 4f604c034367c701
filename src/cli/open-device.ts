/**
 * Devices of the command line, open and ready.
 *
 * @module
 */

import type { ConfigurationValue } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import type { PciFunction } from '../device/pci-function.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import {
  type BulkDriver,
  type BulkMemory,
  type BulkOptions,
  createBulk,
  createMtty,
} from '../devices/index.ts'
import { VfioError } from '../errors.ts'
import { formatBytes } from './byte-size.ts'
import { loadMemory, type MemoryFile, openMemoryFile } from './device-memory.ts'
import { BULK_DEFAULTS, type DeviceSpec, type OwnSpec, type ShippedSpec } from './device-spec.ts'
import { openModule } from './module-device.ts'
import { withProgress } from './progress.ts'
import { openServed } from './served-device.ts'

/** An open device and what there is to say about it. */
export interface OpenedDevice {
  readonly device: MigrationDevice
  /** As a bus sees it, where it is of this package. */
  readonly pci?: PciFunction
  /** Its driver, where it is a bulk device. */
  readonly bulk?: BulkDriver
  /** Its memory, where it has one. */
  readonly memory?: BulkMemory
  /** Its options, for `--json`. */
  readonly options: {
    readonly type: string
    readonly ports?: number
    readonly memoryBytes?: number
    readonly socket?: string
    readonly module?: string
  }
  /** The same for people: `bulk with 64 MiB of memory`. */
  readonly name: string
  /** Where it is now, where its module says so. */
  readonly describe?: () => string | undefined
  /** Closes it, and all that was made for it. What fails of a module's own then is told on stderr, not thrown. */
  readonly close: () => Promise<void>
}

/** Opens an mtty. */
export async function openMtty(ports: 1 | 2): Promise<OpenedDevice> {
  const mtty = createMtty({ ports })
  const device = await VfioDevice.open(mtty)
  const name = `mtty with ${ports === 1 ? '1 port' : '2 ports'}`
  const close = (): Promise<void> => device.close()
  return { device, pci: mtty.pci, options: { type: 'mtty', ports }, name, close }
}

/** Opens a bulk device, idle unless it is given a workload. ENOMEM, EINVAL when the memory is more than any device can have. */
export async function openBulk(
  memoryBytes: number,
  options: Omit<BulkOptions, 'memoryBytes'> = {},
): Promise<OpenedDevice> {
  const bulk = createBulk({ memoryBytes, ...options })
  const device = await VfioDevice.open(bulk)
  const name = `bulk with ${formatBytes(memoryBytes)} of memory`
  const close = (): Promise<void> => device.close()
  const { pci, memory } = bulk
  return { device, pci, bulk, memory, options: { type: 'bulk', memoryBytes }, name, close }
}

/** Opens the device that a spec names: as {@link openFresh}, or at its server as it is. */
export async function openNamed(
  spec: DeviceSpec,
  memory: string | undefined,
  options: Pick<BulkOptions, 'compression' | 'workload'>,
  signal: AbortSignal,
): Promise<OpenedDevice> {
  return spec.type === 'vfio-user' ? openServed(spec.path, signal) : openFresh(spec, memory, options, signal)
}

/**
 * Opens the device that a spec names, with power-on content or that of a file.
 *
 * @param memory - name of a file whose bytes are the memory of the bulk device
 */
export async function openFresh(
  spec: OwnSpec,
  memory: string | undefined,
  options: Pick<BulkOptions, 'compression' | 'workload'>,
  signal: AbortSignal,
): Promise<OpenedDevice> {
  if (spec.type === 'module') return openModule(spec.path)
  if (spec.type === 'mtty') return openMtty(spec.ports ?? 1)
  if (memory === undefined) {
    const seed = spec.seed ?? BULK_DEFAULTS.seed
    return openBulk(spec.size ?? BULK_DEFAULTS.size, { ...options, seed })
  }
  const file = await openMemoryFile(memory)
  try {
    return await openLoaded(file, options, signal)
  } finally {
    await file.handle.close()
  }
}

async function openLoaded(
  file: MemoryFile,
  options: Pick<BulkOptions, 'compression' | 'workload'>,
  signal: AbortSignal,
): Promise<OpenedDevice> {
  const opened = await openBulk(file.byteLength, options)
  try {
    await withProgress('reading memory', async ({ update }) => {
      if (opened.memory !== undefined) await loadMemory(file, opened.memory, { signal, onProgress: update })
    })
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

/** A device that is somewhere else, to be opened here. */
export interface DeviceElsewhere {
  readonly type: string
  /** Of its state. */
  readonly version: number
  readonly configuration: Readonly<Record<string, ConfigurationValue>>
  /** What is to be done with it, and where it is: for refusals. */
  readonly action: 'restore' | 'receive'
}

/**
 * Opens the device for one elsewhere: as {@link openFitting}, what its module makes for it, or at its server as it is;
 * whether that one fits is seen when it is loaded.
 */
export async function openCounterpart(
  spec: DeviceSpec | undefined,
  elsewhere: DeviceElsewhere,
  maxMemory: number,
  signal: AbortSignal,
): Promise<OpenedDevice> {
  if (spec?.type === 'vfio-user') return openServed(spec.path, signal)
  if (spec?.type === 'module') return openModule(spec.path, elsewhere, maxMemory)
  return openFitting(spec, elsewhere, maxMemory)
}

/**
 * Opens the device that fits one elsewhere; what the spec says comes first.
 *
 * @param maxMemory - most bytes of device memory, checked before anything is allocated
 * @throws {@link VfioError} EINVAL when it is another device, or one without the options it must have;
 * EMSGSIZE above `maxMemory`
 */
export async function openFitting(
  spec: ShippedSpec | undefined,
  elsewhere: Omit<DeviceElsewhere, 'version'>,
  maxMemory: number,
): Promise<OpenedDevice> {
  const { type, configuration, action } = elsewhere
  const [there, holds] =
    action === 'restore' ? ['its stream', 'the stream holds'] : ['the source', 'the source has']
  const refuse = (code: 'EINVAL' | 'EMSGSIZE', device: string, reason: string): never => {
    throw new VfioError(code, `Cannot ${action} ${device}: ${reason}`)
  }
  if (spec !== undefined && type !== spec.type)
    return refuse('EINVAL', spec.type, `${holds} a device of type ${JSON.stringify(type)}, name that one`)
  if (type === 'mtty') {
    const ports = (spec?.type === 'mtty' ? spec.ports : undefined) ?? configuration['ports']
    if (ports === 1 || ports === 2) return openMtty(ports)
    return refuse('EINVAL', type, `${there} does not say 1 or 2 ports, use the same release at both ends`)
  }
  if (type !== 'bulk')
    return refuse(
      'EINVAL',
      'a device',
      `${holds} one of type ${JSON.stringify(type)}, use mtty, bulk, or a module that makes it`,
    )
  const { size, seed } = spec?.type === 'bulk' ? spec : {}
  const memoryBytes = size ?? configuration['memory.0.bytes']
  if (typeof memoryBytes !== 'number')
    return refuse(
      'EINVAL',
      type,
      `${there} does not say how much memory it has, use the same release at both ends`,
    )
  if (memoryBytes > maxMemory) {
    const passes = `its memory of ${memoryBytes} bytes passes the limit of ${maxMemory} bytes`
    return refuse('EMSGSIZE', type, `${passes}, raise --max-memory`)
  }
  return openBulk(memoryBytes, seed === undefined ? {} : { seed })
}
