/**
 * A driver's own stream, wrapped in the checked format as it is read.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import { END_PAYLOAD_BYTES, FRAME_BYTES, OpaqueWriter, SECTION_HEADER_BYTES } from '../format/index.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { LeaseSession } from '../transport/index.ts'

/** The saving session of an opaque device as leases of the checked stream; one frame is out at a time. */
export class OpaqueLeases implements LeaseSession {
  readonly #writer: OpaqueWriter
  readonly #queue: Uint8Array[]
  readonly #openingBytes: number
  #session: MigrationSession | undefined
  #leasesOut = 0
  #isOver = false
  /** A read of the session into the frame that is under way. */
  #filling: Promise<void> | undefined
  #disposed = false

  private constructor(writer: OpaqueWriter) {
    this.#writer = writer
    this.#queue = writer.begin()
    this.#openingBytes = this.#queue.reduce((total, { length }) => total + length, 0)
  }

  /** Takes a frame of the default engine: ENOMEM when it has none. {@link dispose} gives it back. */
  static async open(identity: DeviceIdentity): Promise<OpaqueLeases> {
    const { type, version, configuration = {} } = identity
    const writer = await OpaqueWriter.open({ type, version, configuration })
    try {
      return new OpaqueLeases(writer)
    } catch (error) {
      writer.dispose()
      throw error
    }
  }

  /** Where the driver's stream comes from; opened later, so that the device does not stop for the frame. */
  attach(session: MigrationSession): this {
    this.#session = session
    return this
  }

  get ended(): AbortSignal | undefined {
    return this.#session?.ended
  }

  /** Bytes of the checked stream that holds `byteLength` bytes of the driver's, when frames are full. */
  wrappedBytes(byteLength: number): number {
    const sections = Math.ceil(byteLength / FRAME_BYTES)
    return this.#openingBytes + sections * SECTION_HEADER_BYTES + byteLength + END_BYTES
  }

  /** @throws {@link VfioError} EAGAIN while the frame is out; else as the session's `read` */
  async lease(maxBytes: number): Promise<Uint8Array> {
    if (this.#queue.length === 0 && !this.#isOver) {
      this.#filling = this.#fill()
      try {
        await this.#filling
      } finally {
        this.#filling = undefined
      }
    }
    const next = this.#queue[0]
    if (next === undefined) return new Uint8Array(0)
    const bytes = next.subarray(0, maxBytes)
    if (bytes.length === next.length) this.#queue.shift()
    else this.#queue[0] = next.subarray(maxBytes)
    this.#leasesOut++
    return bytes
  }

  release(): void {
    this.#leasesOut--
  }

  ready(events: number, options?: { signal?: AbortSignal }): Promise<number> {
    return (this.#session as MigrationSession).ready(events, options)
  }

  /** Gives the frame back, once the session reads nothing into it any more. */
  dispose(): void {
    this.#disposed = true
    const free = (): void => this.#writer.dispose()
    if (this.#filling === undefined) free()
    else void this.#filling.then(free, free)
  }

  async #fill(): Promise<void> {
    if (this.#leasesOut > 0) throw new VfioError('EAGAIN', 'Cannot lease: the frame is out, release it')
    const { frame } = this.#writer
    const session = this.#session as MigrationSession
    let filled = 0
    while (filled < frame.length && !this.#isOver) {
      try {
        const byteLength = await session.read(frame.subarray(filled))
        if (this.#disposed) return
        filled += byteLength
        this.#isOver = byteLength === 0
      } catch (error) {
        if (filled === 0 || !VfioError.is(error, 'EAGAIN')) throw error
        break
      }
    }
    if (filled > 0) this.#queue.push(...this.#writer.section(filled))
    if (this.#isOver) this.#queue.push(this.#writer.end())
  }
}

const END_BYTES = SECTION_HEADER_BYTES + END_PAYLOAD_BYTES
