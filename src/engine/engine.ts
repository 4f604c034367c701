/**
 * What the rest of the package sees of the engine: one linear memory, its allocator, and kernels
 * that work on it by pointer.
 *
 * @module
 */

import type { LayoutFault } from './layout-rows.ts'

/** 'simd' and 'baseline' are WebAssembly builds of one source; 'reference' is plain TypeScript. */
export type EngineVariant = 'simd' | 'baseline' | 'reference'

/**
 * Kernels over the engine's memory. Pointers and lengths are in bytes, offsets into
 * `engine.bytes`. A pointer or length outside the memory throws EFAULT and touches nothing. Outputs
 * must not overlap inputs, except in `copy`.
 */
export interface Kernels {
  /** Copies `byteLength` bytes; the ranges may overlap. */
  copy(dst: number, src: number, byteLength: number): void
  /** XXH3-64 of the bytes, stored as 8 little-endian bytes at `out`. The seed comes as two u32 halves. */
  xxh3(src: number, byteLength: number, out: number, seedLow?: number, seedHigh?: number): void
  /**
   * Copies `byteLength` bytes from `src` to `dst` and stores their XXH3-64 at `out`, in one pass over
   * the memory. EINVAL when the ranges overlap.
   */
  copyXxh3(
    dst: number,
    src: number,
    byteLength: number,
    out: number,
    seedLow?: number,
    seedHigh?: number,
  ): void
  /**
   * Begins an XXH3-64 of bytes that come in pieces, in the {@link XXH3_STATE_BYTES} at `state`. The
   * state holds no pointer: it can be moved, copied and shared.
   */
  xxh3Start(state: number, seedLow?: number, seedHigh?: number): void
  /** Adds the bytes to the hash in `state`; any segmentation gives the hash of the whole. */
  xxh3Update(state: number, src: number, byteLength: number): void
  /** Stores the hash of all bytes so far at `out`, as `xxh3` does; more may follow. */
  xxh3Digest(state: number, out: number): void
  /** CRC-32C (Castagnoli) of the bytes; `previous` is the result over the bytes before them. Unsigned. */
  crc32c(src: number, byteLength: number, previous?: number): number
  /**
   * Copies the bytes and returns their CRC-32C, each piece read from memory once. EINVAL when the ranges
   * overlap.
   */
  copyCrc32c(dst: number, src: number, byteLength: number, previous?: number): number
  /**
   * Writes `srcBytes` bytes as one LZ4 block to `dst` and returns its length, or 0 when that exceeds
   * `dstBytes`: what does not shrink is sent as it is. The rest of `dst` may be overwritten, too.
   */
  lz4Compress(src: number, srcBytes: number, dst: number, dstBytes: number): number
  /**
   * Writes the bytes of the LZ4 block of `srcBytes` bytes to `dst` and returns how many they are.
   * EINVAL when the block is malformed or holds more than `dstBytes`; any block may come from a
   * stranger. The rest of `dst` may be overwritten, too.
   */
  lz4Decompress(src: number, srcBytes: number, dst: number, dstBytes: number): number
  /**
   * Sets bit n of the bitmap at `bitmap` (bit n is bit n % 8 of byte n / 8) when page n of the bytes
   * is all zero and clears it otherwise; whole bytes are written. The last page may be short.
   * Returns how many pages are zero. EINVAL when `pageBytes` is 0.
   */
  zeroPages(src: number, byteLength: number, pageBytes: number, bitmap: number): number
  /**
   * Sets the bit of each page in which the `byteLength` bytes at `a` and at `b` differ; other bits stay,
   * and a page whose bit is set is not looked at. Returns how many bits it set. The last page may be
   * short. EINVAL when `pageBytes` is 0.
   */
  diffPages(a: number, b: number, byteLength: number, pageBytes: number, bitmap: number): number
  /**
   * Stores XXH3-64 (seed 0) of each page of the `byteLength` bytes at `src`, 8 little-endian bytes per
   * page at `table`. The last page may be short. EINVAL when `pageBytes` is 0.
   */
  hashPages(src: number, byteLength: number, pageBytes: number, table: number): void
  /**
   * Sets the bit of each page whose hash is not the one that {@link hashPages} stored in `table`, which
   * stays as it is; otherwise like {@link diffPages}.
   */
  changedPages(src: number, byteLength: number, pageBytes: number, table: number, bitmap: number): number
  /**
   * The runs of set bits among `bitCount` bits from `firstBit` on of the bitmap at `bitmap`, as pairs
   * (u32 first, u32 count) at `runs`, which has room for `maxRuns` of {@link RUN_BYTES}; returns how
   * many. When it returns `maxRuns` there may be more: go on after the end of the last one. What the
   * room holds beyond the runs returned is undefined afterwards.
   */
  bitmapRuns(bitmap: number, firstBit: number, bitCount: number, runs: number, maxRuns: number): number
  /**
   * Splits `pageCount` pages from `firstPage` on of the `byteLength` bytes at `src` into runs of zero
   * and of other pages: pairs (u32 first, u32 count, or-ed with {@link ZERO_RUN_FLAG} when zero) at
   * `runs`, at most `maxRuns`; returns how many. Each is as long as it can be within the pages asked
   * for; when the last does not reach their end, go on after it. The last page of the bytes may be
   * short. EFAULT for pages past `byteLength`, EINVAL when `pageBytes` is 0 or `pageCount` over 2^31 - 1.
   */
  zeroRuns(
    src: number,
    byteLength: number,
    pageBytes: number,
    firstPage: number,
    pageCount: number,
    runs: number,
    maxRuns: number,
  ): number
  /**
   * Completes the 40-byte section header at `header`, of which all but the checksums is there: stores
   * the checksum of `payloadBytes` at `payload`, then the header's own. Unless they are 0, also copies
   * the payload to `copyTo`, in the same pass, and chains the header's checksum into the running digest:
   * 16 bytes at `digest`, of which the first 8 are the digest and the others scratch.
   *
   * `kind` is {@link CHECKSUM_XXH3} or {@link CHECKSUM_CRC32C}. EINVAL for another, and when `copyTo`
   * overlaps the payload.
   */
  sectionSeal(
    kind: number,
    header: number,
    payload: number,
    payloadBytes: number,
    copyTo?: number,
    digest?: number,
  ): void
  /** True when the checksum of the payload is the 8 bytes at `expected`. EINVAL for a kind that is none. */
  sectionVerify(kind: number, payload: number, payloadBytes: number, expected: number): boolean
  /**
   * Writes one sealed section for each of `runCount` runs of pages (as `bitmapRuns` stores them, at
   * `runs`) of the `memoryBytes` at `source`, back to back at `out`: a header with the 24 bytes at
   * `template`, in which sequence number (counting up from the template's), payload length and first
   * page are filled in, and the run's pages. The memory's last page may be short. Stops before the first
   * run for which the `outBytes` leave no room. Chains `digest` as `sectionSeal` does, unless it is 0.
   *
   * Returns how many runs it wrote, and at `totals` two u32: bytes written, and bytes of payload among
   * them. EFAULT also for a run that reaches outside `memoryBytes`, EINVAL for an empty one, no page
   * size, a kind that is none, or an output that overlaps runs or memory; then nothing is written. Runs
   * behind the one it stops at are not looked at.
   */
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
  ): number
  /**
   * Live layout to packed stream: runs the program of `programBytes` bytes at `program` (drawn in
   * `layout-rows.ts`), all of it checked before the first op moves a byte. EFAULT also for an op that
   * would overwrite the program, EINVAL for rows that make no sense. The program's checks do not run.
   */
  layoutPack(program: number, programBytes: number, packed: number, live: number): void
  /**
   * Packed stream to live layout: the same ops the other way, each block of records checked before it
   * moves. Returns the first check that failed, undefined when none did; then blocks before it have moved.
   */
  layoutUnpack(program: number, programBytes: number, live: number, packed: number): LayoutFault | undefined
  /** The program's checks alone: the first that `packed` fails, undefined when it passes all. */
  layoutValidate(program: number, programBytes: number, packed: number): LayoutFault | undefined
}

