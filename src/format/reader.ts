/**
 * Reads the checked stream: a pure state machine fed in any segmentation, one byte at a time included.
 *
 * The stream is untrusted. Every length is checked before it is believed, every payload is verified
 * before its handler hears of it, and the first failure is sticky. The rules themselves stand in
 * `section-rules.ts`.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import { checksumNumber, Digest, sameChecksum, storeChecksumOfCopy } from './checksum.ts'
import { CompressedPages, pagesOf } from './compressed-pages.ts'
import { type Configuration, ConfigurationFault, decodeConfiguration } from './configuration.ts'
import {
  checksumKindOf,
  decodeHeader,
  hasMagic,
  HEADER_BYTES,
  HEADER_CHECKSUM_OFFSET,
  type StreamHeader,
} from './header.ts'
import {
  decodeSection,
  getSafeUint64,
  PAYLOAD_CHECKSUM_OFFSET,
  SECTION_CHECKSUM_OFFSET,
  SECTION_HEADER_BYTES,
  type SectionHeader,
  Tag,
  tagName,
} from './section.ts'
import { SectionRules } from './section-rules.ts'
import { StreamFault, streamError } from './stream-fault.ts'
import type { StreamHandler } from './stream-handler.ts'

const HEADER_AT = 0
const SECTION_AT = HEADER_BYTES
const WORK_AT = SECTION_AT + 64
const DIGEST_AT = WORK_AT + 16
const END_AT = DIGEST_AT + 16
const SCRATCH_BYTES = END_AT + 32
/** The window after the last byte: something to fill, so that a surplus is a content failure. */
const SURPLUS_BYTES = 16

type Phase = 'header' | 'section' | 'payload' | 'ended'

/** One stream being read; holds 256 bytes of engine memory and a buffer for payloads it places itself. */
export class StreamReader {
  readonly #engine: Engine
  readonly #handler: StreamHandler
  readonly #verifyPayloads: boolean
  readonly #scratch: number
  readonly #view: DataView
  readonly #rules: SectionRules = new SectionRules()
  readonly #compressed: CompressedPages
  #phase: Phase = 'header'
  /** Where the bytes of this phase go, how many it needs and how many came. */
  #target: number
  /** Whether the target is a handler's. */
  #placed = false
  #needed: number = HEADER_BYTES
  #filled = 0
  #offset = 0
  #phaseOffset = 0
  #header: StreamHeader | undefined
  #section: SectionHeader | undefined
  #digest: Digest | undefined
  #buffer = 0
  #bufferBytes = 0
  #failure: VfioError | undefined

  /**
   * Takes 256 bytes from the engine: ENOMEM when it has none. With `verifyPayloads: false`
   * only headers are verified and payloads are passed over (`inspect`).
   */
  constructor(engine: Engine, handler: StreamHandler, options: { verifyPayloads?: boolean } = {}) {
    this.#engine = engine
    this.#handler = handler
    this.#verifyPayloads = options.verifyPayloads ?? true
    this.#scratch = engine.allocate(SCRATCH_BYTES)
    this.#compressed = new CompressedPages(engine)
    this.#target = this.#scratch + HEADER_AT
    this.#view = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + this.#scratch, SCRATCH_BYTES)
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset
  }

  /** True once the END section was verified. */
  get ended(): boolean {
    return this.#phase === 'ended'
  }

  /** The first failure; every later call throws it again. */
  get failure(): VfioError | undefined {
    return this.#failure
  }

  /** A handler's later verdict on a section; the first failure counts. */
  refuse(error: unknown, section: SectionHeader, offset: number): void {
    this.#failure ??= streamError(error, nameOf(section), offset)
  }

  /** Where the next 1 to `maxBytes` stream bytes belong. Throws the sticky failure. */
  window(maxBytes: number): Uint8Array {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#phase === 'ended')
      return this.#engine.bytes.subarray(this.#scratch, this.#scratch + Math.min(maxBytes, SURPLUS_BYTES))
    const at = this.#target + this.#filled
    return this.#engine.bytes.subarray(at, at + Math.min(maxBytes, this.#needed - this.#filled))
  }

  /**
   * The first `byteLength` bytes of the window were filled.
   *
   * @throws {@link VfioError} the content failure, with `section` and `offset`; sticky. What a handler
   * throws besides a {@link StreamFault} is the cause: with its own code, or EIO when it is no VfioError.
   * EINVAL, not sticky, when the window is shorter than `byteLength`.
   */
  commit(byteLength: number): void {
    this.#commit(byteLength, undefined)
  }

