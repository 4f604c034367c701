/**
 * The ABI: raw pointers and lengths in bytes go in, a count or a negative errno comes out, larger
 * results go through memory. Nothing here allocates, throws or keeps state; the memory is imported,
 * and scratch is wherever the host says.
 *
 * @module
 */

export {
  ABI_VERSION,
  CRC32C_SCRATCH_BYTES,
  EFAULT,
  EINVAL,
  LAYOUT_CHECK_BYTES,
  LAYOUT_GROUP_BYTES,
  LAYOUT_OP_BYTES,
  RUN_BYTES,
  SIMD_BUILD,
  XXH3_SCRATCH_BYTES,
  XXH3_STATE_BYTES,
  ZERO_RUN_FLAG,
} from './abi'
export { bitmapRunsFind } from './bitmap'
export { memoryCopy } from './copy'
export { crc32cCopy, crc32cTablesBuild, crc32cUpdate } from './crc32c'
export { pagesDiff } from './diff'
export { layoutPack, layoutUnpack, layoutValidate } from './layout'
export { pagesHash, pagesHashDiff } from './page-hash'
export { zeroPagesScan, zeroRunsFind } from './pages'
export { xxh3Copy, xxh3Hash } from './xxh3'
export { xxh3ScratchBuild } from './xxh3-scratch'
export { xxh3Digest, xxh3Start, xxh3Update } from './xxh3-stream'
