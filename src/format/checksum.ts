/**
 * The checksums of a stream: 8 bytes each, XXH3-64 or CRC-32C widened with zeros, and the digest
 * that chains the section headers, so that the end needs no pass over the memory.
 *
 * @module
 */

import { CHECKSUM_CRC32C, CHECKSUM_XXH3, type Engine, type KernelSpace } from '../engine/index.ts'
import type { ChecksumKind } from './header.ts'

/** Bytes of a checksum in a stream. */
export const CHECKSUM_BYTES = 8

/** The number by which kernels know a kind of checksum. */
export function checksumNumber(kind: ChecksumKind): number {
  return kind === 'xxh3' ? CHECKSUM_XXH3 : CHECKSUM_CRC32C
}

/** Stores the checksum of `byteLength` bytes at `src` as 8 bytes at `out`, both in the memory of `engine`. */
export function storeChecksum(
  engine: KernelSpace,
  kind: ChecksumKind,
  src: number,
  byteLength: number,
  out: number,
): void {
  if (kind === 'xxh3') {
    engine.kernels.xxh3(src, byteLength, out)
    return
  }
  storeCrc32c(engine, engine.kernels.crc32c(src, byteLength), out)
}

/** {@link storeChecksum} of bytes that are copied to `dst` in the same pass; the ranges must not overlap. */
export function storeChecksumOfCopy(
  engine: Engine,
  kind: ChecksumKind,
  dst: number,
  src: number,
  byteLength: number,
  out: number,
): void {
  if (kind === 'xxh3') engine.kernels.copyXxh3(dst, src, byteLength, out)
  else storeCrc32c(engine, engine.kernels.copyCrc32c(dst, src, byteLength), out)
}

function storeCrc32c(engine: KernelSpace, crc: number, out: number): void {
  const view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + out, CHECKSUM_BYTES)
  view.setUint32(0, crc, true)
  view.setUint32(4, 0, true)
}

/** True when the 8 bytes at `a` and at `b` are equal. */
export function sameChecksum(engine: Engine, a: number, b: number): boolean {
  for (let i = 0; i < CHECKSUM_BYTES; i++) if (engine.bytes[a + i] !== engine.bytes[b + i]) return false
  return true
}

/**
 * The chained digest, kept in 16 bytes of engine memory at `pointer`:
 * `digest = checksum(digest || section header checksum)`, starting from the stream header's checksum.
 */
export class Digest {
  readonly #engine: Engine
  readonly #kind: ChecksumKind
  readonly #pointer: number

  constructor(engine: Engine, kind: ChecksumKind, pointer: number, headerChecksum: number) {
    this.#engine = engine
    this.#kind = kind
    this.#pointer = pointer
    engine.bytes.copyWithin(pointer, headerChecksum, headerChecksum + CHECKSUM_BYTES)
  }

  /** Where the digest stands, 8 bytes. */
  get pointer(): number {
    return this.#pointer
  }

  /** Adds the section header checksum at `sectionChecksum`. */
  add(sectionChecksum: number): void {
    const { bytes } = this.#engine
    bytes.copyWithin(this.#pointer + CHECKSUM_BYTES, sectionChecksum, sectionChecksum + CHECKSUM_BYTES)
    storeChecksum(this.#engine, this.#kind, this.#pointer, 2 * CHECKSUM_BYTES, this.#pointer)
  }
}
