/**
 * Which addresses the guest memory of a migration has, as pages numbered from 0 over all ranges.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import { configurationFingerprint } from '../format/index.ts'
import { checkDmaLoggingStart } from '../uapi/dma-logging.ts'

/** A range of addresses as devices see them, in bytes; a multiple of the page size at both ends. */
export interface GuestMemoryRange {
  /** First address. */
  readonly iova: bigint
  /** Bytes from there. */
  readonly length: bigint
}

/** A range and the numbers of its pages, `end` not included. */
export interface PagedRange extends GuestMemoryRange {
  readonly first: number
  readonly end: number
}

const MIN_PAGE_BYTES = 4096
/** A page must fit a record. */
const MAX_PAGE_BYTES = 262_144
/** One bit each: 256 MiB of them, 8 TiB of 4 KiB pages. */
const MAX_PAGES = 2 ** 31

/** Ranges in ascending order, and what source and destination must agree in. */
export class GuestMemoryLayout {
  readonly pageSize: number
  readonly ranges: readonly PagedRange[]
  readonly pageCount: number

  /**
   * @throws {@link VfioError} EINVAL a page size that is no power of two of 4096 to 262,144; no ranges, one
   * that is empty, not aligned or overlaps another; more than 2^31 pages; E2BIG more than 256 ranges;
   * EOVERFLOW one that reaches 2^64
   */
  constructor(pageSize: number, ranges: readonly GuestMemoryRange[]) {
    const isPower = Number.isSafeInteger(pageSize) && Number.isInteger(Math.log2(pageSize))
    if (!isPower || pageSize < MIN_PAGE_BYTES || pageSize > MAX_PAGE_BYTES) {
      throw refusal(`pages of ${pageSize} bytes are no power of two of 4096 to 262144, use 4096`)
    }
    const sorted = ranges
      .map(({ iova, length }) => ({ iova, length }))
      .sort((a, b) => (a.iova < b.iova ? -1 : 1))
    // What no device could log is no memory either.
    checkDmaLoggingStart({ pageSize: BigInt(pageSize), ranges: sorted })
    let pageCount = 0
    this.ranges = sorted.map(({ iova, length }) => {
      const first = pageCount
      pageCount += Number(length / BigInt(pageSize))
      return { iova, length, first, end: pageCount }
    })
    if (pageCount > MAX_PAGES) throw refusal(`${pageCount} pages are too many, use larger pages`)
    this.pageSize = pageSize
    this.pageCount = pageCount
  }

  /** Of all ranges. */
  get byteLength(): number {
    return this.pageCount * this.pageSize
  }

  /** The device that stands for the memory; equal layouts have equal fingerprints. */
  get identity(): DeviceIdentity {
    const configuration: Record<string, number | bigint> = { pageSize: this.pageSize }
    for (const [index, { iova, length }] of this.ranges.entries()) {
      configuration[`range.${index}.iova`] = iova
      configuration[`range.${index}.length`] = length
    }
    const fingerprint = configurationFingerprint(configuration)
    return { type: 'guest-memory', version: 1, stream: 'opaque', configuration, fingerprint }
  }

  /** The range that page `page` is in. */
  rangeOf(page: number): PagedRange {
    return this.ranges.find(({ end }) => page < end) as PagedRange
  }

  /** Pages of an aligned part of one range, or undefined where it is no such part. */
  pagesOf(iova: bigint, byteLength: number): { readonly first: number; readonly end: number } | undefined {
    const size = BigInt(this.pageSize)
    const range = this.ranges.find((one) => iova >= one.iova && iova < one.iova + one.length)
    if (range === undefined || iova % size !== 0n || byteLength % this.pageSize !== 0) return undefined
    const first = range.first + Number((iova - range.iova) / size)
    const end = first + byteLength / this.pageSize
    return byteLength === 0 || end > range.end ? undefined : { first, end }
  }

  /** Address of page `page` of `range`. */
  addressOf(range: PagedRange, page: number): bigint {
    return range.iova + BigInt(page - range.first) * BigInt(this.pageSize)
  }
}

function refusal(reason: string): VfioError {
  return new VfioError('EINVAL', `Cannot migrate guest memory: ${reason}`)
}
