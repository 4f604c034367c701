/**
 * One device's stream on its way into the device.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { type Awaitable, VfioError } from '../../errors.ts'
import type { MigrationSession } from '../../session/migration-session.ts'
import type { Absorbed, SessionWorker } from '../../session/session-end.ts'
import { settle, type WindowSession } from '../../transport/index.ts'
import { DeviceState } from '../../uapi/state.ts'
import { StreamTail } from '../live/stream-tail.ts'
import { OpaqueWindows } from '../opaque-windows.ts'

/** A resuming session as windows for the checked stream, whatever the device's own stream is. */
export class IncomingStream implements WindowSession {
  readonly device: MigrationDevice
  readonly tail: StreamTail = new StreamTail()
  readonly absorb?: (src: Uint8Array) => Promise<Absorbed>
  /** Bytes of the stream that the device took. */
  position = 0
  readonly #session: MigrationSession
  readonly #unwrapped: OpaqueWindows | undefined
  readonly #windows: WindowSession
  #window: Uint8Array | undefined

  /** Enters RESUMING. @throws {@link VfioError} what the device throws */
  static async open(device: MigrationDevice, worker?: SessionWorker): Promise<IncomingStream> {
    const unwrapped =
      device.identity.stream === 'opaque' ? await OpaqueWindows.open(device.identity) : undefined
    try {
      const session = await device.setState(DeviceState.RESUMING)
      if (session === undefined)
        throw new VfioError('EIO', 'Cannot receive: RESUMING opened no session, reset the device')
      if (worker !== undefined) await session.attachWorker?.(worker)
      return new IncomingStream(device, session, unwrapped)
    } catch (error) {
      unwrapped?.dispose()
      throw error
    }
  }

  private constructor(
    device: MigrationDevice,
    session: MigrationSession,
    unwrapped: OpaqueWindows | undefined,
  ) {
    this.device = device
    this.#session = session
    this.#unwrapped = unwrapped
    const windows: WindowSession = unwrapped?.attach(session) ?? session
    this.#windows = windows
    if (windows.absorb !== undefined)
      this.absorb = async (src) => {
        const absorbed = await (windows.absorb as (src: Uint8Array) => Awaitable<Absorbed>)(src)
        this.#took(src.subarray(0, absorbed.byteLength))
        return absorbed
      }
  }

  get ended(): AbortSignal | undefined {
    return this.#windows.ended
  }

  window(maxBytes: number): Awaitable<Uint8Array> {
    const opened = this.#windows.window(maxBytes)
    if (opened instanceof Promise) return opened.then((window) => (this.#window = window))
    this.#window = opened
    return opened
  }

  commit(byteLength: number): Awaitable<void> {
    // Before the session has it: the memory behind the window may change then.
    this.#took((this.#window as Uint8Array).subarray(0, byteLength))
    return this.#windows.commit(byteLength)
  }

  ready(events: number, options?: { signal?: AbortSignal }): Promise<number> {
    return this.#session.ready(events, options)
  }

  /**
   * All bytes came: compares totals and digest, and has the device load them.
   *
   * @throws {@link VfioError} EPROTO other totals; EBADMSG another digest; what the device says of its state
   */
  async load(expected: { bytes: number; digest: string }, name: string): Promise<void> {
    if (expected.bytes !== this.position)
      throw new VfioError(
        'EPROTO',
        `Cannot load ${name}: ${this.position} bytes came and the source sent ${expected.bytes}, migrate again`,
      )
    if (expected.digest !== this.tail.digest)
      throw new VfioError(
        'EBADMSG',
        `Cannot load ${name}: its digest is not the one of the source, migrate again`,
      )
    this.#unwrapped?.finish()
    await this.device.setState(DeviceState.STOP)
  }

  /** Gives memory back; the device is elsewhere by now. */
  async close(): Promise<void> {
    this.#unwrapped?.dispose()
    await settle(async () => this.#session.close())
  }

  #took(bytes: Uint8Array): void {
    this.tail.add(bytes)
    this.position += bytes.length
  }
}
