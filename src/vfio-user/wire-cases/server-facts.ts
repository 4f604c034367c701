/**
 * What a server says of itself and of its device, asked for once.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { DeviceFeature, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET } from '../../uapi/features.ts'
import { FeatureMigState } from '../../uapi/structs/feature-mig-state.ts'
import { FeatureMigration } from '../../uapi/structs/feature-migration.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { DeviceInfo, DmaUnmap, IrqInfo, RegionInfo } from '../structs.ts'
import { type Capabilities, DEFAULT_MAX_DATA_BYTES, type VersionMessage } from '../version.ts'
import { isErrno } from './answer.ts'
import { deviceInfo, featureGet, featureProbe, irqInfo, regionInfo, UNUSED_ADDRESS } from './messages.ts'
import type { RawPeer } from './raw-peer.ts'

/** A region or interrupt beyond these is not asked for. */
const MOST_INDEXES = 32
const PCI = 2
const RESET = 1

/** The server and its device. */
export interface ServerFacts {
  /** Its reply to VERSION. */
  readonly version: VersionMessage
  /** It says of itself what libvfio-user says, and no more: its known habits are told as such. */
  readonly isLibvfioUser: boolean
  /** By index, without capabilities. */
  readonly regions: readonly RegionInfo[]
  /** By index. */
  readonly irqs: readonly IrqInfo[]
  /** A PCI device. */
  readonly isPci: boolean
  /** It takes DEVICE_RESET. */
  readonly canReset: boolean
  /** Undefined without the feature. */
  readonly migrationFlags: number | undefined
  /** DMA logging is there to PROBE. */
  readonly hasLogging: boolean
  /** DMA regions are kept: an unknown one cannot be unmapped. Without, libvfio-user dies of DMA logging. */
  readonly hasDma: boolean
  /** Most bytes of data of a message that this client announced. */
  readonly maxDataBytes: number
}

/**
 * Asks for everything; a server that does not answer has less.
 *
 * @throws {@link VfioError} EBUSY the device has stopped, and the server answers nearly nothing then
 */
export async function surveyServer(peer: RawPeer, version: VersionMessage): Promise<ServerFacts> {
  const info = await payloadOf(peer, VfioUserCommand.DEVICE_GET_INFO, deviceInfo())
  if (info === undefined) await checkRunning(peer)
  const device =
    info !== undefined && info.length >= DeviceInfo.byteLength ? DeviceInfo.decode(info) : undefined
  const regions = await indexed(device?.numRegions, async (index) => {
    const payload = await payloadOf(peer, VfioUserCommand.DEVICE_GET_REGION_INFO, regionInfo(index))
    return payload !== undefined && payload.length >= RegionInfo.byteLength
      ? RegionInfo.decode(payload)
      : undefined
  })
  const irqs = await indexed(device?.numIrqs, async (index) => {
    const payload = await payloadOf(peer, VfioUserCommand.DEVICE_GET_IRQ_INFO, irqInfo(index))
    return payload !== undefined && payload.length >= IrqInfo.byteLength ? IrqInfo.decode(payload) : undefined
  })
  const flags = device?.flags ?? 0
  return {
    version,
    isLibvfioUser: isLibvfioUser(version.capabilities),
    regions,
    irqs,
    isPci: (flags & PCI) !== 0,
    canReset: (flags & RESET) !== 0,
    migrationFlags: await migrationFlags(peer),
    hasLogging: await hasLogging(peer),
    hasDma: await hasDma(peer),
    maxDataBytes: DEFAULT_MAX_DATA_BYTES,
  }
}

/** Whether the JSON is what libvfio-user sends: these values and no others. */
function isLibvfioUser(said: Capabilities): boolean {
  const { max_msg_fds: fds, max_data_xfer_size: bytes, migration, stopcopy } = said
  const hasItsPages = migration === undefined || migration.pgsize === 4096
  return stopcopy === undefined && fds === 8 && bytes === 1024 * 1024 && hasItsPages
}

async function checkRunning(peer: RawPeer): Promise<void> {
  const payload = await payloadOf(
    peer,
    VfioUserCommand.DEVICE_FEATURE,
    featureGet(DeviceFeature.MIG_DEVICE_STATE, FeatureMigState.byteLength),
  )
  if (payload === undefined || payload.length < 16) return
  const { deviceState } = FeatureMigState.decode(payload, 8)
  if (deviceState !== DeviceState.STOP && deviceState !== DeviceState.STOP_COPY) return
  const reason = `it is in ${deviceStateName(deviceState)}, let it run or reset it`
  throw new VfioError('EBUSY', `Cannot check the device: ${reason}`, { syscall: 'vfio-user' })
}

async function migrationFlags(peer: RawPeer): Promise<number | undefined> {
  const payload = await payloadOf(
    peer,
    VfioUserCommand.DEVICE_FEATURE,
    featureGet(DeviceFeature.MIGRATION, FeatureMigration.byteLength),
  )
  if (payload === undefined || payload.length < 16) return undefined
  return Number(FeatureMigration.decode(payload, 8).flags & 7n)
}

async function hasLogging(peer: RawPeer): Promise<boolean> {
  const probes = [
    featureProbe(DeviceFeature.DMA_LOGGING_START, VFIO_DEVICE_FEATURE_SET),
    featureProbe(DeviceFeature.DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_GET),
  ]
  for (const probe of probes)
    if ((await payloadOf(peer, VfioUserCommand.DEVICE_FEATURE, probe)) === undefined) return false
  return true
}

async function hasDma(peer: RawPeer): Promise<boolean> {
  const payload = DmaUnmap.encode({
    argsz: DmaUnmap.byteLength,
    flags: 0,
    address: UNUSED_ADDRESS,
    size: 4096n,
  })
  const answer = await peer.call({ command: VfioUserCommand.DMA_UNMAP, payload })
  return answer.kind === 'error' && isErrno(answer.errno, 'ENOENT')
}

async function payloadOf(
  peer: RawPeer,
  command: number,
  payload: Uint8Array,
): Promise<Uint8Array | undefined> {
  const answer = await peer.call({ command, payload })
  return answer.kind === 'reply' ? answer.payload : undefined
}

async function indexed<T>(count = 0, ask: (index: number) => Promise<T | undefined>): Promise<T[]> {
  const found: T[] = []
  for (let index = 0; index < Math.min(count, MOST_INDEXES); index++) {
    const one = await ask(index)
    if (one !== undefined) found.push(one)
  }
  return found
}
