/**
 * What a migration stream holds, found out without a device.
 *
 * @module
 */

import {
  type Configuration,
  openReader,
  PAGE_BYTES,
  type SectionHeader,
  type StreamHandler,
  type StreamHeader,
  Tag,
  tagName,
} from '../format/index.ts'
import {
  byteSource,
  pumpFromSource,
  settle,
  type SourceLike,
  type TransferProgress,
} from '../transport/index.ts'
import { asFailure } from './recovery.ts'

/** Most sections that {@link StreamReport} lists; of a longer stream it holds the first ones. */
export const LISTED_SECTIONS = 1000

/** One section of a stream. */
export interface SectionReport {
  /** Number in the stream's order. */
  readonly sequence: number
  /** CONFIG, STATE, PAGES, PAGES_LZ4, ZERO, OPAQUE, END, or `TAG 9` where it has no name here. */
  readonly tag: string
  /** Of its header in the stream, bytes. */
  readonly offset: number
  /** Bytes behind its header. */
  readonly payloadBytes: number
  /** Memory region of PAGES, PAGES_LZ4 and ZERO. */
  readonly region?: number
  /** First page of PAGES, PAGES_LZ4 and ZERO; byte position of STATE and OPAQUE. */
  readonly first?: number
  /** How many pages PAGES, PAGES_LZ4 and ZERO describe. */
  readonly pageCount?: number
}

/** Sections of one tag, together. */
export interface TagReport {
  /** How many there are. */
  sections: number
  /** Bytes behind their headers, together. */
  payloadBytes: number
}

/** One memory region, as the configuration declares it and the sections describe it. */
export interface RegionReport {
  /** As the device's author named it. */
  readonly name: string
  /** Of the region, not of its pages in the stream. */
  readonly byteLength: number
  /** Pages that came as bytes, compressed or not, and as zero runs; a page may come more than once. */
  dataPages: number
  /** Pages that came as zero runs; as above. */
  zeroPages: number
}

/** What a stream holds. */
export interface StreamReport {
  /** Whether every checksum was verified, or those of headers, CONFIG and END alone. */
  readonly verified: boolean
  /** Bytes of the stream. */
  readonly bytes: number
  /** Device type and versions, and the configuration's fingerprint. */
  readonly header: StreamHeader
  /** In what source and destination must agree. */
  readonly configuration: Configuration
  /** In the configuration's order. */
  readonly regions: readonly RegionReport[]
  /** By tag, in the order of their first appearance. */
  readonly tags: Readonly<Record<string, TagReport>>
  /** The first {@link LISTED_SECTIONS}; `truncated` says whether there were more. */
  readonly sections: readonly SectionReport[]
  /** Whether {@link sections} leaves some out. */
  readonly truncated: boolean
  /** Sections in all, END included. */
  readonly sectionCount: number
}

/** Options of {@link inspect} and {@link verify}. */
export interface SurveyOptions {
  /** Stops reading; the source is canceled. */
  readonly signal?: AbortSignal | undefined
  /** Called for each section once it is complete, so also beyond {@link LISTED_SECTIONS}. */
  readonly onSection?: ((section: SectionReport) => void) | undefined
  /** Called after each piece that was read. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
}

/**
 * Reads a stream to its end and reports what it holds; memory does not grow with the stream.
 *
 * @throws {@link VfioError} as {@link inspect}
 */
export async function survey(
  source: SourceLike,
  action: string,
  options: SurveyOptions & { verifyPayloads: boolean },
): Promise<StreamReport> {
  const { signal, onProgress, onSection, verifyPayloads } = options
  const input = byteSource(source)
  try {
    const found = new StreamSurvey(onSection)
    const { reader, bytes } = await openReader(found, { verifyPayloads })
    found.memory = bytes
    try {
      const windows = {
        window: (maxBytes: number) => reader.window(maxBytes),
        commit: (byteLength: number) => reader.commit(byteLength),
      }
      await pumpFromSource(input, windows, { signal, onProgress })
      reader.finish()
      return found.report(reader.offset, verifyPayloads)
    } finally {
      reader.dispose()
    }
  } catch (error) {
    const failure = asFailure(error, action, signal)
    await settle(() => input.cancel(failure))
    throw failure
  }
}

/** Collects what the reader tells. */
class StreamSurvey implements StreamHandler {
  /** The memory that payload pointers point into. */
  memory: Uint8Array = new Uint8Array(0)
  readonly #onSection: ((section: SectionReport) => void) | undefined
  readonly #tags: Record<string, TagReport> = {}
  readonly #sections: SectionReport[] = []
  readonly #regions: RegionReport[] = []
  #sectionCount = 0
  #header: StreamHeader | undefined
  #configuration: Configuration = {}
  #current: { section: SectionHeader; offset: number } | undefined

  constructor(onSection: ((section: SectionReport) => void) | undefined) {
    this.#onSection = onSection
  }

  header(header: StreamHeader): void {
    this.#header = header
  }

  section(section: SectionHeader, offset: number): void {
    this.#current = { section, offset }
  }

  configuration(configuration: Configuration): void {
    this.#configuration = configuration
    // Values of declared regions were checked by the reader; an opaque stream declares none.
    for (let index = 0; this.#header?.opaque === false; index++) {
      const name = configuration[`memory.${index}.name`]
      const byteLength = configuration[`memory.${index}.bytes`]
      if (typeof name !== 'string' || typeof byteLength !== 'number') break
      this.#regions.push({ name, byteLength, dataPages: 0, zeroPages: 0 })
    }
    this.#add()
  }

  payload({ tag, payloadBytes, region }: SectionHeader, pointer: number): void {
    if (tag !== Tag.PAGES && tag !== Tag.ZERO) {
      this.#add()
      return
    }
    const counts = this.#regions[region] as RegionReport
    if (tag === Tag.PAGES) {
      const pageCount = Math.ceil(payloadBytes / PAGE_BYTES)
      counts.dataPages += pageCount
      this.#add(pageCount)
    } else {
      const pageCount = new DataView(this.memory.buffer, this.memory.byteOffset + pointer, 4).getUint32(
        0,
        true,
      )
      counts.zeroPages += pageCount
      this.#add(pageCount)
    }
  }

  complete(): void {
    this.#add()
  }

  report(bytes: number, verified: boolean): StreamReport {
    return {
      verified,
      bytes,
      header: this.#header as StreamHeader,
      configuration: this.#configuration,
      regions: this.#regions,
      tags: this.#tags,
      sections: this.#sections,
      truncated: this.#sectionCount > this.#sections.length,
      sectionCount: this.#sectionCount,
    }
  }

  #add(pageCount?: number): void {
    const { section, offset } = this.#current as { section: SectionHeader; offset: number }
    const { sequence, payloadBytes, region, first } = section
    const tag = tagName(section.tag)
    const totals = (this.#tags[tag] ??= { sections: 0, payloadBytes: 0 })
    totals.sections++
    totals.payloadBytes += payloadBytes
    const positioned = section.tag === Tag.STATE || section.tag === Tag.OPAQUE
    const report: SectionReport = {
      sequence,
      tag,
      offset,
      payloadBytes,
      ...(positioned ? { first } : {}),
      ...(pageCount === undefined ? {} : { region, first, pageCount }),
    }
    this.#sectionCount++
    if (this.#sections.length < LISTED_SECTIONS) this.#sections.push(report)
    this.#onSection?.(report)
  }
}
