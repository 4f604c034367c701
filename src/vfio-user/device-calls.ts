/**
 * The commands about a device that are no features, as calls.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { VfioUserCommand } from './command.ts'
import { senselessReply } from './reply-error.ts'
import { messageOf, type Requests } from './requests.ts'
import { type RegionMmapArea, sparseAreas } from './region-capabilities.ts'
import { DeviceInfo, IrqInfo, IrqSet, RegionAccess, RegionInfo, RegionIoFds } from './structs.ts'

/** Most bytes of a region's information that are believed: capabilities of 170 areas. */
const MOST_REGION_INFO = 4096
/** Most descriptors of a region, of 48 bytes each. */
const MOST_IO_FDS = 64
const IO_FD_BYTES = 48

/** What a server says of a region. */
export interface RemoteRegion {
  /** 0 to 5 BARs, 6 ROM, 7 configuration space, 8 VGA. */
  readonly index: number
  /** Bit 0 read, 1 write, 2 mmap, 3 capabilities. */
  readonly flags: number
  /** Bytes; 0 for a region that is not there. */
  readonly size: bigint
  /** For mmap of its descriptor. */
  readonly offset: bigint
  /** What of it can be mapped; absent where the server does not say. */
  readonly areas?: readonly RegionMmapArea[]
  /** The descriptor that came along; the caller's. */
  readonly fd?: number
}

/** Interrupts to set up. */
export interface IrqSetup {
  /** 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ. */
  readonly index: number
  /** Data: 1 none, 2 bool, 4 eventfd. Action: 8 mask, 16 unmask, 32 trigger. One of each. */
  readonly flags: number
  /** The first interrupt of the kind. */
  readonly start: number
  /** How many from there; 0 with data none and trigger at 0: all off. */
  readonly count: number
  /** With data bool: `count` bytes. */
  readonly bools?: Uint8Array
  /** With data eventfd: `count` of them, or none to take them away. They stay the caller's. */
  readonly fds?: readonly number[]
}

/** Commands to one server. */
export class DeviceCalls {
  readonly #requests: Requests
  readonly #maxDataBytes: number

  /** @param maxDataBytes - most bytes of data in one message, as negotiated */
  constructor(requests: Requests, maxDataBytes: number) {
    this.#requests = requests
    this.#maxDataBytes = maxDataBytes
  }

