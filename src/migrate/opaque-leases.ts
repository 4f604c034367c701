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
  /** Whether the session's end is not permanent yet (PRE_COPY). */
  #running = false
  #driverBytes = 0
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

  /**
   * Where the driver's stream comes from; opened later, so that the device does not stop for the frame.
   *
   * @param running - whether it is a PRE_COPY session, which has no permanent end until {@link stopped}
   */
  attach(session: MigrationSession, running = false): this {
    this.#session = session
    this.#running = running
    return this
  }

  /** STOP_COPY was entered. */
  stopped(): void {
    this.#running = false
  }

  /** Bytes of the driver's own stream that were read. */
  get driverBytes(): number {
    return this.#driverBytes
  }

  get ended(): AbortSignal | undefined {
    return this.#session?.ended
  }

  /** Bytes of the checked stream that holds `byteLength` bytes of the driver's, when frames are full. */
  wrappedBytes(byteLength: number): number {
    const sections = Math.ceil(byteLength / FRAME_BYTES)
    return this.#openingBytes + sections * SECTION_HEADER_BYTES + byteLength + END_BYTES
  }

  /** @throws {@link VfioError} EAGAIN while the frame is out; ENOMSG in PRE_COPY; else as the session's `read` */
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
        this.#driverBytes += byteLength
        if (byteLength > 0) continue
        // Some drivers say 0 in PRE_COPY, too, where it only means "nothing now" (facts B.3).
        if (!this.#running) this.#isOver = true
        else if (filled === 0) throw nothingNow()
        break
      } catch (error) {
        if (filled === 0 || !isPause(error)) throw error
        break
      }
    }
    if (filled > 0) this.#queue.push(...this.#writer.section(filled))
    if (this.#isOver) this.#queue.push(this.#writer.end())
  }
}

const END_BYTES = SECTION_HEADER_BYTES + END_PAYLOAD_BYTES

/** A read that gave nothing, after which a frame goes out as it is. */
function isPause(error: unknown): boolean {
  return VfioError.is(error, 'EAGAIN') || VfioError.is(error, 'ENOMSG')
}

function nothingNow(): VfioError {
  return new VfioError('ENOMSG', 'Cannot lease: nothing to read now, wait or enter STOP_COPY')
}
