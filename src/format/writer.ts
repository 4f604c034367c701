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
import { encodeHeader, HEADER_BYTES, HEADER_CHECKSUM_OFFSET, type StreamHeader } from './header.ts'
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

/** One stream being written; a pure state machine that holds 256 bytes of engine memory. */
export class StreamWriter {
  readonly #engine: Engine
  readonly #header: Omit<StreamHeader, 'formatVersion'>
  readonly #scratch: number
  readonly #view: DataView
  #digest: Digest | undefined
  #sequence = 0
  #payloadBytes = 0

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
    encodeSection(this.#view, {
      tag: plan.tag,
      flags: SECTION_MANDATORY,
      sequence: this.#sequence++,
      payloadBytes: plan.payloadBytes,
      region: plan.region ?? 0,
      first: plan.first ?? 0,
    })
    const { checksum } = this.#header
    storeChecksum(this.#engine, checksum, plan.payload, plan.payloadBytes, at + PAYLOAD_CHECKSUM_OFFSET)
    storeChecksum(this.#engine, checksum, at, SECTION_CHECKSUM_OFFSET, at + SECTION_CHECKSUM_OFFSET)
    if (plan.tag !== Tag.END) {
      this.#digest?.add(at + SECTION_CHECKSUM_OFFSET)
      this.#payloadBytes += plan.payloadBytes
    }
    return this.#copy(at, SECTION_HEADER_BYTES)
  }

  /** The END section whole: totals and digest. */
  end(): Uint8Array {
    const at = this.#scratch + HEADER_AT
    setSafeUint64(this.#view, HEADER_AT, this.#sequence)
    setSafeUint64(this.#view, HEADER_AT + 8, this.#payloadBytes)
    const digest = this.#digest?.pointer ?? at
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

  #copy(at: number, byteLength: number): Uint8Array {
    return this.#engine.bytes.slice(at, at + byteLength)
  }
}