  /** @param source where the whole payload lies that was not copied to its place */
  #commit(byteLength: number, source: number | undefined): void {
    if (this.#failure !== undefined) throw this.#failure
    if (byteLength === 0) return
    if (this.#phase !== 'ended' && !(byteLength > 0 && byteLength <= this.#needed - this.#filled))
      throw new VfioError(
        'EINVAL',
        `Cannot commit ${byteLength} bytes: at most ${this.#needed - this.#filled} belong here, commit what the window has`,
      )
    if (this.#phase === 'ended')
      this.#fail(
        new StreamFault('EPROTO', 'bytes follow the end of the stream', 'write only what was saved'),
        this.#offset,
      )
    this.#filled += byteLength
    this.#offset += byteLength
    if (this.#filled < this.#needed) return
    try {
      if (this.#phase === 'header') this.#takeHeader()
      else if (this.#phase === 'section') this.#takeSection()
      else this.#takePayload(source)
    } catch (error) {
      this.#fail(error, this.#phaseOffset)
    }
  }

  /** Takes all of `src`, any segmentation. Throws as {@link commit}. */
  write(src: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure
    for (let at = 0; at < src.length;) at += this.take(src.subarray(at))
    return src.length
  }

  /**
   * Takes the first bytes of `src`, which is not empty: what of one header or payload is there; returns how
   * many. A whole payload that lies in engine memory itself is copied and checksummed in one pass. Throws as
   * {@link commit}.
   */
  take(src: Uint8Array): number {
    const window = this.window(src.length)
    const { length } = window
    const source = this.#sourceOf(src, window)
    if (source === undefined) fill(window, src)
    this.#commit(length, source)
    return length
  }

  /** Where the payload that `window` is for lies whole in engine memory, apart from the window. */
  #sourceOf(src: Uint8Array, window: Uint8Array): number | undefined {
    const { bytes } = this.#engine
    const whole = this.#placed && this.#filled === 0 && window.length === this.#needed
    if (!whole || src.buffer !== bytes.buffer || !this.#verifyPayloads) return undefined
    const source = src.byteOffset - bytes.byteOffset
    return Math.abs(source - this.#target) < window.length ? undefined : source
  }

  /**
   * The source has no more bytes: all must have come.
   *
   * @throws {@link VfioError} EINVAL when the stream is incomplete (not sticky: the rest may be written)
   */
  finish(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#phase === 'ended') return
    const where = this.#where()
    const cut = this.#offset === 0 ? 'the stream is empty' : `the stream is cut short at byte ${this.#offset}`
    throw new VfioError(
      'EINVAL',
      `Cannot read migration stream: ${where} at offset ${this.#phaseOffset}: ${cut}, write all of what was saved`,
      { section: where, offset: this.#phaseOffset },
    )
  }

  /** Gives the memory back; the reader is done. */
  dispose(): void {
    this.#engine.free(this.#scratch)
    this.#compressed.dispose()
    if (this.#bufferBytes > 0) this.#engine.free(this.#buffer)
    this.#bufferBytes = 0
  }

  #takeHeader(): void {
    const at = this.#scratch + HEADER_AT
    const bytes = this.#engine.bytes.subarray(at, at + HEADER_BYTES)
    if (!hasMagic(bytes))
      throw new StreamFault('EPROTO', 'this is not a stopcopy migration stream', 'check the file')
    const kind = checksumKindOf(bytes)
    this.#verify(at, HEADER_CHECKSUM_OFFSET, at + HEADER_CHECKSUM_OFFSET, kind, 'header checksum')
    const header = decodeHeader(bytes)
    if ('reason' in header) throw new StreamFault(header.code, header.reason, header.remedy)
    this.#header = header
    this.#rules.begin(header)
    this.#digest = new Digest(this.#engine, kind, this.#scratch + DIGEST_AT, at + HEADER_CHECKSUM_OFFSET)
    this.#handler.header?.(header)
    this.#nextSection()
  }

  #takeSection(): void {
    const at = this.#scratch + SECTION_AT
    this.#verify(at, SECTION_CHECKSUM_OFFSET, at + SECTION_CHECKSUM_OFFSET, this.#kind, 'header checksum')
    const section = decodeSection(this.#view, SECTION_AT)
    this.#section = section
    this.#rules.admit(section)
    this.#handler.section?.(section, this.#phaseOffset)
    this.#phase = 'payload'
    this.#filled = 0
    this.#needed = section.payloadBytes
    this.#target = this.#place(section)
    if (section.payloadBytes === 0) this.#takePayload()
  }

  #takePayload(source = this.#target): void {
    const section = this.#section as SectionHeader
    const checksum = this.#scratch + SECTION_AT + PAYLOAD_CHECKSUM_OFFSET
    const { tag, payloadBytes } = section
    const [kind, offset, target] = [this.#kind, this.#phaseOffset, this.#target]
    const payload = { section, offset, kind, source, target, expected: checksum }
    const handled = this.#placed && this.#verifyPayloads && this.#handler.verify?.(payload) === true
    if (!handled && source !== target) {
      const work = this.#scratch + WORK_AT
      storeChecksumOfCopy(this.#engine, kind, target, source, payloadBytes, work)
      if (!sameChecksum(this.#engine, work, checksum)) throw mismatch('payload checksum')
    } else if (!handled && (this.#verifyPayloads || tag === Tag.CONFIG || tag === Tag.END)) {
      // CONFIG and END steer the reader itself, so they are verified always.
      this.#verify(target, payloadBytes, checksum, kind, 'payload checksum')
    }
    if (tag === Tag.END) {
      this.#takeEnd()
      return
    }
    this.#digest?.add(this.#scratch + SECTION_AT + SECTION_CHECKSUM_OFFSET)
    if (tag === Tag.CONFIG) this.#takeConfiguration(payloadBytes)
    else if (tag === Tag.ZERO)
      this.#rules.zeroRun(
        section,
        getSafeUint64(
          new DataView(this.#engine.bytes.buffer, this.#engine.bytes.byteOffset + this.#target, 8),
          0,
        ),
      )
    if (tag === Tag.PAGES_LZ4) this.#takeCompressed(section)
    this.#rules.complete(section)
    if (tag !== Tag.CONFIG && tag !== Tag.PAGES_LZ4) this.#handler.payload?.(section, this.#target)
    this.#nextSection()
  }

  #takeCompressed(section: SectionHeader): void {
    const compressed = this.#compressed
    const byteLength = compressed.declaredBytes(this.#target)
    this.#rules.compressedPages(section, byteLength)
    const pages = this.#verifyPayloads
      ? compressed.decompress(this.#target, section.payloadBytes, byteLength)
      : this.#target
    this.#handler.payload?.(pagesOf(section, byteLength), pages)
  }

  #takeConfiguration(payloadBytes: number): void {
    let configuration: Configuration
    try {
      configuration = decodeConfiguration(
        this.#engine.bytes.subarray(this.#target, this.#target + payloadBytes),
      )
    } catch (error) {
      if (error instanceof ConfigurationFault) throw new StreamFault('EPROTO', error.message)
      throw error
    }
    this.#rules.configure(configuration, this.#header as StreamHeader)
    this.#handler.configuration?.(configuration)
  }

  #takeEnd(): void {
    const at = this.#scratch + END_AT
    const digest = this.#digest as Digest
    this.#rules.end(getSafeUint64(this.#view, END_AT), getSafeUint64(this.#view, END_AT + 8))
    if (!sameChecksum(this.#engine, at + 16, digest.pointer))
      throw new StreamFault('EBADMSG', 'the digest over all sections does not match')
    this.#handler.complete?.()
    this.#phase = 'ended'
    this.#section = undefined
    this.#phaseOffset = this.#offset
  }

  #place(section: SectionHeader): number {
    if (section.tag === Tag.END) return this.#scratch + END_AT
    if (section.tag === Tag.PAGES_LZ4) {
      const room = this.#rules.compressedRoom(section)
      this.#compressed.begin(this.#handler.place?.(pagesOf(section, room)), room)
    }
    const placed =
      section.tag === Tag.STATE || section.tag === Tag.PAGES || section.tag === Tag.OPAQUE
        ? this.#handler.place?.(section)
        : undefined
    if (placed !== undefined) {
      this.#placed = true
      return placed
    }
    if (section.payloadBytes > this.#bufferBytes) {
      if (this.#bufferBytes > 0) this.#engine.free(this.#buffer)
      this.#bufferBytes = 0
      this.#buffer = this.#engine.allocate(section.payloadBytes)
      this.#bufferBytes = section.payloadBytes
    }
    return this.#bufferBytes > 0 ? this.#buffer : this.#scratch + WORK_AT
  }

  #nextSection(): void {
    this.#phase = 'section'
    this.#placed = false
    this.#target = this.#scratch + SECTION_AT
    this.#needed = SECTION_HEADER_BYTES
    this.#filled = 0
    this.#phaseOffset = this.#offset
    this.#section = undefined
  }

  get #kind(): 'xxh3' | 'crc32c' {
    return this.#header?.checksum ?? 'xxh3'
  }

  #verify(src: number, byteLength: number, expected: number, kind: 'xxh3' | 'crc32c', what: string): void {
    if (!this.#engine.kernels.sectionVerify(checksumNumber(kind), src, byteLength, expected))
      throw mismatch(what)
  }

  #where(): string {
    if (this.#phase === 'header') return 'the stream header'
    if (this.#section !== undefined) return nameOf(this.#section)
    return this.#phase === 'ended' ? 'the end' : `section ${this.#rules.sequence} (header)`
  }

  /** Remembers whatever went wrong: the reader's state is torn, so nothing may follow. */
  #fail(error: unknown, offset: number): never {
    this.#failure = streamError(error, this.#where(), offset)
    throw this.#failure
  }
}

function nameOf(section: SectionHeader): string {
  return `section ${section.sequence} (${tagName(section.tag)})`
}

/** A header is 40 bytes, and `set` takes microseconds to begin on shared memory. */
function fill(window: Uint8Array, src: Uint8Array): void {
  if (window.length > HEADER_BYTES) window.set(src.subarray(0, window.length))
  else for (let i = 0; i < window.length; i++) window[i] = src[i] as number
}

function mismatch(what: string): StreamFault {
  return new StreamFault('EBADMSG', `${what} does not match`)
}
