/**
 * The client's memory by DMA address: what it mapped, sorted and disjoint.
 *
 * @module
 */

import type { DirtyPages } from './dirty-pages.ts'
import { refusal } from './command-answer.ts'
import type { MappedMemory } from './fd-passing.ts'

/** Longest region: libvfio-user's 8 TiB, so that offsets are exact numbers. */
const MAX_REGION_BYTES: bigint = 1n << 43n
/** Most regions of a connection. QEMU maps some dozens. */
const MAX_REGIONS = 4096
const ADDRESS_LIMIT = 1n << 64n

/** Where a region's bytes are: mapped here, in a file, or with the client, which is asked by messages. */
export type DmaBacking =
  | { readonly kind: 'mapped'; readonly memory: MappedMemory }
  | { readonly kind: 'file'; readonly fd: number }
  | { readonly kind: 'message' }

/** What makes two DMA_MAPs the same. */
export interface DmaMapping {
  readonly iova: bigint
  readonly byteLength: bigint
  /** Where it begins in its file. */
  readonly offset: bigint
  /** Bits of the DMA_MAP: 0 read, 1 write. */
  readonly access: number
}

/** A mapped region. */
export interface DmaRegion extends DmaMapping {
  readonly backing: DmaBacking
  readonly dirty: DirtyPages
}

/** A part of an access that lies in one region. */
export interface DmaPiece {
  readonly region: DmaRegion
  /** From the region's start. */
  readonly offset: number
  readonly byteLength: number
}

/** All regions of one client. */
export class DmaRegions {
  #regions: DmaRegion[] = []

  /** All of them, by address. */
  get all(): readonly DmaRegion[] {
    return this.#regions
  }

  /** Whether the region is still mapped. */
  has(region: DmaRegion): boolean {
    return this.#regions[this.#indexAfter(region.iova)] === region
  }

  /**
   * Whether `mapping` may be added.
   *
   * @returns the region when the very same is mapped already
   * @throws {@link VfioError} EINVAL without bytes, past the end of addresses, over another region, or when there
   * are too many; ENOSPC above 8 TiB
   */
  check(mapping: DmaMapping): DmaRegion | undefined {
    const { iova, byteLength } = mapping
    if (byteLength === 0n) throw refusal('a region of 0 bytes, map one or more')
    if (byteLength > MAX_REGION_BYTES)
      throw refusal(`a region of ${byteLength} bytes, map 8 TiB at most`, 'ENOSPC')
    if (iova + byteLength > ADDRESS_LIMIT) throw refusal('a region that ends above 2^64, shorten it')
    const found = this.#regions[this.#indexAfter(iova)]
    if (found !== undefined && found.iova < iova + byteLength) {
      const isSame =
        found.iova === iova &&
        found.byteLength === byteLength &&
        found.offset === mapping.offset &&
        found.access === mapping.access
      if (isSame) return found
      throw refusal('the region overlaps another one, unmap that first')
    }
    if (this.#regions.length >= MAX_REGIONS) throw refusal(`there are ${MAX_REGIONS} regions, unmap some`)
    return undefined
  }

  /** Adds a region that passed its {@link check}. */
  add(region: DmaRegion): void {
    this.#regions.splice(this.#indexAfter(region.iova), 0, region)
  }

  /** The region of exactly these addresses. */
  exactly(iova: bigint, byteLength: bigint): DmaRegion | undefined {
    const found = this.at(iova)
    return found?.iova === iova && found.byteLength === byteLength ? found : undefined
  }

  /** The region that holds `iova`. */
  at(iova: bigint): DmaRegion | undefined {
    const found = this.#regions[this.#indexAfter(iova)]
    return found !== undefined && found.iova <= iova ? found : undefined
  }

  /** Takes a region out. */
  remove(region: DmaRegion): void {
    this.#regions = this.#regions.filter((other) => other !== region)
  }

  /** Takes all regions out. */
  clear(): DmaRegion[] {
    const regions = this.#regions
    this.#regions = []
    return regions
  }

  /** The regions behind `byteLength` bytes at `iova`; undefined when some are not mapped. */
  pieces(iova: bigint, byteLength: number): DmaPiece[] | undefined {
    const pieces: DmaPiece[] = []
    for (let at = 0; at < byteLength;) {
      const address = iova + BigInt(at)
      const region = this.at(address)
      if (region === undefined) return undefined
      const offset = Number(address - region.iova)
      const length = Math.min(byteLength - at, Number(region.byteLength) - offset)
      pieces.push({ region, offset, byteLength: length })
      at += length
    }
    return pieces
  }

  /** Index of the first region that ends behind `iova`. */
  #indexAfter(iova: bigint): number {
    let low = 0
    let high = this.#regions.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const region = this.#regions[middle] as DmaRegion
      if (region.iova + region.byteLength > iova) high = middle
      else low = middle + 1
    }
    return low
  }
}