/** One run that a kernel writes, little endian: u32 first, u32 count. */
export const RUN_BYTES = 8

/** The bit of a run's count that says its pages are all zero; as a signed word, so that `count & ZERO_RUN_FLAG` is this or 0. */
export const ZERO_RUN_FLAG = -0x80000000

/** Bytes of engine memory that the state of an XXH3-64 in pieces takes; best at a multiple of 16. */
export { XXH3_STATE_BYTES } from './kernel-abi.ts'

/** Kinds of checksum that a section can carry. */
export { CHECKSUM_CRC32C, CHECKSUM_XXH3 } from './kernel-abi.ts'

/** A shared engine's memory and code, as they go to another thread by `postMessage`. */
export interface EngineShare {
  /** What its kernels are. */
  readonly variant: EngineVariant
  /** A shared `WebAssembly.Memory`; of the reference variant, its `SharedArrayBuffer`. */
  readonly memory: object
  /** The compiled `WebAssembly.Module`; none in the reference variant. */
  readonly module?: object
}

/** One WebAssembly instance with one linear memory, sized once and never grown. */
export interface Engine {
  /** What its kernels are. */
  readonly variant: EngineVariant
  /** What works on its memory. */
  readonly kernels: Kernels
  /** The whole linear memory; the view stays valid for the engine's life. */
  readonly bytes: Uint8Array
  /** Bytes that devices can allocate in all. */
  readonly memoryBytes: number
  /** Bytes allocated now. */
  readonly allocatedBytes: number
  /** Whether the memory is a SharedArrayBuffer that other threads can work on. */
  readonly shared: boolean
  /** What another thread needs for kernels over this memory; undefined unless {@link shared}. */
  readonly share: EngineShare | undefined
  /**
   * Takes `byteLength` zeroed bytes and returns their pointer, a multiple of `alignment`
   * (a power of two, default 16). 0 bytes are pointer 0, which takes nothing. ENOMEM when they do not
   * fit, and nothing changed; EINVAL for a length or alignment that is none.
   */
  allocate(byteLength: number, alignment?: number): number
  /** Gives back what `allocate` returned, 0 included. EINVAL for any other pointer. */
  free(pointer: number): void
}
