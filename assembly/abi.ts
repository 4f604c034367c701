/**
 * Numbers both sides of the ABI need. `index.ts` exports them and a test compares them with
 * `src/engine/kernel-abi.ts`.
 *
 * @module
 */

/** Raised when an export changes its meaning; the host refuses a module with another number. */
export const ABI_VERSION: i32 = 2

/** 1 in the build whose kernels use 128-bit vectors. */
export const SIMD_BUILD: i32 = i32(ASC_FEATURE_SIMD)

/** Bad address, as a kernel returns it: a range reaches outside the memory. */
export const EFAULT: i32 = -14

/** Invalid argument, as a kernel returns it. */
export const EINVAL: i32 = -22

/** Scratch of the XXH3 kernels, made by `xxh3ScratchBuild`; drawn in `xxh3-scratch.ts`. */
export const XXH3_SCRATCH_BYTES: i32 = 12800

/** State of a hash in pieces; drawn in `xxh3-stream.ts`. */
export const XXH3_STATE_BYTES: i32 = 1360

/** Scratch of CRC-32C: the eight tables `crc32cTablesBuild` writes (8 KiB) and folding's work memory. */
export const CRC32C_SCRATCH_BYTES: i32 = 35936

/** One run: u32 first, u32 count. */
export const RUN_BYTES: i32 = 8

/** Bit 31 of a run's count: its pages are all zero. */
export const ZERO_RUN_FLAG: i32 = 1 << 31

/** Head of a group of a layout program; drawn in `src/engine/layout-rows.ts`. */
export const LAYOUT_GROUP_BYTES: i32 = 24

/** One op of a layout program; drawn in `src/engine/layout-rows.ts`. */
export const LAYOUT_OP_BYTES: i32 = 32

/** One check of a layout program; drawn in `src/engine/layout-rows.ts`. */
export const LAYOUT_CHECK_BYTES: i32 = 40

/** The hash table `lz4Compress` overwrites: 4096 offsets of 32 bits. */
export const LZ4_TABLE_BYTES: i32 = 16384

/** The checksums a section can carry: XXH3-64, or CRC-32C widened with zeros. */
export const CHECKSUM_XXH3: i32 = 0
export const CHECKSUM_CRC32C: i32 = 1

/** Bytes of a section header, and offsets in it; `src/format/section.ts` draws it. */
export const SECTION_HEADER_BYTES: i32 = 40
export const SECTION_SEQUENCE_AT: i32 = 4
export const SECTION_PAYLOAD_BYTES_AT: i32 = 8
export const SECTION_FIRST_AT: i32 = 16
export const SECTION_PAYLOAD_CHECKSUM_AT: i32 = 24
export const SECTION_CHECKSUM_AT: i32 = 32
