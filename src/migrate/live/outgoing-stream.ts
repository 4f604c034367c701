/**
 * One device's stream on its way out: leases of its session, and what is known of them.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { type Awaitable, VfioError } from '../../errors.ts'
import type { MigrationSession } from '../../session/migration-session.ts'
import { type LeaseSession, settle } from '../../transport/index.ts'
import { OpaqueLeases } from '../opaque-leases.ts'
import { RemainingBytes } from '../remaining-bytes.ts'
import { StreamTail } from './stream-tail.ts'
import { ZeroPageMeter } from './zero-page-meter.ts'

/** What a try to lease gave. */
export type Leased = Uint8Array | 'idle' | 'busy' | 'ended'

/** A saving session as leases of the checked stream, whatever the device's own stream is. */
export class OutgoingStream {
  readonly device: MigrationDevice
  readonly index: number
  readonly remaining: RemainingBytes = new RemainingBytes()
  readonly tail: StreamTail = new StreamTail()
  readonly zeroPages: ZeroPageMeter = new ZeroPageMeter()
  /** Bytes that were handed to a connection. */
  position = 0
  /** The session gave its permanent end. */
  ended = false
  /** The session had nothing at the last look. */
  idle = false
  /** The last epoch whose initial bytes were announced, and the last that was acknowledged. */
  announcedEpoch = -1
  loadedEpoch = -1
  #wrapped: OpaqueLeases | undefined
  #session: MigrationSession | undefined
  #leases: LeaseSession | undefined
  #wrappedBytes = 0
  /** Writes under way, oldest first: how many leases each has, and whether the sink let go of them. */
  readonly #writes: { count: number; done: boolean }[] = []
  /** Leases that a session without answer yet still has to take back. */
  #releasing: Promise<void> | undefined

  constructor(device: MigrationDevice, index: number) {
    this.device = device
    this.index = index
  }

  /** Takes the memory that wrapping needs, before the device does anything. */
  async prepare(): Promise<void> {
    if (this.device.identity.stream === 'opaque')
      this.#wrapped = await OpaqueLeases.open(this.device.identity)
  }

  get session(): MigrationSession | undefined {
    return this.#session
  }

  /** @param running - whether it is a PRE_COPY session, whose end is not permanent */
  attach(session: MigrationSession, running: boolean): void {
    this.#session = session
    this.#leases = this.#wrapped?.attach(session, running) ?? session
  }

  /** STOP_COPY was entered: the session goes on to its permanent end. */
  stopped(): void {
    this.idle = false
    this.#wrapped?.stopped()
  }

  /** The next bytes, or why there are none. */
  lease(maxBytes: number): Awaitable<Leased> {
    try {
      const leased = (this.#leases as LeaseSession).lease(maxBytes)
      return leased instanceof Promise
        ? leased.then(
            (bytes) => this.#took(bytes),
            (error: unknown) => this.#without(error),
          )
        : this.#took(leased)
    } catch (error) {
      return this.#without(error)
    }
  }

  /** Asks the device what it thinks is left. Absent counters are no failure. */
  async refresh(): Promise<void> {
    const stopCopyBytes = await optional(() => this.device.stopCopyLength?.())
    const info = await optional(() => this.#session?.precopyInfo())
    this.remaining.counters({ stopCopyBytes, ...info })
  }

  /** `count` leases go out with a write; call the result when the sink let go of them. */
  writing(count: number): () => void {
    const write = { count, done: false }
    this.#writes.push(write)
    return () => {
      write.done = true
      while (this.#writes[0]?.done === true) this.#release((this.#writes.shift() as { count: number }).count)
    }
  }

  /** Gives back `count` leases that will not be written, after those that are. */
  abandon(count: number): void {
    if (count > 0) this.writing(count)()
  }

  /** Closes the session, after the leases are back. Never rejects. */
  async close(): Promise<void> {
    await this.#releasing
    this.#wrapped?.dispose()
    await settle(async () => this.#session?.close())
  }

  #took(bytes: Uint8Array): Leased {
    if (bytes.length === 0) {
      this.ended = true
      return 'ended'
    }
    this.idle = false
    this.tail.add(bytes)
    if (this.#wrapped === undefined) {
      this.zeroPages.add(bytes)
      this.remaining.read(bytes.length)
      return bytes
    }
    // The device's counters are of its own bytes.
    const { driverBytes } = this.#wrapped
    this.remaining.read(driverBytes - this.#wrappedBytes)
    this.#wrappedBytes = driverBytes
    return bytes
  }

  #without(error: unknown): Leased {
    if (VfioError.is(error, 'EAGAIN')) return 'busy'
    if (!VfioError.is(error, 'ENOMSG')) throw error
    this.idle = true
    this.remaining.idle()
    return 'idle'
  }

  #release(count: number): void {
    if (this.#releasing === undefined) {
      // Our own sessions take them back at once: there are too many writes for a promise each.
      const asked = this.#releaseNow(count)
      if (asked !== undefined) this.#releasing = settle(() => asked)
      return
    }
    this.#releasing = this.#releasing.then(() => settle(() => this.#releaseNow(count)))
  }

  /** Gives back `count` leases; what it returns is for those that take time. */
  #releaseNow(count: number): Promise<void> | undefined {
    for (let left = count; left > 0; left--) {
      let asked: Awaitable<void> | undefined
      try {
        asked = this.#leases?.release()
      } catch {
        // The session is over; there is nobody left to tell.
        return undefined
      }
      if (asked instanceof Promise) return asked.then(() => this.#releaseNow(left - 1))
    }
    return undefined
  }
}

/** The value, or undefined when the device has none to give. */
async function optional<T>(call: () => Awaitable<T | undefined>): Promise<T | undefined> {
  try {
    return await call()
  } catch {
    return undefined
  }
}
