/**
 * The typed kernels over a raw ABI: checks that arguments are the unsigned 32-bit numbers they will
 * be taken for, supplies scratch, and turns a negative errno into the error.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { Kernels } from './engine.ts'
import { CRC32C_SCRATCH_BYTES, KERNEL_EINVAL, LZ4_TABLE_BYTES, XXH3_SCRATCH_BYTES } from './kernel-abi.ts'
import type { KernelAbi } from './kernel-abi.ts'
import type { LayoutFault } from './layout-rows.ts'

/** Bytes of scratch that one instance's kernels take, at the bottom of an engine's memory: a whole page, so that allocations start aligned. */
export const SCRATCH_BYTES = 65536

// What stands where in the scratch.
const CRC32C_OUT_AT = 64
const LAYOUT_FAULT_AT = 96
const XXH3_SCRATCH_AT = 128
const CRC32C_SCRATCH_AT: number = XXH3_SCRATCH_AT + XXH3_SCRATCH_BYTES
// The end of CRC-32C's scratch is work memory, which means nothing between two calls.
const LZ4_TABLE_AT: number = CRC32C_SCRATCH_AT + CRC32C_SCRATCH_BYTES - LZ4_TABLE_BYTES

/** Reason and remedy of an EINVAL. */
const UNKNOWN_ARGUMENT =
  "an argument or a program's op is not one the kernel knows, see the Kernels interface"
const OVERLAP = 'source and destination overlap, pass ranges that share no byte'
const BAD_BLOCK =
  'the block is malformed or holds more than dstBytes, pass what lz4Compress wrote and room for all of it'

