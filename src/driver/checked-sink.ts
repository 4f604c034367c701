/**
 * The checked resuming session of a defined device.
 *
 * Pages land where they belong and are verified there; a device that leaves RESUMING without loading
 * goes back to power-on content. Register state lands in a staging block and reaches the device only
 * after everything was verified: checksums, ranges, the author's own `validate`.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import {
  type Configuration,
  configurationDifference,
  PAGE_BYTES,
  type SectionHeader,
  StreamFault,
  StreamReader,
  type StreamHandler,
  type StreamHeader,
  Tag,
} from '../format/index.ts'
import type { ResumeEnd } from '../session/session-end.ts'
import { clearMemory } from './clear-memory.ts'
import type { MemoryRegion } from './memory-region.ts'

/** What the sink needs of its device. */
export interface CheckedSinkOptions {
  readonly engine: Engine
  readonly deviceType: string
  readonly deviceVersion: number
  /** The configuration this device would write at a version of its state. */
  readonly configurationAt: (version: number) => Configuration
  readonly regions: readonly MemoryRegion[]
  /** Bytes of packed state at a version. */
  readonly stateBytesAt: (version: number) => number
  /** 32 bytes of engine memory for zero scans. */
  readonly bitmap: number
}

/** The driver's side of a resuming session. */
export class CheckedSink implements ResumeEnd, StreamHandler {
  readonly direction = 'resume'
  readonly #options: CheckedSinkOptions
  readonly #reader: StreamReader
  #version = 0
  #staging = 0
  #ended = false

  /** ENOMEM when the engine has no room. */
  constructor(options: CheckedSinkOptions) {
    this.#options = options
    this.#reader = new StreamReader(options.engine, this)
  }

  /** Version of the state in the stream. */
  get version(): number {
    return this.#version
  }

  /** Where the packed state of {@link version} stands, verified by checksum. */
  get staging(): number {
    return this.#staging
  }

  /** Refuses writes from outside until the end: what a stream brings and what a user stores must not mix. */
  freeze(): void {
    this.#setFrozen(true)
  }

  write(src: Uint8Array): number {
    return this.#reader.write(src)
  }

  window(maxBytes: number): Uint8Array {
    return this.#reader.window(maxBytes)
  }

  commit(byteLength: number): void {
    this.#reader.commit(byteLength)
  }

  /**
   * RESUMING to STOP: the whole stream must have come.
   *
   * @throws {@link VfioError} EINVAL, with the content failure as its cause where there was one
   */
  finish(): void {
    const failure = this.#reader.failure
    if (failure === undefined) this.#reader.finish()
    else
      throw new VfioError(
        'EINVAL',
        `Cannot load device state: the stream was refused, reset the device (${failure.message})`,
        {
          cause: failure,
          ...(failure.section === undefined ? {} : { section: failure.section }),
          ...(failure.offset === undefined ? {} : { offset: failure.offset }),
        },
      )
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#setFrozen(false)
    this.#reader.dispose()
    if (this.#staging !== 0) this.#options.engine.free(this.#staging)
    this.#staging = 0
  }

  header(header: StreamHeader): void {
    const { deviceType, deviceVersion } = this.#options
    if (header.opaque)
      throw new StreamFault(
        'EINVAL',
        'it holds the stream of an opaque device',
        'restore it to a device of that type',
      )
    if (header.deviceType !== deviceType)
      throw new StreamFault(
        'EINVAL',
        `it holds a "${header.deviceType}", this device is a "${deviceType}"`,
        'restore it to a device of that type',
      )
    if (header.deviceVersion < 1 || header.deviceVersion > deviceVersion)
      throw new StreamFault(
        'EOPNOTSUPP',
        `device version ${header.deviceVersion} is not one of 1 to ${deviceVersion} that this device loads`,
        'use a newer release of the device',
      )
    this.#version = header.deviceVersion
  }

  configuration(configuration: Configuration): void {
    const difference = configurationDifference(this.#options.configurationAt(this.#version), configuration)
    if (difference !== undefined)
      throw new StreamFault('EINVAL', difference, 'open the device with the same options')
    const bytes = this.#options.stateBytesAt(this.#version)
    if (bytes > 0) this.#staging = this.#options.engine.allocate(bytes)
  }

  place(section: SectionHeader): number | undefined {
    if (section.tag === Tag.STATE) return this.#staging + section.first
    return (this.#options.regions[section.region] as MemoryRegion).pointer + section.first * PAGE_BYTES
  }

  payload(section: SectionHeader, pointer: number): void {
    if (section.tag !== Tag.ZERO) return
    const { engine, regions, bitmap } = this.#options
    const region = regions[section.region] as MemoryRegion
    const count = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, 8).getUint32(0, true)
    const from = section.first * PAGE_BYTES
    clearMemory(engine, region.pointer + from, Math.min(count * PAGE_BYTES, region.byteLength - from), bitmap)
  }

  #setFrozen(frozen: boolean): void {
    for (const region of this.#options.regions) region.frozen = frozen
  }
}
