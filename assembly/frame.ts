/**
 * Sections of the migration stream: 40 bytes of header, then the payload. `src/format/section.ts` draws
 * the header; here are only the fields that these kernels write.
 *
 * @module
 */

import {
  EFAULT,
  EINVAL,
  RUN_BYTES,
  SECTION_CHECKSUM_AT,
  SECTION_FIRST_AT,
  SECTION_HEADER_BYTES,
  SECTION_PAYLOAD_BYTES_AT,
  SECTION_PAYLOAD_CHECKSUM_AT,
  SECTION_SEQUENCE_AT,
} from './abi'
import { isOutside, isOverlapping } from './bounds'
import { checksumCheck, checksumOf, checksumWhileCopying } from './checksum'

/** The running digest, and behind it what is added next. */
const DIGEST_BYTES: usize = 16
const DIGEST_NEXT_AT: usize = 8

/** Bytes of a header that the checksums do not fill: what a template holds. */
const TEMPLATE_BYTES: usize = SECTION_PAYLOAD_CHECKSUM_AT

/**
 * Completes the section header at `header`: the checksum of `payloadBytes` at `payload`, then the
 * header's own. Copies the payload to `copyTo` and chains the header's checksum into the 16 bytes at
 * `digest`, unless these are 0. Returns 0, EFAULT, or EINVAL (no such kind, or copyTo overlaps).
 */
export function sectionSeal(
  kind: u32,
  header: usize,
  payload: usize,
  payloadBytes: usize,
  copyTo: usize,
  digest: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
): i32 {
  const fault = checksumCheck(kind, xxh3Scratch, crc32cScratch)
  if (fault < 0) return fault
  if (isOutside(header, SECTION_HEADER_BYTES) || isOutside(payload, payloadBytes)) return EFAULT
  if (isOutside(copyTo, copyTo == 0 ? 0 : payloadBytes)) return EFAULT
  if (isOutside(digest, digest == 0 ? 0 : DIGEST_BYTES)) return EFAULT
  if (copyTo != 0 && isOverlapping(copyTo, payloadBytes, payload, payloadBytes)) return EINVAL
  // SAFETY: every range is inside the memory.
  const checksum =
    copyTo == 0
      ? checksumOf(kind, payload, payloadBytes, xxh3Scratch, crc32cScratch)
      : checksumWhileCopying(kind, copyTo, payload, payloadBytes, xxh3Scratch, crc32cScratch, 0, 0)
  seal(kind, header, checksum, digest, xxh3Scratch, crc32cScratch)
  return 0
}

/** Returns 1 when the checksum of `payloadBytes` at `payload` is the 8 bytes at `expected`, 0 when not, EFAULT, or EINVAL. */
export function sectionVerify(
  kind: u32,
  payload: usize,
  payloadBytes: usize,
  expected: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
): i32 {
  const fault = checksumCheck(kind, xxh3Scratch, crc32cScratch)
  if (fault < 0) return fault
  if (isOutside(payload, payloadBytes) || isOutside(expected, 8)) return EFAULT
  return i32(checksumOf(kind, payload, payloadBytes, xxh3Scratch, crc32cScratch) == load<u64>(expected))
}

/**
 * Writes a sealed section for each of `runCount` runs (u32 first page, u32 page count, at `runs`) of the
 * `memoryBytes` at `source`, back to back at `out`: the 24 bytes at `template`, with sequence numbers
 * that count up from its own, and the run's pages; the memory's last page may be short. Stops before the
 * first run for which `outBytes` leave no room. Chains `digest` unless it is 0.
 *
 * Returns how many runs it has written, and at `totals` their bytes and payload bytes, two u32. EFAULT
 * (a run outside the memory, too) or EINVAL (no such kind, no page size, an empty run, or what is written
 * overlaps what is read), and nothing is written.
 */
