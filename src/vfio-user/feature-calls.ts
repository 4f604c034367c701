/**
 * DEVICE_FEATURE as calls: migration flags and state, stop-copy length, DMA logging.
 *
 * @module
 */

import type { DmaRange } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import { dmaBitmapByteLength } from '../uapi/dma-logging.ts'
import { encodeFeatureMessage } from '../uapi/feature-message.ts'
import {
  DeviceFeature,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from '../uapi/features.ts'
import { DEVICE_STATE_COUNT, type DeviceState, deviceStateName } from '../uapi/state.ts'
import { DmaLoggingRange } from '../uapi/structs/dma-logging-range.ts'
import { FeatureHeader } from '../uapi/structs/feature-header.ts'
import { FeatureMigDataSize } from '../uapi/structs/feature-mig-data-size.ts'
import { FeatureMigState, NO_DATA_FD } from '../uapi/structs/feature-mig-state.ts'
import { FeatureMigration } from '../uapi/structs/feature-migration.ts'
import { VfioUserCommand } from './command.ts'
import { senselessReply } from './reply-error.ts'
import { messageOf, type Requests } from './requests.ts'
import { UserDmaLoggingControl, UserDmaLoggingReport } from './structs.ts'

const { byteLength: HEAD } = FeatureHeader
const NOTHING = new Uint8Array(0)

/** The features of one server. */
export class FeatureCalls {
  readonly #requests: Requests
  readonly #maxDataBytes: number

  /** @param maxDataBytes - most bytes of data in one message, as negotiated */
  constructor(requests: Requests, maxDataBytes: number) {
    this.#requests = requests
    this.#maxDataBytes = maxDataBytes
  }

  /** Capability flags. */
  async flags(): Promise<number> {
    const { byteLength } = FeatureMigration
    const data = await this.#get(DeviceFeature.MIGRATION, 'ask for the migration flags', NOTHING, byteLength)
    return Number(FeatureMigration.decode(data).flags & 0xffff_ffffn)
  }

  /** The state now. */
  async state(): Promise<DeviceState> {
    const action = 'ask for the state'
    // A control of 16 bytes both ways: what libvfio-user's own client sends.
    const request = FeatureMigState.encode({ deviceState: 0, dataFd: NO_DATA_FD })
    const feature = DeviceFeature.MIG_DEVICE_STATE
    const { deviceState } = FeatureMigState.decode(await this.#get(feature, action, request, request.length))
    if (deviceState < DEVICE_STATE_COUNT) return deviceState as DeviceState
    throw senselessReply(action, `with ${deviceStateName(deviceState)}`)
  }

  /** Goes to `target`; the reply is the request again and says nothing. */
  async setState(target: number): Promise<void> {
    const request = FeatureMigState.encode({ deviceState: target, dataFd: NO_DATA_FD })
    const action = `enter ${deviceStateName(target)}`
    await this.#set(DeviceFeature.MIG_DEVICE_STATE, action, request)
  }

  /** Bytes that STOP_COPY would deliver. */
  async stopCopyLength(): Promise<number> {
    const action = 'ask for the stop-copy length'
    const { byteLength } = FeatureMigDataSize
    const data = await this.#get(DeviceFeature.MIG_DATA_SIZE, action, NOTHING, byteLength)
    const { stopCopyLength } = FeatureMigDataSize.decode(data)
    if (stopCopyLength <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(stopCopyLength)
    throw senselessReply(action, `with ${stopCopyLength} bytes`)
  }

  /** Whether a feature can be used so. Of libvfio-user it says nothing about DMA logging that would crash it. */
  async probe(feature: DeviceFeature, ops: number, payload: Uint8Array = NOTHING): Promise<boolean> {
    try {
      const action = 'find out what the server supports'
      await this.#call(feature, ops | VFIO_DEVICE_FEATURE_PROBE, action, payload, payload.length)
      return true
    } catch (error) {
      if (this.#requests.failure !== undefined) throw error
      return false
    }
  }

  /** Starts logging; resolves to the page size in use: the reply's, where it has one. */
  async startLogging(pageSize: bigint, ranges: readonly DmaRange[]): Promise<bigint> {
    const head = UserDmaLoggingControl.byteLength
    const request = new Uint8Array(head + ranges.length * DmaLoggingRange.byteLength)
    UserDmaLoggingControl.encodeInto(request, 0, { pageSize, numRanges: ranges.length, reserved: 0 })
    for (const [index, { iova, length }] of ranges.entries())
      DmaLoggingRange.encodeInto(request, head + index * DmaLoggingRange.byteLength, { iova, length })
    const action = 'start DMA logging'
    const reply = await this.#set(DeviceFeature.DMA_LOGGING_START, action, request)
    if (reply.length < head) return pageSize
    const inUse = UserDmaLoggingControl.decode(reply).pageSize
    if (inUse > 0n && (inUse & (inUse - 1n)) === 0n && inUse <= 1n << 52n) return inUse
    throw senselessReply(action, `with a page size of ${inUse}`)
  }

  /** Stops logging, with the control that libvfio-user's client sends, too. */
  async stopLogging(): Promise<void> {
    const control = UserDmaLoggingControl.encode({ pageSize: 0n, numRanges: 0, reserved: 0 })
    await this.#set(DeviceFeature.DMA_LOGGING_STOP, 'stop DMA logging', control)
  }

  /** ORs the dirty pages of a range into `bitmap`, in as many reports as its bitmap needs. */
  async reportDirty(range: DmaRange, pageSize: bigint, bitmap: Uint8Array): Promise<void> {
    const head = UserDmaLoggingReport.byteLength
    const words = Math.floor((this.#maxDataBytes - HEAD - head) / 8)
    if (words < 1)
      throw new VfioError('EMSGSIZE', 'Cannot report dirty pages: the server takes too short messages')
    const stepBytes = BigInt(words * 64) * pageSize
    for (let done = 0n; done < range.length; done += stepBytes) {
      const left = range.length - done
      const length = left < stepBytes ? left : stepBytes
      const request = UserDmaLoggingReport.encode({ iova: range.iova + done, length, pageSize })
      const bitmapBytes = dmaBitmapByteLength(length, pageSize)
      const feature = DeviceFeature.DMA_LOGGING_REPORT
      const data = await this.#get(feature, 'report dirty pages', request, head + bitmapBytes)
      const at = Number(done / pageSize) / 8
      for (let byte = 0; byte < bitmapBytes; byte++)
        bitmap[at + byte] = (bitmap[at + byte] ?? 0) | (data[head + byte] ?? 0)
    }
  }

  /** The data of a GET: `byteLength` bytes or more. */
  #get(feature: DeviceFeature, action: string, request: Uint8Array, byteLength: number): Promise<Uint8Array> {
    return this.#call(feature, VFIO_DEVICE_FEATURE_GET, action, request, byteLength, byteLength)
  }

  /** The data of the reply to a SET, which may be none. */
  #set(feature: DeviceFeature, action: string, request: Uint8Array): Promise<Uint8Array> {
    return this.#call(feature, VFIO_DEVICE_FEATURE_SET, action, request, request.length)
  }

  async #call(
    feature: DeviceFeature,
    ops: number,
    action: string,
    request: Uint8Array,
    most: number,
    least = 0,
  ): Promise<Uint8Array> {
    const payload = encodeFeatureMessage(feature, ops, request)
    // Bytes there is room for in the reply, and at least those of the request.
    const argsz = HEAD + Math.max(most, request.length)
    FeatureHeader.encodeInto(payload, 0, { argsz, flags: feature | ops })
    const replyBytes = [least === 0 ? 0 : HEAD + least, argsz] as const
    const reply = await this.#requests.call(VfioUserCommand.DEVICE_FEATURE, messageOf(payload), {
      action,
      replyBytes,
    })
    return reply.payload.subarray(HEAD)
  }
}
