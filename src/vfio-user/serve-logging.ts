/**
 * Answers the features of DMA logging, from the server's own log: what the device writes into the client's memory
 * passes here, so everything that is mapped is logged, and the ranges of a START are not needed.
 *
 * @module
 */

import { PageBits } from '../device/page-bits.ts'
import { FeatureHeader } from '../uapi/structs/feature-header.ts'
import { type Answer, answer, refusal } from './command-answer.ts'
import type { FeatureCall } from './feature-call.ts'
import type { ServedClient } from './served-client.ts'
import { UserDmaLoggingControl, UserDmaLoggingReport } from './structs.ts'

const RANGE_BYTES = 16
/** Longest bitmap of a reply: 1 TiB by pages of 4 KiB. */
const MAX_BITMAP_BYTES: number = 32 * 1024 * 1024

/**
 * DMA_LOGGING_START; again with the same page size has no effect.
 *
 * @throws {@link VfioError} EINVAL a page size that is no power of two, or another one while logging is on; fewer
 * ranges than announced
 */
export function serveLoggingStart({ data, echo }: FeatureCall, { memory }: ServedClient): Answer {
  const { pageSize, numRanges } = UserDmaLoggingControl.decode(data)
  if (data.length < UserDmaLoggingControl.byteLength + numRanges * RANGE_BYTES)
    throw refusal(`${numRanges} ranges were announced, send them`)
  if (!isPowerOfTwo(pageSize)) throw refusal(`pages of ${pageSize} bytes, log by a power of two`)
  const logged = memory.loggedPageSize
  if (logged !== undefined && logged !== pageSize)
    throw refusal(`logging is on by pages of ${logged} bytes, stop it first`)
  memory.startLogging(pageSize)
  return answer(echo)
}

/** DMA_LOGGING_STOP; no error when it is stopped. */
export function serveLoggingStop({ echo }: FeatureCall, { memory }: ServedClient): Answer {
  memory.stopLogging()
  return answer(echo)
}

/**
 * DMA_LOGGING_REPORT of exactly one region, which clears it. A region by message is reported, too, although its
 * client has seen the writes (quirk `refuseMessageReports`).
 *
 * @throws {@link VfioError} EINVAL logging is off, a page size that is no power of two or larger than the region,
 * argsz too small for the bitmap; ENOENT no such address; EOPNOTSUPP not exactly one region
 */
export function serveLoggingReport({ data, flags, argsz }: FeatureCall, client: ServedClient): Answer {
  const { memory, settings } = client
  const report = UserDmaLoggingReport.decode(data)
  const { iova, length, pageSize } = report
  if (memory.loggedPageSize === undefined) throw refusal('nothing is logged, start logging')
  const found = memory.regions.at(iova)
  if (found === undefined) throw refusal(`nothing is mapped at ${iova}, ask for a region`, 'ENOENT')
  const region = memory.regions.exactly(iova, length)
  if (region === undefined) throw refusal('the range is not one region, ask for exactly one', 'EOPNOTSUPP')
  if (settings.quirks.refuseMessageReports && region.backing.kind === 'message')
    throw refusal('a region without a file is written by messages, which the client has seen')
  const byteLength = bitmapBytes(length, pageSize)
  const replyBytes = FeatureHeader.byteLength + UserDmaLoggingReport.byteLength + byteLength
  if (argsz < replyBytes) throw refusal(`argsz is ${argsz}, set it to ${replyBytes} or more`)
  const bits = new PageBits(byteLength)
  region.dirty.collect(Number(pageSize), bits)
  return answer(
    FeatureHeader.encode({ argsz: replyBytes, flags }),
    UserDmaLoggingReport.encode(report),
    bits.bytes,
  )
}

/**
 * Bytes of the bitmap of a region: a bit for each page, in words of 64.
 *
 * @throws {@link VfioError} EINVAL a page size that is no power of two or larger than the region, or too many pages
 */
export function bitmapBytes(regionBytes: bigint, pageSize: bigint): number {
  if (!isPowerOfTwo(pageSize) || pageSize > regionBytes)
    throw refusal(`pages of ${pageSize} bytes, ask by a power of two, the region's size at most`)
  const pages = (regionBytes + pageSize - 1n) / pageSize
  const byteLength = ((pages + 63n) / 64n) * 8n
  if (byteLength > BigInt(MAX_BITMAP_BYTES))
    throw refusal(`a bitmap of ${byteLength} bytes, ask for ${MAX_BITMAP_BYTES} at most by larger pages`)
  return Number(byteLength)
}

function isPowerOfTwo(value: bigint): boolean {
  return value > 0n && (value & (value - 1n)) === 0n
}