export function sectionsGather(
  kind: u32,
  template: usize,
  runs: usize,
  runCount: u32,
  source: usize,
  memoryBytes: usize,
  pageBytes: usize,
  out: usize,
  outBytes: usize,
  digest: usize,
  totals: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
): i32 {
  const fault = checksumCheck(kind, xxh3Scratch, crc32cScratch)
  if (fault < 0) return fault
  const runsBytes = (runCount as u64) * RUN_BYTES
  if (isOutside(template, TEMPLATE_BYTES) || isOutside(runs, runsBytes)) return EFAULT
  if (isOutside(source, memoryBytes) || isOutside(out, outBytes) || isOutside(totals, 8)) return EFAULT
  if (isOutside(digest, digest == 0 ? 0 : DIGEST_BYTES)) return EFAULT
  if (pageBytes == 0) return EINVAL
  // Runs that the kernel overwrote would no longer be those it has checked.
  if (isOverlapping(out, outBytes, runs, runsBytes) || isOverlapping(out, outBytes, source, memoryBytes))
    return EINVAL
  if (digest != 0 && isOverlapping(digest, DIGEST_BYTES, runs, runsBytes)) return EINVAL
  const count = fittingRuns(runs, runCount, memoryBytes, pageBytes, outBytes)
  if (count < 0) return count
  // SAFETY: the first `count` runs are inside the memory and their sections inside `out`.
  let at = out
  const sequence = load<u32>(template, SECTION_SEQUENCE_AT)
  for (let n = 0; n < count; n++) {
    const run = runs + n * RUN_BYTES
    const payloadBytes = runBytes(run, memoryBytes, pageBytes) as usize
    memory.copy(at, template, TEMPLATE_BYTES)
    store<u32>(at, sequence + n, SECTION_SEQUENCE_AT)
    store<u32>(at, payloadBytes, SECTION_PAYLOAD_BYTES_AT)
    store<u64>(at, load<u32>(run) as u64, SECTION_FIRST_AT)
    const payload = source + runAt(run, pageBytes)
    const copyTo = at + SECTION_HEADER_BYTES
    // Far apart, the next run is on its way from DRAM while this one is hashed.
    const hasNext = n + 1 < count
    const next = hasNext ? source + runAt(run + RUN_BYTES, pageBytes) : 0
    const nextBytes = hasNext ? (runBytes(run + RUN_BYTES, memoryBytes, pageBytes) as usize) : 0
    const checksum = checksumWhileCopying(
      kind,
      copyTo,
      payload,
      payloadBytes,
      xxh3Scratch,
      crc32cScratch,
      next,
      nextBytes,
    )
    seal(kind, at, checksum, digest, xxh3Scratch, crc32cScratch)
    at = copyTo + payloadBytes
  }
  store<u32>(totals, at - out)
  store<u32>(totals, at - out - count * SECTION_HEADER_BYTES, 4)
  return count
}

/** How many of the runs fit `outBytes` with their headers, or the errno of the first that is none. */
function fittingRuns(runs: usize, runCount: u32, memoryBytes: usize, pageBytes: usize, outBytes: usize): i32 {
  const pageCount = ((memoryBytes as u64) + (pageBytes as u64) - 1) / (pageBytes as u64)
  let room = outBytes as u64
  for (let n: u32 = 0; n < runCount; n++) {
    const run = runs + n * RUN_BYTES
    const pages = load<u32>(run, 4) as u64
    if ((load<u32>(run) as u64) + pages > pageCount) return EFAULT
    if (pages == 0) return EINVAL
    const sectionBytes = runBytes(run, memoryBytes, pageBytes) + SECTION_HEADER_BYTES
    if (sectionBytes > room) return n
    room -= sectionBytes
  }
  return runCount
}

/** Where a run begins in the memory. */
function runAt(run: usize, pageBytes: usize): usize {
  return (load<u32>(run) as usize) * pageBytes
}

/** Bytes of a run's pages, of which the memory's last may be short. */
function runBytes(run: usize, memoryBytes: usize, pageBytes: usize): u64 {
  const before = (load<u32>(run) as u64) * (pageBytes as u64)
  return min((load<u32>(run, 4) as u64) * (pageBytes as u64), (memoryBytes as u64) - before)
}

/** Stores the payload's checksum, then the header's own, and chains the digest. */
function seal(
  kind: u32,
  header: usize,
  payloadChecksum: u64,
  digest: usize,
  xxh3Scratch: usize,
  crc32cScratch: usize,
): void {
  store<u64>(header, payloadChecksum, SECTION_PAYLOAD_CHECKSUM_AT)
  const checksum = checksumOf(kind, header, SECTION_CHECKSUM_AT, xxh3Scratch, crc32cScratch)
  store<u64>(header, checksum, SECTION_CHECKSUM_AT)
  if (digest == 0) return
  store<u64>(digest, checksum, DIGEST_NEXT_AT)
  store<u64>(digest, checksumOf(kind, digest, DIGEST_BYTES, xxh3Scratch, crc32cScratch))
}
