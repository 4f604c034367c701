/**
 * Writes the checked stream: gives out headers, never copies a payload.
 *
 * The caller puts `header()`, then for each section the result of `section()` followed by the
 * payload bytes themselves, then `end()` on the wire.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { CHECKSUM_BYTES, Digest, storeChecksum } from './checksum.ts'
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
  #digest: Digest | undefined
  #sequence = 0
  #payloadBytes = 0
  #gatheredBytes = 0

  /** Takes 256 bytes from the engine: ENOMEM when it has none. */
  constructor(engine: Engine, header: Omit<StreamHeader, 'formatVersion'>) {
    this.#engine = engine
    this.#header = header
    this.#scratch = engine.allocate(SCRATCH_BYTES)
    this.#view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + this.#scratch, SCRATCH_BYTES)
  }

  /** The stream's first 128 bytes. EINVAL when the type does not fit. */
  header(): Uint8Array {
    const at = this.#scratch + HEADER_AT
    encodeHeader(this.#engine.bytes.subarray(at, at + HEADER_BYTES), this.#header)
    const checksum = at + HEADER_CHECKSUM_OFFSET
    storeChecksum(this.#engine, this.#header.checksum, at, HEADER_CHECKSUM_OFFSET, checksum)
    this.#digest = new Digest(this.#engine, this.#header.checksum, this.#scratch + DIGEST_AT, checksum)
    return this.#copy(at, HEADER_BYTES)
  }

  /** The 40 bytes that go before the payload; checksums the payload where it lies. */
  section(plan: SectionPlan): Uint8Array {
    const at = this.#scratch + SECTION_AT
    this.#encode(plan)
    this.#seal(plan, at, 0)
    return this.#copy(at, SECTION_HEADER_BYTES)
  }

  /** Writes the whole section to `out`: header and a copy of the payload, made in one pass. Returns its bytes. */
  sectionTo(out: number, plan: SectionPlan): number {
    this.#encode(plan)
    this.#engine.bytes.copyWithin(out, this.#scratch, this.#scratch + SECTION_HEADER_BYTES)
    this.#seal(plan, out, out + SECTION_HEADER_BYTES)
    return SECTION_HEADER_BYTES + plan.payloadBytes
  }

  /**
   * Writes PAGES sections, header and pages, for the runs that fit; returns how many that are. The bytes
   * written are {@link gatheredBytes}.
   */
  gather(plan: GatherPlan): number {
    const { region, memory, memoryBytes, runs, runCount, out, outBytes } = plan
    const pairs = new DataView(this.#engine.bytes.buffer, this.#engine.bytes.byteOffset + runs, runCount * 8)
    this.#gatheredBytes = 0
    for (let run = 0; run < runCount; run++) {
      const first = pairs.getUint32(run * 8, true)
      const from = first * PAGE_BYTES
      const payloadBytes = Math.min(pairs.getUint32(run * 8 + 4, true) * PAGE_BYTES, memoryBytes - from)
      if (this.#gatheredBytes + SECTION_HEADER_BYTES + payloadBytes > outBytes) return run
      const section = { tag: Tag.PAGES, payload: memory + from, payloadBytes, region, first }
      this.#gatheredBytes += this.sectionTo(out + this.#gatheredBytes, section)
    }
    return runCount
  }

  /** Bytes that the last {@link gather} wrote. */
  get gatheredBytes(): number {
    return this.#gatheredBytes
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

  #encode({ tag, payloadBytes, region = 0, first = 0 }: SectionPlan): void {
    const sequence = this.#sequence
    encodeSection(this.#view, { tag, flags: SECTION_MANDATORY, sequence, payloadBytes, region, first })
  }

  /** Checksums a section whose header's fields stand at `header`, and copies its payload unless `copyTo` is 0. */
  #seal({ tag, payload, payloadBytes }: SectionPlan, header: number, copyTo: number): void {
    const { checksum } = this.#header
    const engine = this.#engine
    if (copyTo !== 0) engine.kernels.copy(copyTo, payload, payloadBytes)
    storeChecksum(engine, checksum, copyTo || payload, payloadBytes, header + PAYLOAD_CHECKSUM_OFFSET)
    storeChecksum(engine, checksum, header, SECTION_CHECKSUM_OFFSET, header + SECTION_CHECKSUM_OFFSET)
    this.#sequence++
    // END holds the digest, so it is in none.
    if (tag === Tag.END) return
    this.#digest?.add(header + SECTION_CHECKSUM_OFFSET)
    this.#payloadBytes += payloadBytes
  }

  #copy(at: number, byteLength: number): Uint8Array {
    return this.#engine.bytes.slice(at, at + byteLength)
  }
}