/** Kernels that call `abi` over `buffer`, with {@link SCRATCH_BYTES} at `scratch` that nobody else uses. */
export function createKernels(abi: KernelAbi, buffer: ArrayBufferLike, scratch = 0): Kernels {
  const view = new DataView(buffer)
  const crc32cOut = scratch + CRC32C_OUT_AT
  const layoutFault = scratch + LAYOUT_FAULT_AT
  const xxh3Scratch = scratch + XXH3_SCRATCH_AT
  const crc32cScratch = scratch + CRC32C_SCRATCH_AT
  const lz4Table = scratch + LZ4_TABLE_AT

  /** The one place where a kernel's errno becomes an error. */
  function checked(result: number, action: string, invalid = UNKNOWN_ARGUMENT): number {
    if (result >= 0) return result
    if (result === KERNEL_EINVAL) throw new VfioError('EINVAL', `Cannot ${action}: ${invalid}`)
    throw outside(action)
  }

  function outside(action: string): VfioError {
    return new VfioError(
      'EFAULT',
      `Cannot ${action}: a pointer or length lies outside the engine's ${buffer.byteLength} bytes, ` +
        'pass ranges that allocate() returned',
    )
  }

  // WebAssembly would take 2^32 + 5 for 5 and NaN for 0.
  function addresses(action: string, a: number, b: number, c: number, d: number): void {
    if (a >>> 0 !== a || b >>> 0 !== b || c >>> 0 !== c || d >>> 0 !== d) throw outside(action)
  }

  function faultOf(result: number, action: string): LayoutFault | undefined {
    if (checked(result, action) === 0) return undefined
    return { check: view.getUint32(layoutFault, true), offset: view.getUint32(layoutFault + 4, true) }
  }

  checked(abi.xxh3ScratchBuild(xxh3Scratch), 'build scratch')
  checked(abi.crc32cTablesBuild(crc32cScratch), 'build tables')

  return {
    copy(dst, src, byteLength) {
      addresses('copy', dst, src, byteLength, 0)
      checked(abi.memoryCopy(dst, src, byteLength), 'copy')
    },
    xxh3(src, byteLength, out, seedLow = 0, seedHigh = 0) {
      addresses('hash', src, byteLength, out, 0)
      checked(abi.xxh3Hash(src, byteLength, out, seedLow >>> 0, seedHigh >>> 0, xxh3Scratch), 'hash')
    },
    copyXxh3(dst, src, byteLength, out, seedLow = 0, seedHigh = 0) {
      addresses('copy and hash', dst, src, byteLength, out)
      const result = abi.xxh3Copy(dst, src, byteLength, out, seedLow >>> 0, seedHigh >>> 0, xxh3Scratch)
      checked(result, 'copy and hash', OVERLAP)
    },
    xxh3Start(state, seedLow = 0, seedHigh = 0) {
      addresses('start a hash', state, 0, 0, 0)
      checked(abi.xxh3Start(state, seedLow >>> 0, seedHigh >>> 0), 'start a hash')
    },
    xxh3Update(state, src, byteLength) {
      addresses('continue a hash', state, src, byteLength, 0)
      checked(abi.xxh3Update(state, src, byteLength, xxh3Scratch), 'continue a hash')
    },
    xxh3Digest(state, out) {
      addresses('finish a hash', state, out, 0, 0)
      checked(abi.xxh3Digest(state, out, xxh3Scratch), 'finish a hash')
    },
    crc32c(src, byteLength, previous = 0) {
      addresses('checksum', src, byteLength, 0, 0)
      checked(abi.crc32cUpdate(src, byteLength, previous >>> 0, crc32cOut, crc32cScratch), 'checksum')
      return view.getUint32(crc32cOut, true)
    },
    copyCrc32c(dst, src, byteLength, previous = 0) {
      addresses('copy with checksum', dst, src, byteLength, 0)
      checked(
        abi.crc32cCopy(dst, src, byteLength, previous >>> 0, crc32cOut, crc32cScratch),
        'copy with checksum',
        OVERLAP,
      )
      return view.getUint32(crc32cOut, true)
    },
    lz4Compress(src, srcBytes, dst, dstBytes) {
      addresses('compress', src, srcBytes, dst, dstBytes)
      return checked(abi.lz4Compress(src, srcBytes, dst, dstBytes, lz4Table), 'compress')
    },
    lz4Decompress(src, srcBytes, dst, dstBytes) {
      addresses('decompress', src, srcBytes, dst, dstBytes)
      return checked(abi.lz4Decompress(src, srcBytes, dst, dstBytes), 'decompress', BAD_BLOCK)
    },
    zeroPages(src, byteLength, pageBytes, bitmap) {
      addresses('scan for zero pages', src, byteLength, pageBytes, bitmap)
      return checked(abi.zeroPagesScan(src, byteLength, pageBytes, bitmap), 'scan for zero pages')
    },
    diffPages(a, b, byteLength, pageBytes, bitmap) {
      addresses('compare pages', a, b, byteLength, pageBytes)
      addresses('compare pages', bitmap, 0, 0, 0)
      return checked(abi.pagesDiff(a, b, byteLength, pageBytes, bitmap), 'compare pages')
    },
    hashPages(src, byteLength, pageBytes, table) {
      addresses('hash pages', src, byteLength, pageBytes, table)
      checked(abi.pagesHash(src, byteLength, pageBytes, table, xxh3Scratch), 'hash pages')
    },
    changedPages(src, byteLength, pageBytes, table, bitmap) {
      addresses('compare page hashes', src, byteLength, pageBytes, table)
      addresses('compare page hashes', bitmap, 0, 0, 0)
      const result = abi.pagesHashDiff(src, byteLength, pageBytes, table, bitmap, xxh3Scratch)
      return checked(result, 'compare page hashes')
    },
    bitmapRuns(bitmap, firstBit, bitCount, runs, maxRuns) {
      addresses('find runs', bitmap, firstBit, bitCount, runs)
      addresses('find runs', maxRuns, 0, 0, 0)
      return checked(abi.bitmapRunsFind(bitmap, firstBit, bitCount, runs, maxRuns), 'find runs')
    },
    zeroRuns(src, byteLength, pageBytes, firstPage, pageCount, runs, maxRuns) {
      addresses('find zero runs', src, byteLength, pageBytes, firstPage)
      addresses('find zero runs', pageCount, runs, maxRuns, 0)
      const result = abi.zeroRunsFind(src, byteLength, pageBytes, firstPage, pageCount, runs, maxRuns)
      return checked(result, 'find zero runs')
    },
    sectionSeal(kind, header, payload, payloadBytes, copyTo = 0, digest = 0) {
      addresses('seal a section', kind, header, payload, payloadBytes)
      addresses('seal a section', copyTo, digest, 0, 0)
      checked(
        abi.sectionSeal(kind, header, payload, payloadBytes, copyTo, digest, xxh3Scratch, crc32cScratch),
        'seal a section',
      )
    },
    sectionVerify(kind, payload, payloadBytes, expected) {
      addresses('verify a section', kind, payload, payloadBytes, expected)
      const result = abi.sectionVerify(kind, payload, payloadBytes, expected, xxh3Scratch, crc32cScratch)
      return checked(result, 'verify a section') === 1
    },
    sectionsGather(
      kind,
      template,
      runs,
      runCount,
      source,
      memoryBytes,
      pageBytes,
      out,
      outBytes,
      digest,
      totals,
    ) {
      addresses('gather sections', kind, template, runs, runCount)
      addresses('gather sections', source, memoryBytes, pageBytes, out)
      addresses('gather sections', outBytes, digest, totals, 0)
      const result = abi.sectionsGather(
        kind,
        template,
        runs,
        runCount,
        source,
        memoryBytes,
        pageBytes,
        out,
        outBytes,
        digest,
        totals,
        xxh3Scratch,
        crc32cScratch,
      )
      return checked(result, 'gather sections')
    },
    layoutPack(program, programBytes, packed, live) {
      addresses('pack', program, programBytes, packed, live)
      checked(abi.layoutPack(program, programBytes, packed, live), 'pack')
    },
    layoutUnpack(program, programBytes, live, packed) {
      addresses('unpack', program, programBytes, live, packed)
      return faultOf(abi.layoutUnpack(program, programBytes, live, packed, layoutFault), 'unpack')
    },
    layoutValidate(program, programBytes, packed) {
      addresses('validate', program, programBytes, packed, 0)
      return faultOf(abi.layoutValidate(program, programBytes, packed, layoutFault), 'validate')
    },
  }
}
