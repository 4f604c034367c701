/**
 * Argument checks of DMA logging (facts A.6), for calls from bytes and typed calls alike.
 *
 * Stricter than the kernel in three points, each of them EINVAL and compatible with every known client:
 * a page size of 0, one that is no power of two, and a range of length 0 (facts F).
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { DmaLoggingControl } from './structs/dma-logging-control.ts'
import { DmaLoggingRange } from './structs/dma-logging-range.ts'

/** Most ranges one START takes: what fits a 4 KiB page. */
export const DMA_LOGGING_MAX_RANGES = 256

/** Smallest page size a REPORT may ask for, bytes. */
export const DMA_LOGGING_MIN_REPORT_PAGE_SIZE = 4096n

const ADDRESS_LIMIT = 1n << 64n

/** What a checked START asks for. */
export interface DmaLoggingStart {
  /** Granularity wanted, bytes. */
  readonly pageSize: bigint
  /** Aligned, disjoint, not empty; in the caller's order. */
  readonly ranges: readonly DmaLoggingRange[]
}

/**
 * Reads and checks the payload of START (A.6 steps 1 to 3). Ranges are read one by one, so a bad range
 * is reported before an unreadable one behind it.
 *
 * @param address - address of the control structure, behind the feature header
 * @throws {@link VfioError} EFAULT when the control or a range is not readable, and as
 * {@link checkDmaLoggingStart}
 */
export function readDmaLoggingStart(memory: Uint8Array, address: number | bigint): DmaLoggingStart {
  const { pageSize, numRanges, ranges } = DmaLoggingControl.decode(memory, address)
  return collectRanges(pageSize, numRanges, (index) =>
    DmaLoggingRange.decode(memory, ranges + BigInt(index * DmaLoggingRange.byteLength)),
  )
}

/**
 * Checks a typed START by the same rules (A.6 steps 2 and 3).
 *
 * @throws {@link VfioError} EINVAL: no ranges, bad page size, a range unaligned, empty or overlapping an
 * earlier one. E2BIG: more than 256 ranges. EOVERFLOW: a range reaches 2^64.
 */
export function checkDmaLoggingStart(start: DmaLoggingStart): void {
  collectRanges(start.pageSize, start.ranges.length, (index) => start.ranges[index]!)
}

/**
 * Checks a REPORT before its bitmap is looked at (A.6). Whether the range is logged is the driver's
 * business, length 0 included.
 *
 * @throws {@link VfioError} EINVAL when the page size is below 4096 or no power of two; EOVERFLOW when
 * the range reaches 2^64
 */
export function checkDmaLoggingReport(report: { iova: bigint; length: bigint; pageSize: bigint }): void {
  const { iova, length, pageSize } = report
  if (pageSize < DMA_LOGGING_MIN_REPORT_PAGE_SIZE || !isPowerOfTwo(pageSize)) {
    throw refusal(
      'EINVAL',
      `report dirty pages: page size ${pageSize} is no power of two of 4096 or more, pass one`,
    )
  }
  checkAddresses({ iova, length }, 'report dirty pages')
}

/** Bytes of a REPORT's bitmap: a bit per page, in whole u64 words. For a report that passed its check. */
export function dmaBitmapByteLength(length: bigint, pageSize: bigint): number {
  const pageCount = (length + pageSize - 1n) / pageSize
  return Number((pageCount + 63n) / 64n) * 8
}

function collectRanges(
  pageSize: bigint,
  count: number,
  rangeAt: (index: number) => DmaLoggingRange,
): DmaLoggingStart {
  if (count === 0) throw refusal('EINVAL', 'start DMA logging: there are no ranges, pass at least one')
  if (count > DMA_LOGGING_MAX_RANGES) {
    throw refusal(
      'E2BIG',
      `start DMA logging: ${count} ranges are more than ${DMA_LOGGING_MAX_RANGES}, merge some`,
    )
  }
  if (!isPowerOfTwo(pageSize)) {
    throw refusal(
      'EINVAL',
      `start DMA logging: page size ${pageSize} is no power of two, pass one such as 4096`,
    )
  }
  const ranges: DmaLoggingRange[] = []
  for (let index = 0; index < count; index++) {
    const range = rangeAt(index)
    checkRange(range, pageSize, `start DMA logging on range ${index}`)
    const other = ranges.findIndex((earlier) => overlaps(earlier, range))
    if (other !== -1) {
      throw refusal(
        'EINVAL',
        `start DMA logging on range ${index}: it overlaps range ${other}, merge the two`,
      )
    }
    ranges.push(range)
  }
  return { pageSize, ranges }
}

function checkRange(range: DmaLoggingRange, pageSize: bigint, action: string): void {
  if (range.iova % pageSize !== 0n || range.length % pageSize !== 0n) {
    throw refusal('EINVAL', `${action}: iova or length is no multiple of page size ${pageSize}, align both`)
  }
  if (range.length === 0n) throw refusal('EINVAL', `${action}: its length is 0, leave it out`)
  checkAddresses(range, action)
}

function checkAddresses({ iova, length }: DmaLoggingRange, action: string): void {
  // Only typed calls can get here with negative numbers: a u64 read from bytes never is.
  if (iova < 0n || length < 0n) {
    throw refusal('EINVAL', `${action}: iova or length is negative, pass unsigned 64-bit numbers`)
  }
  // The kernel refuses an end of exactly 2^64 too, so the last page of the address space cannot be logged.
  if (iova + length >= ADDRESS_LIMIT) {
    throw refusal('EOVERFLOW', `${action}: it ends at or above 2^64, shorten it`)
  }
}

function overlaps(a: DmaLoggingRange, b: DmaLoggingRange): boolean {
  return a.iova < b.iova + b.length && b.iova < a.iova + a.length
}

function isPowerOfTwo(value: bigint): boolean {
  return value > 0n && (value & (value - 1n)) === 0n
}

function refusal(code: 'EINVAL' | 'E2BIG' | 'EOVERFLOW', reason: string): VfioError {
  return new VfioError(code, `Cannot ${reason}`, { syscall: 'ioctl' })
}
