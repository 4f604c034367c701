/**
 * The ABI: raw pointers and lengths in bytes go in, a count or a negative errno comes out, larger
 * results go through memory. Nothing here allocates, throws or keeps state; the memory is imported,
 * and scratch is wherever the host says.
 *
 * @module
 */

export {
  ABI_VERSION,
  CHECKSUM_CRC32C,
  CHECKSUM_XXH3,
  CRC32C_SCRATCH_BYTES,
  EFAULT,
  EINVAL,
  LAYOUT_CHECK_BYTES,
  LAYOUT_GROUP_BYTES,
  LAYOUT_OP_BYTES,
  LZ4_TABLE_BYTES,
  RUN_BYTES,
  SECTION_CHECKSUM_AT,
  SECTION_FIRST_AT,
  SECTION_HEADER_BYTES,
  SECTION_PAYLOAD_BYTES_AT,
  SECTION_PAYLOAD_CHECKSUM_AT,
  SECTION_SEQUENCE_AT,
  SIMD_BUILD,
  XXH3_SCRATCH_BYTES,
  XXH3_STATE_BYTES,
  ZERO_RUN_FLAG,
} from './abi'
export { bitmapRunsFind } from './bitmap'
export { memoryCopy } from './copy'
export { crc32cCopy, crc32cTablesBuild, crc32cUpdate } from './crc32c'
export { pagesDiff } from './diff'
export { sectionSeal, sectionVerify, sectionsGather } from './frame'
export { layoutPack, layoutUnpack, layoutValidate } from './layout'
export { pagesHash, pagesHashDiff } from './page-hash'
export { lz4Compress } from './lz4-compress'
export { lz4Decompress } from './lz4-decompress'
export { zeroPagesScan, zeroRunsFind } from './pages'
export { xxh3Copy, xxh3Hash } from './xxh3'
export { xxh3ScratchBuild } from './xxh3-scratch'
export { xxh3Digest, xxh3Start, xxh3Update } from './xxh3-stream'
