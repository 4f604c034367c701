/**
 * What a well-formed stream may contain, in which order and within which bounds.
 *
 * @module
 */

import { type Configuration, configurationFingerprint } from './configuration.ts'
import { declaredRegions, MAX_MEMORY_BYTES, PageCoverage } from './coverage.ts'
import { PAGE_BYTES, type StreamHeader } from './header.ts'
import {
  COMPRESSED_PREFIX_BYTES,
  END_PAYLOAD_BYTES,
  FRAME_BYTES,
  isKnownTag,
  MAX_CONFIG_BYTES,
  MAX_PAYLOAD_BYTES,
  SECTION_MANDATORY,
  type SectionHeader,
  Tag,
  tagName,
  ZERO_PAYLOAD_BYTES,
} from './section.ts'
import { StreamFault } from './stream-fault.ts'

/** Most payload bytes of the tags that have less than {@link MAX_PAYLOAD_BYTES}. */
const LIMITS: ReadonlyMap<number, number> = new Map([
  [Tag.CONFIG, MAX_CONFIG_BYTES],
  [Tag.PAGES_LZ4, FRAME_BYTES],
])

/** The rules of one stream, with what they need to remember of it. */
export class SectionRules {
  #opaque = false
  #configured = false
  #sequence = 0
  #payloadBytes = 0
  #coverage: PageCoverage[] = []
  #stateBytes = 0
  #stateFilled = 0
  #opaqueFilled = 0

  /** Sequence number of the section that comes next. */
  get sequence(): number {
    return this.#sequence
  }

  begin(header: StreamHeader): void {
    this.#opaque = header.opaque
  }

