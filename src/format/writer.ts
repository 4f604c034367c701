/**
 * Writes the checked stream: gives out headers, never copies a payload.
 *
 * The caller puts `header()`, then for each section the result of `section()` followed by the
 * payload bytes themselves, then `end()` on the wire.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { CHECKSUM_BYTES, checksumNumber, storeChecksum } from './checksum.ts'
import {
  encodeHeader,
  HEADER_BYTES,
  HEADER_CHECKSUM_OFFSET,
  PAGE_BYTES,
  type StreamHeader,
} from './header.ts'
import {
  encodeSection,
  END_PAYLOAD_BYTES,
  PAYLOAD_CHECKSUM_OFFSET,
  SECTION_CHECKSUM_OFFSET,
  SECTION_HEADER_BYTES,
  SECTION_MANDATORY,
  setSafeUint64,
  Tag,
} from './section.ts'

const SECTION_AT = 0
const DIGEST_AT = 64
const TOTALS_AT = 80
const DIGEST_BEFORE_AT = 88
const HEADER_AT = 128
const SCRATCH_BYTES = HEADER_AT + HEADER_BYTES

/** A section to write; its payload lies in engine memory. */
export interface SectionPlan {
  readonly tag: number
  readonly payload: number
  readonly payloadBytes: number
  /** Memory region of PAGES and ZERO. */
  readonly region?: number
  /** First page (PAGES, ZERO) or byte offset (STATE, OPAQUE). */
  readonly first?: number
}

/** Runs of pages that become PAGES sections, back to back. */
export interface GatherPlan {
  readonly region: number
  /** The region's memory. */
  readonly memory: number
  readonly memoryBytes: number
  /** Pairs of u32: first page, pages; none longer than a frame. */
  readonly runs: number
  readonly runCount: number
  /** Where the sections go, and for how many bytes there is room. */
  readonly out: number
  readonly outBytes: number
}

/** One stream being written; a pure state machine that holds 256 bytes of engine memory. */
export class StreamWriter {
  readonly #engine: Engine
  readonly #header: Omit<StreamHeader, 'formatVersion'>
  readonly #scratch: number
  readonly #view: DataView
  readonly #kind: number
  #sequence = 0
  #payloadBytes = 0

  /** Takes 256 bytes from the engine: ENOMEM when it has none. */
  constructor(engine: Engine, header: Omit<StreamHeader, 'formatVersion'>) {
    this.#engine = engine
    this.#header = header
    this.#kind = checksumNumber(header.checksum)
    this.#scratch = engine.allocate(SCRATCH_BYTES)
    this.#view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + this.#scratch, SCRATCH_BYTES)
  }

