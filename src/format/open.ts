/**
 * Readers and opaque writers on the shared default engine, for rooms that hold no engine themselves.
 *
 * @module
 */

import { defaultEngine, type Engine } from '../engine/index.ts'
import type { Configuration } from './configuration.ts'
import { configurationFingerprint, encodeConfiguration } from './configuration.ts'
import { StreamReader } from './reader.ts'
import type { StreamHandler } from './stream-handler.ts'
import { FRAME_BYTES, MAX_CONFIG_BYTES, Tag } from './section.ts'
import { StreamWriter } from './writer.ts'

/** A reader on the default engine. */
export async function openReader(
  handler: StreamHandler,
  options: { verifyPayloads?: boolean } = {},
): Promise<{ reader: StreamReader; bytes: Uint8Array }> {
  const engine = await defaultEngine()
  return { reader: new StreamReader(engine, handler, options), bytes: engine.bytes }
}

/** Wraps a driver's own stream in OPAQUE sections of at most {@link FRAME_BYTES}. */
export class OpaqueWriter {
  readonly #engine: Engine
  readonly #writer: StreamWriter
  readonly #configuration: Configuration
  readonly #frame: number
  #position = 0

  private constructor(engine: Engine, writer: StreamWriter, configuration: Configuration, frame: number) {
    this.#engine = engine
    this.#writer = writer
    this.#configuration = configuration
    this.#frame = frame
  }

  /** Takes {@link FRAME_BYTES} of the default engine: ENOMEM when it has none. */
  static async open(device: {
    type: string
    version: number
    configuration: Configuration
  }): Promise<OpaqueWriter> {
    const engine = await defaultEngine()
    const frame = engine.allocate(Math.max(FRAME_BYTES, MAX_CONFIG_BYTES))
    try {
      const writer = new StreamWriter(engine, {
        opaque: true,
        checksum: 'xxh3',
        deviceType: device.type,
        deviceVersion: device.version,
        fingerprint: configurationFingerprint(device.configuration),
      })
      return new OpaqueWriter(engine, writer, device.configuration, frame)
    } catch (error) {
      engine.free(frame)
      throw error
    }
  }

  /** Where the caller puts the next piece of the driver's stream. */
  get frame(): Uint8Array {
    return this.#engine.bytes.subarray(this.#frame, this.#frame + FRAME_BYTES)
  }

  /** The stream header and the CONFIG section. */
  begin(): Uint8Array[] {
    const header = this.#writer.header()
    const configuration = encodeConfiguration(this.#configuration)
    this.#engine.bytes.set(configuration, this.#frame)
    const payloadBytes = configuration.length
    return [
      header,
      this.#writer.section({ tag: Tag.CONFIG, payload: this.#frame, payloadBytes }),
      configuration,
    ]
  }

  /** The section of the first `byteLength` bytes of {@link frame}: its header and a view of the frame. */
  section(byteLength: number): Uint8Array[] {
    const plan = { tag: Tag.OPAQUE, payload: this.#frame, payloadBytes: byteLength, first: this.#position }
    this.#position += byteLength
    return [this.#writer.section(plan), this.frame.subarray(0, byteLength)]
  }

  /** The END section. */
  end(): Uint8Array {
    return this.#writer.end()
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#writer.dispose()
    this.#engine.free(this.#frame)
  }
}
