/** A handler that keeps all it hears, and a small stream with every kind of section. @module */

import { createEngine, type Engine } from '../../../src/engine/index.ts'
import {
  type Configuration,
  declareRegions,
  PAGE_BYTES,
  type SectionHeader,
  StreamReader,
  type StreamHandler,
  type StreamHeader,
  Tag,
} from '../../../src/format/index.ts'
import {
  buildStream,
  type CraftedSection,
  type CraftedStream,
  TAG,
  zeroRun,
} from '../../support/stream-builder.ts'

/** What a stream said. */
export class StreamRecorder implements StreamHandler {
  streamHeader: StreamHeader | undefined
  options: Configuration | undefined
  state: Uint8Array = new Uint8Array(0)
  opaque: number[] = []
  memory: Uint8Array[] = []
  sections: { section: SectionHeader; offset: number }[] = []
  skipped: number[] = []
  completed = false
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  header(header: StreamHeader): void {
    this.streamHeader = header
  }

  configuration(configuration: Configuration): void {
    this.options = configuration
    this.state = new Uint8Array(Number(configuration['state.bytes'] ?? 0))
    for (let index = 0; configuration[`memory.${index}.bytes`] !== undefined; index++)
      this.memory.push(new Uint8Array(Number(configuration[`memory.${index}.bytes`])).fill(0xee))
  }

  section(section: SectionHeader, offset: number): void {
    this.sections.push({ section, offset })
  }

  payload({ tag, payloadBytes, region, first }: SectionHeader, pointer: number): void {
    const bytes = this.#engine.bytes.slice(pointer, pointer + payloadBytes)
    if (tag === Tag.STATE) this.state.set(bytes, first)
    else if (tag === Tag.PAGES) this.memory[region]?.set(bytes, first * PAGE_BYTES)
    else if (tag === Tag.ZERO) {
      const count = new DataView(bytes.buffer).getUint32(0, true)
      this.memory[region]?.fill(0, first * PAGE_BYTES, (first + count) * PAGE_BYTES)
    } else if (tag === Tag.OPAQUE) this.opaque.push(...bytes)
    else this.skipped.push(tag)
  }

  complete(): void {
    this.completed = true
  }
}

/** One engine for the tests of a file. */
export const testEngine: Engine = await createEngine({ memoryBytes: 4 * 1024 * 1024 })

/** A reader and its recorder. */
export function openRecorder(options?: { verifyPayloads?: boolean }): {
  reader: StreamReader
  recorder: StreamRecorder
} {
  const recorder = new StreamRecorder(testEngine)
  return { reader: new StreamReader(testEngine, recorder, options), recorder }
}

/** Reads a whole stream in one write; the recorder, or the error it is refused with. */
export function readStream(bytes: Uint8Array): StreamRecorder {
  const { reader, recorder } = openRecorder()
  try {
    reader.write(bytes)
    reader.finish()
    return recorder
  } finally {
    reader.dispose()
  }
}

/** The configuration of {@link smallStream}: one region of a zero page and 16 bytes, 6 bytes of state. */
export const SMALL_CONFIGURATION: Configuration = {
  ports: 2,
  fast: true,
  label: 'ünïcode',
  ...declareRegions([{ name: 'ram', byteLength: PAGE_BYTES + 16 }]),
  'state.bytes': 6,
  'state.layout': 0xfedc_ba98_7654_3210n,
}

/** The sections of {@link smallStream} behind CONFIG. */
export const SMALL_SECTIONS: readonly CraftedSection[] = [
  { tag: TAG.ZERO, payload: zeroRun(1) },
  { tag: TAG.PAGES, payload: Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i), first: 1 },
  { tag: TAG.STATE, payload: Uint8Array.of(1, 2, 3, 4) },
  { tag: TAG.STATE, payload: Uint8Array.of(5, 6), first: 4 },
]

/** A good stream of about 600 bytes with every kind of section, or one that differs as told. */
export function smallStream(differences: CraftedStream = {}): Uint8Array {
  return buildStream({ configuration: SMALL_CONFIGURATION, sections: SMALL_SECTIONS, ...differences })
}
