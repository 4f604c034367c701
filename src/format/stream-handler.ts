/**
 * What the owner of a stream reader does with the stream.
 *
 * @module
 */

import type { Configuration } from './configuration.ts'
import type { ChecksumKind, StreamHeader } from './header.ts'
import type { SectionHeader } from './section.ts'

/** What a reader tells its owner. Every method may throw a `StreamFault` to refuse the stream. */
export interface StreamHandler {
  /** The stream header, verified. */
  header?(header: StreamHeader): void
  /** The configuration, verified; memory regions and `state.bytes` have been bounded. */
  configuration?(configuration: Configuration): void
  /**
   * Where a STATE, PAGES or OPAQUE payload belongs: a pointer with room for `section.payloadBytes`
   * (the section is within the declared bounds), or undefined for a buffer of the reader's.
   * A payload placed so is verified *after* it landed. A PAGES_LZ4 section is asked for as the longest
   * PAGES section that it can stand for; its pages land *after* they were verified.
   */
  place?(section: SectionHeader): number | undefined
  /**
   * May take over the verification of a STATE, PAGES or OPAQUE payload, with its copy from `source` to
   * `target` where they differ; false leaves it to the reader. What it finds later it tells with
   * `StreamReader.refuse`, and only after that the stream may be used.
   */
  verify?(payload: PlacedPayload): boolean
  /**
   * The payload at `pointer` is verified, or `verify` took it over. Not called for CONFIG and END. A
   * PAGES_LZ4 section is told as the PAGES section that it stands for; of a reader that does not verify
   * payloads, its pages are nowhere.
   */
  payload?(section: SectionHeader, pointer: number): void
  /** A section begins at this offset; its header is verified. */
  section?(section: SectionHeader, offset: number): void
  /** The END section is verified: nothing is missing. */
  complete?(): void
}

/** A payload where its handler placed it, not verified yet. */
export interface PlacedPayload {
  readonly section: SectionHeader
  /** Offset of the section in the stream. */
  readonly offset: number
  readonly kind: ChecksumKind
  /** Where its bytes are, and where they belong; the same when they arrived there. */
  readonly source: number
  readonly target: number
  /** Where the 8 bytes of its checksum stand, until the verification is taken over. */
  readonly expected: number
}
