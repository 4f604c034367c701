/**
 * The kernels' raw ABI, as `assembly/index.ts` exports it and `reference/` repeats it: pointers and
 * lengths are unsigned 32-bit, a result is a count or a negative errno, larger results go through
 * memory.
 *
 * @module
 */

/** Version of the ABI; a module that states another is refused. */
export const ABI_VERSION = 2

/** Bad address, as a kernel returns it. */
export const KERNEL_EFAULT = -14

/** Invalid argument, as a kernel returns it. */
export const KERNEL_EINVAL = -22

/** Bytes of scratch that `xxh3ScratchBuild` makes and the other XXH3 kernels use. */
export const XXH3_SCRATCH_BYTES = 12_800

/** Bytes of the state of a hash in pieces. */
export const XXH3_STATE_BYTES = 1360

/** Scratch of CRC-32C: the tables `crc32cTablesBuild` writes at its front, and work memory. */
export const CRC32C_SCRATCH_BYTES = 35936

/** The hash table `lz4Compress` overwrites. */
export const LZ4_TABLE_BYTES = 16384

/** Kind of a section's checksum: XXH3-64. */
export const CHECKSUM_XXH3 = 0

/** Kind of a section's checksum: CRC-32C, widened to 8 bytes with zeros. */
export const CHECKSUM_CRC32C = 1

/** Bytes of a section header. */
export const SECTION_HEADER_BYTES = 40

/** Offset of the u32 sequence number in a section header. */
export const SECTION_SEQUENCE_AT = 4

/** Offset of the u32 payload length in a section header. */
export const SECTION_PAYLOAD_BYTES_AT = 8

/** Offset of the u64 first page in a section header. */
export const SECTION_FIRST_AT = 16

/** Offset of the payload's checksum in a section header; all before it is a template. */
export const SECTION_PAYLOAD_CHECKSUM_AT = 24

/** Offset of the header's own checksum, over all bytes before it. */
export const SECTION_CHECKSUM_AT = 32

/** The raw kernels; the doc comments of `assembly/` say what each does. */
export interface KernelAbi {
  memoryCopy(dst: number, src: number, length: number): number
  xxh3ScratchBuild(scratch: number): number
  xxh3Hash(
    src: number,
    length: number,
    out: number,
    seedLow: number,
    seedHigh: number,
    scratch: number,
  ): number
  xxh3Copy(
    dst: number,
    src: number,
    length: number,
    out: number,
    seedLow: number,
    seedHigh: number,
    scratch: number,
  ): number
  xxh3Start(state: number, seedLow: number, seedHigh: number): number
  xxh3Update(state: number, src: number, length: number, scratch: number): number
  xxh3Digest(state: number, out: number, scratch: number): number
  crc32cTablesBuild(scratch: number): number
  crc32cUpdate(src: number, length: number, previous: number, out: number, scratch: number): number
  crc32cCopy(dst: number, src: number, length: number, previous: number, out: number, scratch: number): number
  lz4Compress(src: number, length: number, dst: number, capacity: number, table: number): number
  lz4Decompress(src: number, length: number, dst: number, capacity: number): number
  zeroPagesScan(src: number, length: number, pageBytes: number, bitmap: number): number
  zeroRunsFind(
    src: number,
    length: number,
    pageBytes: number,
    firstPage: number,
    pageCount: number,
    runs: number,
    maxRuns: number,
  ): number
  pagesDiff(a: number, b: number, length: number, pageBytes: number, bitmap: number): number
  pagesHash(src: number, length: number, pageBytes: number, table: number, scratch: number): number
  pagesHashDiff(
    src: number,
    length: number,
    pageBytes: number,
    table: number,
    bitmap: number,
    scratch: number,
  ): number
  bitmapRunsFind(bitmap: number, firstBit: number, bitCount: number, runs: number, maxRuns: number): number
  sectionSeal(
    kind: number,
    header: number,
    payload: number,
    payloadBytes: number,
    copyTo: number,
    digest: number,
    xxh3Scratch: number,
    crc32cScratch: number,
  ): number
  sectionVerify(
    kind: number,
    payload: number,
    payloadBytes: number,
    expected: number,
    xxh3Scratch: number,
    crc32cScratch: number,
  ): number
  sectionsGather(
    kind: number,
    template: number,
    runs: number,
    runCount: number,
    source: number,
    memoryBytes: number,
    pageBytes: number,
    out: number,
    outBytes: number,
    digest: number,
    totals: number,
    xxh3Scratch: number,
    crc32cScratch: number,
  ): number
  layoutPack(program: number, programBytes: number, packed: number, live: number): number
  layoutUnpack(program: number, programBytes: number, live: number, packed: number, out: number): number
  layoutValidate(program: number, programBytes: number, packed: number, out: number): number
}