  async info(): Promise<DeviceInfo> {
    const { byteLength } = DeviceInfo
    const request = DeviceInfo.encode({ argsz: byteLength, flags: 0, numRegions: 0, numIrqs: 0 })
    const options = { action: 'ask what the device is', replyBytes: [byteLength, byteLength] } as const
    const { payload } = await this.#requests.call(
      VfioUserCommand.DEVICE_GET_INFO,
      messageOf(request),
      options,
    )
    return DeviceInfo.decode(payload)
  }

  /**
   * A region with its capabilities.
   *
   * @param takesFd - whether a descriptor that comes along is wanted; otherwise it is closed
   */
  async regionInfo(index: number, takesFd: boolean): Promise<RemoteRegion> {
    let argsz = RegionInfo.byteLength
    for (;;) {
      const action = `ask for region ${index}`
      const request = RegionInfo.encode({ argsz, flags: 0, index, capOffset: 0, size: 0n, offset: 0n })
      const options = { action, replyBytes: [RegionInfo.byteLength, argsz], takesFds: takesFd } as const
      const message = messageOf(request)
      const { payload, fds } = await this.#requests.call(
        VfioUserCommand.DEVICE_GET_REGION_INFO,
        message,
        options,
      )
      const info = RegionInfo.decode(payload)
      if (info.index !== index) throw senselessReply(action, `with region ${info.index}`)
      // Capabilities and descriptor are kept back until there is room for them.
      const wantsMore = info.argsz > argsz && argsz === RegionInfo.byteLength
      if (wantsMore && info.argsz <= MOST_REGION_INFO) {
        argsz = info.argsz
        continue
      }
      const { flags, size, offset } = info
      const areas = sparseAreas(payload, info)
      const fd = fds[0]
      return {
        index,
        flags,
        size,
        offset,
        ...(areas === undefined ? {} : { areas }),
        ...(fd === undefined ? {} : { fd }),
      }
    }
  }

  async irqInfo(index: number): Promise<IrqInfo> {
    const { byteLength } = IrqInfo
    const action = `ask for interrupt ${index}`
    const request = IrqInfo.encode({ argsz: byteLength, flags: 0, index, count: 0 })
    const options = { action, replyBytes: [byteLength, byteLength] } as const
    const { payload } = await this.#requests.call(
      VfioUserCommand.DEVICE_GET_IRQ_INFO,
      messageOf(request),
      options,
    )
    return IrqInfo.decode(payload)
  }

  async setIrqs({ index, flags, start, count, bools, fds = [] }: IrqSetup): Promise<void> {
    const action = `set up interrupt ${index}`
    if (fds.length > 0 && !this.#requests.passesFds) throw withoutFds(action)
    const argsz = IrqSet.byteLength + (bools?.length ?? 0)
    const request = new Uint8Array(argsz)
    IrqSet.encodeInto(request, 0, { argsz, flags, index, start, count })
    if (bools !== undefined) request.set(bools, IrqSet.byteLength)
    const options = { action, replyBytes: [0, argsz], fds } as const
    await this.#requests.call(VfioUserCommand.DEVICE_SET_IRQS, messageOf(request), options)
  }

  /** The reply's bytes and the descriptors that came with them, the caller's; entries have 48 bytes. */
  async regionIoFds(index: number): Promise<{ entries: Uint8Array; fds: readonly number[] }> {
    const action = `ask for the descriptors of region ${index}`
    if (!this.#requests.passesFds) throw withoutFds(action)
    const { byteLength } = RegionIoFds
    const argsz = byteLength + MOST_IO_FDS * IO_FD_BYTES
    const request = RegionIoFds.encode({ argsz, flags: 0, index, count: 0 })
    const options = { action, replyBytes: [byteLength, argsz], takesFds: true } as const
    const message = messageOf(request)
    const { payload, fds } = await this.#requests.call(
      VfioUserCommand.DEVICE_GET_REGION_IO_FDS,
      message,
      options,
    )
    return { entries: payload.subarray(byteLength), fds }
  }

  /** Fills `dst`, in as many messages as it needs. */
  async readRegion(index: number, offset: number, dst: Uint8Array): Promise<void> {
    const action = `read region ${index}`
    const head = RegionAccess.byteLength
    for (let at = 0; at < dst.length; at += this.#maxDataBytes) {
      const count = Math.min(dst.length - at, this.#maxDataBytes)
      const request = RegionAccess.encode({ offset: BigInt(offset + at), region: index, count })
      const options = { action, replyBytes: [head + count, head + count] } as const
      const { payload } = await this.#requests.call(VfioUserCommand.REGION_READ, messageOf(request), options)
      const access = RegionAccess.decode(payload)
      if (access.count !== count) throw senselessReply(action, `with ${access.count} bytes of ${count}`)
      dst.set(payload.subarray(head), at)
    }
  }

  /** Stores `src`, in as many messages as it needs. */
  async writeRegion(index: number, offset: number, src: Uint8Array): Promise<void> {
    const action = `write region ${index}`
    const head = RegionAccess.byteLength
    for (let at = 0; at < src.length; at += this.#maxDataBytes) {
      const data = src.subarray(at, at + this.#maxDataBytes)
      const { length: count } = data
      const request = RegionAccess.encode({ offset: BigInt(offset + at), region: index, count })
      const options = { action, replyBytes: [0, head + count], data } as const
      const { payload } = await this.#requests.call(VfioUserCommand.REGION_WRITE, messageOf(request), options)
      if (payload.length < head) continue
      const taken = RegionAccess.decode(payload).count
      if (taken !== count) throw senselessReply(action, `with ${taken} bytes of ${count}`)
    }
  }

  async reset(): Promise<void> {
    await this.#requests.call(VfioUserCommand.DEVICE_RESET, messageOf(), { action: 'reset the device' })
  }
}

/** A call that cannot work over a connection of bytes alone. */
export function withoutFds(action: string): VfioError {
  const reason = 'this connection carries no file descriptors'
  return new VfioError('EOPNOTSUPP', `Cannot ${action}: ${reason}, use one that does`, {
    syscall: 'vfio-user',
  })
}