  /** The stream's first 128 bytes. EINVAL when the type does not fit. */
  header(): Uint8Array {
    const at = this.#scratch + HEADER_AT
    encodeHeader(this.#engine.bytes.subarray(at, at + HEADER_BYTES), this.#header)
    const checksum = at + HEADER_CHECKSUM_OFFSET
    storeChecksum(this.#engine, this.#header.checksum, at, HEADER_CHECKSUM_OFFSET, checksum)
    // The digest over the section headers starts from the stream header's checksum.
    this.#engine.bytes.copyWithin(this.#scratch + DIGEST_AT, checksum, checksum + CHECKSUM_BYTES)
    return this.#copy(at, HEADER_BYTES)
  }

  /**
   * The 40 bytes that go before the payload; checksums the payload where it lies, unless the 8 bytes of its
   * checksum stand at `checksum` already.
   */
  section(plan: SectionPlan, checksum?: number): Uint8Array {
    const at = this.#scratch + SECTION_AT
    this.#keepDigest()
    this.#encode(plan)
    if (checksum === undefined) this.#seal(plan, at, 0)
    else this.#sealWith(plan, at, checksum)
    return this.#copy(at, SECTION_HEADER_BYTES)
  }

  /** Takes the last {@link section} or {@link sectionTo} back: it will not be sent. */
  retract({ payloadBytes }: SectionPlan): void {
    const before = this.#scratch + DIGEST_BEFORE_AT
    this.#engine.bytes.copyWithin(this.#scratch + DIGEST_AT, before, before + CHECKSUM_BYTES)
    this.#sequence--
    this.#payloadBytes -= payloadBytes
  }

  /**
   * Writes the whole section to `out`: header and a copy of the payload, made in one pass, unless the payload
   * is behind the header already. Returns its bytes.
   */
  sectionTo(out: number, plan: SectionPlan): number {
    this.#keepDigest()
    this.#encode(plan)
    this.#engine.bytes.copyWithin(out, this.#scratch, this.#scratch + SECTION_HEADER_BYTES)
    const place = out + SECTION_HEADER_BYTES
    this.#seal(plan, out, plan.payload === place ? 0 : place)
    return SECTION_HEADER_BYTES + plan.payloadBytes
  }

  /**
   * Writes PAGES sections, header and pages, for the runs that fit; returns how many that are. The bytes
   * written are {@link gatheredBytes}.
   */
  gather(plan: GatherPlan): number {
    const { region, memory, memoryBytes, runs, runCount, out, outBytes } = plan
    this.#encode({ tag: Tag.PAGES, payload: 0, payloadBytes: 0, region })
    const gathered = this.#engine.kernels.sectionsGather(
      this.#kind,
      this.#scratch + SECTION_AT,
      runs,
      runCount,
      memory,
      memoryBytes,
      PAGE_BYTES,
      out,
      outBytes,
      this.#scratch + DIGEST_AT,
      this.#scratch + TOTALS_AT,
    )
    this.#sequence += gathered
    this.#payloadBytes += this.#view.getUint32(TOTALS_AT + 4, true)
    return gathered
  }

  /** Bytes that the last {@link gather} wrote. */
  get gatheredBytes(): number {
    return this.#view.getUint32(TOTALS_AT, true)
  }

  /** The END section whole: totals and digest. */
  end(): Uint8Array {
    const at = this.#scratch + HEADER_AT
    setSafeUint64(this.#view, HEADER_AT, this.#sequence)
    setSafeUint64(this.#view, HEADER_AT + 8, this.#payloadBytes)
    const digest = this.#scratch + DIGEST_AT
    this.#engine.bytes.copyWithin(at + 16, digest, digest + CHECKSUM_BYTES)
    const section = this.section({ tag: Tag.END, payload: at, payloadBytes: END_PAYLOAD_BYTES })
    const whole = new Uint8Array(SECTION_HEADER_BYTES + END_PAYLOAD_BYTES)
    whole.set(section)
    whole.set(this.#engine.bytes.subarray(at, at + END_PAYLOAD_BYTES), SECTION_HEADER_BYTES)
    return whole
  }

  /** Gives the memory back; the writer is done. */
  dispose(): void {
    this.#engine.free(this.#scratch)
  }

  /** For {@link retract}. */
  #keepDigest(): void {
    const digest = this.#scratch + DIGEST_AT
    this.#engine.bytes.copyWithin(this.#scratch + DIGEST_BEFORE_AT, digest, digest + CHECKSUM_BYTES)
  }

  #encode({ tag, payloadBytes, region = 0, first = 0 }: SectionPlan): void {
    const sequence = this.#sequence
    encodeSection(this.#view, { tag, flags: SECTION_MANDATORY, sequence, payloadBytes, region, first })
  }

  /** Checksums a section whose header's fields stand at `header`, and copies its payload unless `copyTo` is 0. */
  #seal({ tag, payload, payloadBytes }: SectionPlan, header: number, copyTo: number): void {
    // END holds the digest, so it is in none.
    const digest = tag === Tag.END ? 0 : this.#scratch + DIGEST_AT
    this.#engine.kernels.sectionSeal(this.#kind, header, payload, payloadBytes, copyTo, digest)
    this.#sequence++
    if (digest !== 0) this.#payloadBytes += payloadBytes
  }

  /** Seals a section whose payload's checksum is known. */
  #sealWith({ payloadBytes }: SectionPlan, header: number, checksum: number): void {
    const { bytes } = this.#engine
    const kind = this.#header.checksum
    const own = header + SECTION_CHECKSUM_OFFSET
    const digest = this.#scratch + DIGEST_AT
    bytes.copyWithin(header + PAYLOAD_CHECKSUM_OFFSET, checksum, checksum + CHECKSUM_BYTES)
    storeChecksum(this.#engine, kind, header, SECTION_CHECKSUM_OFFSET, own)
    bytes.copyWithin(digest + CHECKSUM_BYTES, own, own + CHECKSUM_BYTES)
    storeChecksum(this.#engine, kind, digest, 2 * CHECKSUM_BYTES, digest)
    this.#sequence++
    this.#payloadBytes += payloadBytes
  }

  #copy(at: number, byteLength: number): Uint8Array {
    return this.#engine.bytes.slice(at, at + byteLength)
  }
}
