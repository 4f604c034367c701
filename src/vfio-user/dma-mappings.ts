/**
 * The memory that a client lets a server's device reach: DMA_MAP, DMA_UNMAP, and which of it goes by message.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { VfioUserCommand } from './command.ts'
import { withoutFds } from './device-calls.ts'
import { senselessReply } from './reply-error.ts'
import { messageOf, type Requests } from './requests.ts'
import { DirtyBitmapHead, DmaMap, DmaUnmap } from './structs.ts'

/** Memory to map. */
export interface DmaMapping {
  /** First device-visible address (IOVA). */
  readonly address: bigint
  /** Bytes. */
  readonly size: bigint
  /** What the device may do; default both. */
  readonly access?: 'read' | 'write' | 'read-write'
  /** Where it lies in the file of `fd`. */
  readonly offset?: bigint
  /** The file that holds it; without, the server asks for its bytes by message. It stays the caller's. */
  readonly fd?: number
}

/** Memory to take away: a region exactly as it was mapped. */
export interface DmaUnmapping {
  /** First device-visible address (IOVA). */
  readonly address: bigint
  /** Bytes. */
  readonly size: bigint
  /** Asks for the pages of this many bytes that were written while DMA logging was on. */
  readonly dirtyPageSize?: number
}

const ACCESS = { read: 1, write: 2, 'read-write': 3 } as const
const UNMAP_DIRTY = 1
const UNMAP_ALL = 2

/** The mapped regions of one server. */
export class DmaMappings {
  readonly #requests: Requests
  readonly #maxDataBytes: number
  readonly #hasMemory: boolean
  /** Address to whether it goes by message. */
  readonly #regions = new Map<bigint, boolean>()
  #wasMapped = false

  /** @param hasMemory - whether the server's messages about memory are answered with bytes */
  constructor(requests: Requests, maxDataBytes: number, hasMemory: boolean) {
    this.#requests = requests
    this.#maxDataBytes = maxDataBytes
    this.#hasMemory = hasMemory
  }

  /** Whether a region is or was mapped: the server's device has DMA at all. */
  get wasMapped(): boolean {
    return this.#wasMapped
  }

  async map({ address, size, access = 'read-write', offset = 0n, fd }: DmaMapping): Promise<void> {
    const action = `map ${size} bytes for DMA`
    if (fd !== undefined && !this.#requests.passesFds) throw withoutFds(action)
    const argsz = DmaMap.byteLength
    const request = DmaMap.encode({ argsz, flags: ACCESS[access], offset, address, size })
    const fds = fd === undefined ? [] : [fd]
    // From here on the server may answer with a command of its own.
    if (fd === undefined && this.#hasMemory) this.#requests.alone = true
    try {
      const options = { action, replyBytes: [0, argsz], fds } as const
      await this.#requests.call(VfioUserCommand.DMA_MAP, messageOf(request), options)
      this.#regions.set(address, fd === undefined)
      this.#wasMapped = true
    } finally {
      this.#chooseOrder()
    }
  }

  /** Resolves to the bitmap that was asked for. */
  async unmap({ address, size, dirtyPageSize }: DmaUnmapping): Promise<Uint8Array | undefined> {
    const action = `unmap ${size} bytes`
    if (dirtyPageSize === undefined) {
      await this.#unmap(action, { flags: 0, address, size }, undefined)
      this.#regions.delete(address)
      this.#chooseOrder()
      return undefined
    }
    const bitmapBytes = this.#bitmapBytes(action, size, dirtyPageSize)
    const bitmap = DirtyBitmapHead.encode({ pgsize: BigInt(dirtyPageSize), size: BigInt(bitmapBytes) })
    const reply = await this.#unmap(action, { flags: UNMAP_DIRTY, address, size }, bitmap, bitmapBytes)
    this.#regions.delete(address)
    this.#chooseOrder()
    if (reply.length !== DmaUnmap.byteLength + bitmap.length + bitmapBytes)
      throw senselessReply(action, 'without the bitmap')
    return reply.subarray(DmaUnmap.byteLength + bitmap.length)
  }

  async unmapAll(): Promise<void> {
    await this.#unmap('unmap all memory', { flags: UNMAP_ALL, address: 0n, size: 0n }, undefined)
    this.#regions.clear()
    this.#chooseOrder()
  }

  async #unmap(
    action: string,
    fields: Omit<DmaUnmap, 'argsz'>,
    bitmap: Uint8Array | undefined,
    bitmapBytes = 0,
  ): Promise<Uint8Array> {
    const head = DmaUnmap.byteLength
    const request = new Uint8Array(head + (bitmap?.length ?? 0))
    const argsz = request.length + bitmapBytes
    DmaUnmap.encodeInto(request, 0, { argsz, ...fields })
    if (bitmap !== undefined) request.set(bitmap, head)
    const options = { action, replyBytes: [0, argsz] } as const
    return (await this.#requests.call(VfioUserCommand.DMA_UNMAP, messageOf(request), options)).payload
  }

  #bitmapBytes(action: string, size: bigint, pageSize: number): number {
    const isPower = Number.isSafeInteger(pageSize) && Number.isInteger(Math.log2(pageSize))
    if (!isPower)
      throw new VfioError('EINVAL', `Cannot ${action}: pages of ${pageSize} bytes, pass a power of two`)
    const pages = (size + BigInt(pageSize) - 1n) / BigInt(pageSize)
    const byteLength = ((pages + 63n) / 64n) * 8n
    if (byteLength <= BigInt(this.#maxDataBytes)) return Number(byteLength)
    throw new VfioError('EMSGSIZE', `Cannot ${action}: a bitmap of ${byteLength} bytes, use larger pages`)
  }

  /** A server that uses this connection for its DMA takes whatever comes next for the answer. */
  #chooseOrder(): void {
    this.#requests.alone = this.#hasMemory && [...this.#regions.values()].includes(true)
  }
}
