/**
 * The checked stream of an opaque device, unwrapped: the driver gets only bytes that were verified.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import {
  type Configuration,
  configurationDifference,
  openReader,
  type SectionHeader,
  StreamFault,
  type StreamHandler,
  type StreamHeader,
  type StreamReader,
  Tag,
} from '../format/index.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { WindowSession } from '../transport/index.ts'
import { POLLOUT } from '../uapi/poll.ts'

/** A resuming session of an opaque device as windows for the checked stream. */
export class OpaqueWindows implements WindowSession, StreamHandler {
  readonly #identity: DeviceIdentity
  #session: MigrationSession | undefined
  #reader: StreamReader | undefined
  #bytes: Uint8Array = new Uint8Array(0)
  /** A verified payload the driver has not got yet; stays where it is until the next one begins. */
  #verified: Uint8Array | undefined
  /** A write of a payload to the driver that is under way. */
  #writing: Promise<void> | undefined
  #disposed = false

  private constructor(identity: DeviceIdentity) {
    this.#identity = identity
  }

  /** Takes memory of the default engine: ENOMEM when it has none. {@link dispose} gives it back. */
  static async open(identity: DeviceIdentity): Promise<OpaqueWindows> {
    const windows = new OpaqueWindows(identity)
    const { reader, bytes } = await openReader(windows)
    windows.#reader = reader
    windows.#bytes = bytes
    return windows
  }

  /** Where the driver's stream goes; opened later, so that RESUMING is not entered without memory. */
  attach(session: MigrationSession): this {
    this.#session = session
    return this
  }

  get ended(): AbortSignal | undefined {
    return this.#session?.ended
  }

  window(maxBytes: number): Uint8Array {
    return this.#open.window(maxBytes)
  }

  /** @throws {@link VfioError} what is wrong with the stream, or as the session's `write` */
  commit(byteLength: number): void | Promise<void> {
    this.#open.commit(byteLength)
    if (this.#verified === undefined) return undefined
    const verified = this.#verified
    this.#verified = undefined
    this.#writing = this.#write(verified)
    return this.#writing
  }

  /** @throws {@link VfioError} EINVAL when the stream is incomplete */
  finish(): void {
    this.#open.finish()
  }

  /** Gives the memory back, once the driver reads nothing from it any more. */
  dispose(): void {
    this.#disposed = true
    const free = (): void => this.#open.dispose()
    if (this.#writing === undefined) free()
    else void this.#writing.then(free, free)
  }

  header(header: StreamHeader): void {
    const { type, version } = this.#identity
    const { deviceType, deviceVersion, opaque } = header
    if (deviceType !== type) {
      throw new StreamFault(
        'EINVAL',
        `it holds a "${deviceType}", this device is a "${type}"`,
        'restore it to a device of that type',
      )
    }
    if (!opaque) {
      throw new StreamFault(
        'EINVAL',
        'it holds checked state and pages, this device loads a stream of its own',
        'restore it to the kind of device it was saved from',
      )
    }
    if (deviceVersion < 1 || deviceVersion > version) {
      throw new StreamFault(
        'EOPNOTSUPP',
        `device version ${deviceVersion} is not one of 1 to ${version} that this device loads`,
        'use a newer release of the device',
      )
    }
  }

  configuration(configuration: Configuration): void {
    const difference = configurationDifference(this.#identity.configuration ?? {}, configuration)
    if (difference === undefined) return
    throw new StreamFault('EINVAL', difference, 'open the device with the same options')
  }

  payload(section: SectionHeader, pointer: number): void {
    if (section.tag === Tag.OPAQUE) {
      this.#verified = this.#bytes.subarray(pointer, pointer + section.payloadBytes)
    }
  }

  get #open(): StreamReader {
    return this.#reader as StreamReader
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#writeAll(bytes)
    } finally {
      this.#writing = undefined
    }
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    const session = this.#session as MigrationSession
    for (let at = 0; at < bytes.length && !this.#disposed;) {
      try {
        at += await session.write(bytes.subarray(at))
      } catch (error) {
        if (!VfioError.is(error, 'EAGAIN')) throw error
        await session.ready(POLLOUT)
      }
    }
  }
}
