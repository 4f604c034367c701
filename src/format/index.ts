/**
 * The checked migration stream: specified in README.md beside this file.
 *
 * @module
 */

export { crc32cOfBytes } from '../engine/index.ts'
export { CHECKSUM_BYTES, sameChecksum, storeChecksum } from './checksum.ts'
export {
  type Configuration,
  configurationDifference,
  configurationFingerprint,
  type ConfigurationValue,
  decodeConfiguration,
  encodeConfiguration,
} from './configuration.ts'
export { declareRegions, MAX_MEMORY_BYTES, MAX_REGIONS, type RegionDeclaration } from './coverage.ts'
export { type ChecksumKind, HEADER_BYTES, PAGE_BYTES, type StreamHeader, TYPE_BYTES } from './header.ts'
export { OpaqueWriter, openReader } from './open.ts'
export { StreamReader } from './reader.ts'
export {
  COMPRESSED_PREFIX_BYTES,
  END_PAYLOAD_BYTES,
  FRAME_BYTES,
  SECTION_HEADER_BYTES,
  type SectionHeader,
  Tag,
  setSafeUint64,
  tagName,
  ZERO_PAYLOAD_BYTES,
} from './section.ts'
export { StreamFault } from './stream-fault.ts'
export type { PlacedPayload, StreamHandler } from './stream-handler.ts'
export { type SectionPlan, StreamWriter } from './writer.ts'
