/**
 * The plain-TypeScript twin of the kernels: the same ABI over a plain array buffer, for hosts without
 * WebAssembly and as the yardstick of the tests.
 *
 * @module
 */

import {
  CRC32C_SCRATCH_BYTES,
  KERNEL_EFAULT,
  KERNEL_EINVAL,
  XXH3_SCRATCH_BYTES,
  XXH3_STATE_BYTES,
} from '../kernel-abi.ts'
import type { KernelAbi } from '../kernel-abi.ts'
import { bitmapRunsFind } from './bitmap.ts'
import { isOutside, isOverlapping } from './bounds.ts'
import { crc32c } from './crc32c.ts'
import { pagesDiff } from './diff.ts'
import { sectionSeal, sectionVerify, sectionsGather } from './frame.ts'
import { layoutPack, layoutUnpack, layoutValidate } from './layout.ts'
import { lz4Compress, lz4Decompress } from './lz4.ts'
import { pagesHash, pagesHashDiff } from './page-hash.ts'
import { zeroPagesScan, zeroRunsFind } from './pages.ts'
import { digestXxh3, startXxh3, updateXxh3 } from './xxh3-stream.ts'
import { xxh3 } from './xxh3.ts'

/** Kernels over `bytes`, which cover their whole buffer. */
export function createReferenceKernels(bytes: Uint8Array): KernelAbi {
  const view = new DataView(bytes.buffer)
  const outside = (pointer: number, byteLength: number): boolean =>
    isOutside(bytes.length, pointer, byteLength)
  const scratchOutside = (xxh3Scratch: number, crc32cScratch: number): boolean =>
    outside(xxh3Scratch, XXH3_SCRATCH_BYTES) || outside(crc32cScratch, CRC32C_SCRATCH_BYTES)
  return {
    memoryCopy(dst, src, length) {
      if (outside(dst, length) || outside(src, length)) return KERNEL_EFAULT
      bytes.copyWithin(dst, src, src + length)
      return 0
    },
    // The twin keeps its secret and sums on the JavaScript side.
    xxh3ScratchBuild: (scratch) => (outside(scratch, XXH3_SCRATCH_BYTES) ? KERNEL_EFAULT : 0),
    xxh3Hash(src, length, out, seedLow, seedHigh, scratch) {
      if (outside(src, length) || outside(out, 8) || outside(scratch, XXH3_SCRATCH_BYTES))
        return KERNEL_EFAULT
      view.setBigUint64(out, xxh3(view, src, length, seedOf(seedLow, seedHigh)), true)
      return 0
    },
    xxh3Copy(dst, src, length, out, seedLow, seedHigh, scratch) {
      if (outside(dst, length) || outside(src, length)) return KERNEL_EFAULT
      if (outside(out, 8) || outside(scratch, XXH3_SCRATCH_BYTES)) return KERNEL_EFAULT
      if (isOverlapping(dst, length, src, length)) return KERNEL_EINVAL
      bytes.copyWithin(dst, src, src + length)
      view.setBigUint64(out, xxh3(view, src, length, seedOf(seedLow, seedHigh)), true)
      return 0
    },
    xxh3Start(state, seedLow, seedHigh) {
      if (outside(state, XXH3_STATE_BYTES)) return KERNEL_EFAULT
      startXxh3(view, state, seedOf(seedLow, seedHigh))
      return 0
    },
    xxh3Update(state, src, length, scratch) {
      if (outside(state, XXH3_STATE_BYTES) || outside(src, length)) return KERNEL_EFAULT
      if (outside(scratch, XXH3_SCRATCH_BYTES)) return KERNEL_EFAULT
      updateXxh3(view, state, src, length)
      return 0
    },
    xxh3Digest(state, out, scratch) {
      if (outside(state, XXH3_STATE_BYTES) || outside(out, 8)) return KERNEL_EFAULT
      if (outside(scratch, XXH3_SCRATCH_BYTES)) return KERNEL_EFAULT
      view.setBigUint64(out, digestXxh3(view, state), true)
      return 0
    },
    // The twin keeps its tables on the JavaScript side.
    crc32cTablesBuild: (scratch) => (outside(scratch, CRC32C_SCRATCH_BYTES) ? KERNEL_EFAULT : 0),
    crc32cUpdate(src, length, previous, out, scratch) {
      if (outside(src, length) || outside(out, 4) || outside(scratch, CRC32C_SCRATCH_BYTES))
        return KERNEL_EFAULT
      view.setUint32(out, crc32c(bytes, src, length, previous), true)
      return 0
    },
    crc32cCopy(dst, src, length, previous, out, scratch) {
      if (outside(dst, length) || outside(src, length)) return KERNEL_EFAULT
      if (outside(out, 4) || outside(scratch, CRC32C_SCRATCH_BYTES)) return KERNEL_EFAULT
      if (Math.abs(dst - src) < length) return KERNEL_EINVAL
      bytes.copyWithin(dst, src, src + length)
      view.setUint32(out, crc32c(bytes, src, length, previous), true)
      return 0
    },
    lz4Compress: (src, length, dst, capacity, table) =>
      lz4Compress(bytes, view, src, length, dst, capacity, table),
    lz4Decompress: (src, length, dst, capacity) => lz4Decompress(bytes, src, length, dst, capacity),
    zeroPagesScan: (src, length, pageBytes, bitmap) => zeroPagesScan(bytes, src, length, pageBytes, bitmap),
    zeroRunsFind: (src, length, pageBytes, firstPage, pageCount, runs, maxRuns) =>
      zeroRunsFind(bytes, view, src, length, pageBytes, firstPage, pageCount, runs, maxRuns),
    pagesDiff: (a, b, length, pageBytes, bitmap) => pagesDiff(bytes, a, b, length, pageBytes, bitmap),
    pagesHash: (src, length, pageBytes, table, scratch) =>
      outside(scratch, XXH3_SCRATCH_BYTES) ? KERNEL_EFAULT : pagesHash(view, src, length, pageBytes, table),
    pagesHashDiff: (src, length, pageBytes, table, bitmap, scratch) =>
      outside(scratch, XXH3_SCRATCH_BYTES)
        ? KERNEL_EFAULT
        : pagesHashDiff(view, src, length, pageBytes, table, bitmap),
    bitmapRunsFind: (bitmap, firstBit, bitCount, runs, maxRuns) =>
      bitmapRunsFind(view, bitmap, firstBit, bitCount, runs, maxRuns),
    sectionSeal: (kind, header, payload, payloadBytes, copyTo, digest, xxh3Scratch, crc32cScratch) =>
      scratchOutside(xxh3Scratch, crc32cScratch)
        ? KERNEL_EFAULT
        : sectionSeal(view, kind, header, payload, payloadBytes, copyTo, digest),
    sectionVerify: (kind, payload, payloadBytes, expected, xxh3Scratch, crc32cScratch) =>
      scratchOutside(xxh3Scratch, crc32cScratch)
        ? KERNEL_EFAULT
        : sectionVerify(view, kind, payload, payloadBytes, expected),
    sectionsGather: (
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
    ) =>
      scratchOutside(xxh3Scratch, crc32cScratch)
        ? KERNEL_EFAULT
        : sectionsGather(
            view,
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
          ),
    layoutPack: (program, programBytes, packed, live) =>
      layoutPack(view, program, programBytes, packed, live),
    layoutUnpack: (program, programBytes, live, packed, out) =>
      layoutUnpack(view, program, programBytes, live, packed, out),
    layoutValidate: (program, programBytes, packed, out) =>
      layoutValidate(view, program, programBytes, packed, out),
  }
}

function seedOf(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}