  /** A verified section header: order, flags and bounds, before its payload is taken. */
  admit(section: SectionHeader): void {
    const { tag, flags, sequence, payloadBytes } = section
    if (sequence !== this.#sequence)
      throw new StreamFault('EPROTO', `sequence number ${sequence} comes where ${this.#sequence} belongs`)
    if ((flags & ~SECTION_MANDATORY) !== 0)
      throw new StreamFault('EPROTO', `flags 0x${flags.toString(16)} have reserved bits set`)
    const limit = LIMITS.get(tag) ?? MAX_PAYLOAD_BYTES
    if (payloadBytes > limit)
      throw new StreamFault('EMSGSIZE', `a payload of ${payloadBytes} bytes passes the limit of ${limit}`)
    if (tag === 0) throw new StreamFault('EPROTO', 'section tag 0 is never valid')
    const known = isKnownTag(tag)
    if (!known && (flags & SECTION_MANDATORY) !== 0)
      throw new StreamFault(
        'EOPNOTSUPP',
        `section tag ${tag} is unknown here and marked mandatory`,
        'use the release of stopcopy that wrote it',
      )
    if (known && (flags & SECTION_MANDATORY) === 0)
      throw new StreamFault('EPROTO', `${tagName(tag)} is not marked mandatory`)
    if (this.#configured !== (tag !== Tag.CONFIG))
      throw new StreamFault(
        'EPROTO',
        this.#configured ? 'a second CONFIG' : `${tagName(tag)} comes before CONFIG`,
      )
    if (known) this.#admitKnown(section)
  }

  /** The configuration: it must be what the header's fingerprint stands for, and within limits. */
  configure(configuration: Configuration, header: StreamHeader): void {
    const fingerprint = configurationFingerprint(configuration)
    if (!fingerprint.every((byte, index) => byte === header.fingerprint[index]))
      throw new StreamFault('EPROTO', 'the configuration is not the one of the header fingerprint')
    this.#configured = true
    if (this.#opaque) return
    const regions = declaredRegions(configuration)
    if (typeof regions === 'string') throw new StreamFault('EPROTO', regions)
    const stateBytes = configuration['state.bytes']
    if (typeof stateBytes !== 'number' || stateBytes > MAX_MEMORY_BYTES)
      throw new StreamFault('EPROTO', 'state.bytes is missing or out of range')
    this.#coverage = regions.map((region) => new PageCoverage(region))
    this.#stateBytes = stateBytes
  }

  /** A verified ZERO payload of `count` pages. */
  zeroRun(section: SectionHeader, count: number): void {
    const coverage = this.#coverage[section.region] as PageCoverage
    if (!(count >= 1 && section.first + count <= coverage.pageCount))
      throw new StreamFault(
        'EPROTO',
        `a run of ${count} zero pages passes the region's ${coverage.pageCount} pages`,
      )
    coverage.add(section.first, count)
  }

  /** Most bytes that the pages of an admitted PAGES_LZ4 section can be. */
  compressedRoom({ region, first }: SectionHeader): number {
    const { byteLength } = (this.#coverage[region] as PageCoverage).region
    return Math.min(FRAME_BYTES, byteLength - first * PAGE_BYTES)
  }

  /** A verified PAGES_LZ4 payload that declares `byteLength` bytes of pages. */
  compressedPages(section: SectionHeader, byteLength: number): void {
    const coverage = this.#coverage[section.region] as PageCoverage
    if (byteLength > FRAME_BYTES) fault(`${byteLength} bytes of pages pass the limit of ${FRAME_BYTES}`)
    checkWholePages(coverage.region.byteLength, section.first, byteLength)
    coverage.add(section.first, Math.ceil(byteLength / PAGE_BYTES))
  }

  /** A verified payload of any tag but END. */
  complete(section: SectionHeader): void {
    this.#sequence++
    this.#payloadBytes += section.payloadBytes
    if (section.tag === Tag.STATE) this.#stateFilled += section.payloadBytes
    else if (section.tag === Tag.OPAQUE) this.#opaqueFilled += section.payloadBytes
    else if (section.tag === Tag.PAGES)
      this.#coverage[section.region]?.add(section.first, Math.ceil(section.payloadBytes / PAGE_BYTES))
  }

  /** The verified END payload: totals agree and nothing is missing. */
  end(sections: number, payloadBytes: number): void {
    if (sections !== this.#sequence || payloadBytes !== this.#payloadBytes)
      throw new StreamFault(
        'EPROTO',
        `totals of ${sections} sections and ${payloadBytes} bytes do not match the ${this.#sequence} and ${this.#payloadBytes} that came`,
      )
    if (this.#stateFilled !== this.#stateBytes)
      throw new StreamFault('EPROTO', `${this.#stateFilled} of ${this.#stateBytes} bytes of state came`)
    for (const { region, firstMissing, missing } of this.#coverage)
      if (missing > 0)
        throw new StreamFault(
          'EPROTO',
          `${missing} pages of region "${region.name}" never came, page ${firstMissing} first`,
        )
  }

  #admitKnown(section: SectionHeader): void {
    const { tag, payloadBytes, region, first } = section
    if (!ofPages(tag) && region !== 0) fault(`${tagName(tag)} names region ${region}`)
    if ((tag === Tag.CONFIG || tag === Tag.END) && first !== 0) fault(`${tagName(tag)} has a position`)
    if (tag === Tag.END && payloadBytes !== END_PAYLOAD_BYTES) fault(`END has ${payloadBytes} bytes`)
    if (tag === Tag.CONFIG || tag === Tag.END) return
    if (this.#opaque !== (tag === Tag.OPAQUE))
      fault(`${tagName(tag)} in a stream of ${this.#opaque ? 'opaque' : 'checked'} sections`)
    if (tag === Tag.OPAQUE || tag === Tag.STATE) {
      const filled = tag === Tag.OPAQUE ? this.#opaqueFilled : this.#stateFilled
      if (payloadBytes === 0 || first !== filled)
        fault(`${payloadBytes} bytes at position ${first} come where position ${filled} belongs`)
      if (tag === Tag.STATE && filled + payloadBytes > this.#stateBytes)
        fault(`more than the ${this.#stateBytes} bytes of state that were declared`)
      return
    }
    const coverage = this.#coverage[region] ?? fault(`region ${region} was not declared`)
    const { byteLength } = coverage.region
    if (tag === Tag.ZERO) {
      if (payloadBytes !== ZERO_PAYLOAD_BYTES || !(first < coverage.pageCount))
        fault(`a zero run at page ${first} is malformed or outside the region's ${coverage.pageCount} pages`)
      return
    }
    if (tag === Tag.PAGES_LZ4) {
      if (payloadBytes <= COMPRESSED_PREFIX_BYTES || !(first < coverage.pageCount))
        fault(
          `compressed pages at page ${first} are empty or outside the region's ${coverage.pageCount} pages`,
        )
      return
    }
    checkWholePages(byteLength, first, payloadBytes)
  }
}

function ofPages(tag: number): boolean {
  return tag === Tag.PAGES || tag === Tag.PAGES_LZ4 || tag === Tag.ZERO
}

/** At least one page, and whole ones up to the last of the region's `regionBytes`. */
function checkWholePages(regionBytes: number, first: number, byteLength: number): void {
  const end = first * PAGE_BYTES + byteLength
  if (byteLength === 0 || !(end <= regionBytes) || (byteLength % PAGE_BYTES !== 0 && end !== regionBytes))
    fault(`${byteLength} bytes from page ${first} are no whole pages of the region's ${regionBytes} bytes`)
}

function fault(reason: string): never {
  throw new StreamFault('EPROTO', reason)
}
