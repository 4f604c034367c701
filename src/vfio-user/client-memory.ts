/**
 * The client's memory as the device reaches it, whatever stands behind an address, and the log of its writes.
 *
 * @module
 */

import type { DmaMemory } from '../device/pci-function.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { DirtyBudget, DirtyPages } from './dirty-pages.ts'
import { type DmaBacking, type DmaMapping, type DmaPiece, type DmaRegion, DmaRegions } from './dma-regions.ts'
import type { FdPassing } from './fd-passing.ts'
import type { RemoteDma } from './remote-dma.ts'

const READ = 1
const WRITE = 2

/** Moves one piece, `at` bytes from the start of the access. */
type Transfer = (piece: DmaPiece, at: number, byteLength: number) => Promise<void> | undefined

/** What a {@link ClientMemory} needs. */
export interface ClientMemoryOptions {
  readonly remote: RemoteDma
  readonly fds: FdPassing | undefined
  /** Whether the device may reach memory now. */
  readonly mayMaster: () => boolean
}

/**
 * Memory of one client. An access is checked as a whole before a byte moves; what is mapped or in a file is
 * reached at once, so that a region can be unmapped at any time.
 */
export class ClientMemory implements DmaMemory {
  readonly regions: DmaRegions = new DmaRegions()
  readonly #options: ClientMemoryOptions
  readonly #budget = new DirtyBudget()
  /** Page size of the START; undefined while logging is off. */
  #loggedPageSize: bigint | undefined
  #isGone = false

  constructor(options: ClientMemoryOptions) {
    this.#options = options
  }

  /** Page size that logging was started with, or undefined. */
  get loggedPageSize(): bigint | undefined {
    return this.#loggedPageSize
  }

  /** Starts logging: from nothing when it was off. */
  startLogging(pageSize: bigint): void {
    if (this.#loggedPageSize === undefined) this.#clearLog()
    this.#loggedPageSize = pageSize
  }

  /** Stops it, also when it is off. */
  stopLogging(): void {
    this.#loggedPageSize = undefined
    this.#clearLog()
  }

  /** Adds a region that `regions.check` let pass. */
  map(mapping: DmaMapping, backing: DmaBacking): void {
    const dirty = new DirtyPages(Number(mapping.byteLength), this.#budget)
    this.regions.add({ ...mapping, backing, dirty })
  }

  /** Takes a region out and lets go of what is behind it. */
  unmap(region: DmaRegion): void {
    this.regions.remove(region)
    this.#letGo(region)
  }

  /** Takes all regions out. */
  unmapAll(): void {
    for (const region of this.regions.clear()) this.#letGo(region)
  }

  /** The client is gone: no memory is there any more. */
  close(): void {
    this.#isGone = true
    this.unmapAll()
    this.stopLogging()
  }

  /**
   * @throws {@link VfioError} ENODEV not all of it is mapped, bus mastering is off, or the client is gone; EPERM
   * mapped for writing only; of a region by message also as {@link RemoteDma.read}
   */
  read(iova: bigint, dst: Uint8Array): Awaitable<void> {
    return this.#access('read', READ, iova, dst.length, ({ region, offset }, at, byteLength) => {
      const part = dst.subarray(at, at + byteLength)
      const { backing } = region
      if (backing.kind === 'mapped') part.set(backing.memory.bytes.subarray(offset, offset + byteLength))
      else if (backing.kind === 'file') this.#fds.readAt(backing.fd, region.offset + BigInt(offset), part)
      else {
        const address = region.iova + BigInt(offset)
        return this.#options.remote.read(address, part, () => this.regions.has(region))
      }
      return undefined
    })
  }

  /** @throws {@link VfioError} as {@link read}; EPERM mapped for reading only */
  write(iova: bigint, src: Uint8Array): Awaitable<void> {
    return this.#access('write', WRITE, iova, src.length, ({ region, offset }, at, byteLength) => {
      const part = src.subarray(at, at + byteLength)
      // After the bytes, and also when they may have arrived in part.
      const mark = (): void => {
        if (this.#loggedPageSize === undefined || !this.regions.has(region)) return
        region.dirty.mark(offset, byteLength)
      }
      const { backing } = region
      if (backing.kind === 'message') {
        const address = region.iova + BigInt(offset)
        return this.#options.remote.write(address, part, () => this.regions.has(region)).finally(mark)
      }
      try {
        if (backing.kind === 'mapped') backing.memory.bytes.set(part, offset)
        else this.#fds.writeAt(backing.fd, region.offset + BigInt(offset), part)
      } finally {
        mark()
      }
      return undefined
    })
  }

  get #fds(): FdPassing {
    return this.#options.fds as FdPassing
  }

  #access(
    action: 'read' | 'write',
    access: number,
    iova: bigint,
    byteLength: number,
    transfer: Transfer,
  ): Awaitable<void> {
    if (this.#isGone) throw unreachable(action, 'ENODEV', 'the client is gone, wait for the next one')
    if (!this.#options.mayMaster())
      throw unreachable(action, 'ENODEV', 'bus mastering is off, set it in the command register')
    const pieces = this.regions.pieces(iova, byteLength)
    if (pieces === undefined) throw unreachable(action, 'ENODEV', 'not all of it is mapped, map it first')
    if (pieces.some(({ region }) => (region.access & access) === 0))
      throw unreachable(action, 'EPERM', 'it is mapped for the other direction only, map it for both')
    return this.#each(pieces, transfer)
  }

  /** Moves piece by piece; what waited for another one may have been unmapped meanwhile. */
  #each(pieces: readonly DmaPiece[], transfer: Transfer): Awaitable<void> {
    for (let at = 0, index = 0; index < pieces.length; index++) {
      const piece = pieces[index] as DmaPiece
      const moving = transfer(piece, at, piece.byteLength)
      at += piece.byteLength
      if (moving !== undefined) return this.#eachAfter(moving, pieces.slice(index + 1), at, transfer)
    }
    return undefined
  }

  async #eachAfter(
    moving: Promise<void>,
    rest: readonly DmaPiece[],
    from: number,
    transfer: Transfer,
  ): Promise<void> {
    await moving
    let at = from
    for (const piece of rest) {
      if (!this.regions.has(piece.region))
        throw unreachable('reach', 'ENODEV', 'it was unmapped meanwhile, map it again')
      await transfer(piece, at, piece.byteLength)
      at += piece.byteLength
    }
  }

  #letGo({ backing, dirty }: DmaRegion): void {
    dirty.clear()
    if (backing.kind === 'mapped') backing.memory.unmap()
    else if (backing.kind === 'file') this.#fds.close(backing.fd)
  }

  #clearLog(): void {
    for (const { dirty } of this.regions.all) dirty.clear()
  }
}

function unreachable(action: string, code: 'ENODEV' | 'EPERM', reason: string): VfioError {
  return new VfioError(code, `Cannot ${action} the client's memory: ${reason}`, { syscall: 'dma' })
}
