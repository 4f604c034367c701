/**
 * The receiving end of the command: opens the device that a source offers, and keeps the one that arrived.
 *
 * @module
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import { VfioError } from '../errors.ts'
import {
  type Hello,
  type ReceiveOptions,
  type ReceiveProgress,
  Receiver,
  type ReceiveReport,
} from '../migrate/index.ts'
import type { Connection } from '../node/index.ts'
import { settle } from '../transport/index.ts'
import type { DeviceSpec } from './device-spec.ts'
import { type OpenedDevice, openCounterpart } from './open-device.ts'

/** A device that is here now. */
export interface Arrival {
  readonly report: ReceiveReport
  readonly opened: OpenedDevice
  readonly peer: string
  /** Aborted when the connection is gone, with a VfioError where it broke. */
  readonly closed: AbortSignal
}

/** What a receiving end is told, and whom it tells. */
export interface ReceivingEndOptions {
  readonly spec: DeviceSpec | undefined
  readonly maxMemory: number
  readonly receive: ReceiveOptions
  readonly onOffer: (opened: OpenedDevice, peer: string) => void
  readonly onProgress: (progress: ReceiveProgress, opened: OpenedDevice) => void
  /** A peer that was refused, or broke off; the next one can come. */
  readonly onRefused: (peer: string, error: unknown) => void
}

/** A connection, and the device that was opened for it. */
interface Guest {
  readonly peer: string
  opened?: OpenedDevice
}

/** Serves every connection; one migration at a time. */
export class ReceivingEnd {
  readonly #options: ReceivingEndOptions
  readonly #receiver: Receiver
  /** Tells the opening function, which the receiver calls, for whom it is. */
  readonly #guests = new AsyncLocalStorage<Guest>()
  readonly #serving = new Set<Promise<void>>()
  readonly #arrivals: Arrival[] = []
  #opened: OpenedDevice | undefined
  #arrived: (() => void) | undefined

  constructor(options: ReceivingEndOptions) {
    this.#options = options
    this.#receiver = new Receiver((offer) => this.#open(offer), {
      ...options.receive,
      onProgress: (progress) => {
        if (this.#opened !== undefined) options.onProgress(progress, this.#opened)
      },
    })
  }

  /** Serves a connection; an arrow, to be passed on. */
  readonly accept = (connection: Connection): void => {
    const serving = this.#serve(connection)
    this.#serving.add(serving)
    void serving.finally(() => this.#serving.delete(serving))
  }

  /** The next device that arrives. @throws the signal's reason */
  async next(signal: AbortSignal): Promise<Arrival> {
    for (;;) {
      const arrival = this.#arrivals.shift()
      if (arrival !== undefined) return arrival
      signal.throwIfAborted()
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#arrived = wake
        signal.addEventListener('abort', wake)
      })
    }
  }

  /** Settles when no connection is served any more, and devices that nobody asked for are closed. */
  async quiet(): Promise<void> {
    while (this.#serving.size > 0) await Promise.all(this.#serving)
    for (const { opened } of this.#arrivals.splice(0)) await opened.close()
  }

  async #serve(connection: Connection): Promise<void> {
    const { peer } = connection
    const guest: Guest = { peer }
    try {
      const report = await this.#guests.run(guest, () => this.#receiver.accept(connection))
      const { opened } = guest
      if (report === undefined || opened === undefined) return
      this.#arrivals.push({ report, opened, peer, closed: connection.closed })
      this.#arrived?.()
    } catch (error) {
      this.#options.onRefused(peer, error)
      await settle(() => guest.opened?.close())
    }
  }

  async #open(offer: Hello): Promise<OpenedDevice['device'][]> {
    const guest = this.#guests.getStore() as Guest
    const [stream, ...more] = offer.streams
    if (stream === undefined || more.length > 0 || offer.memory)
      throw new VfioError(
        'EINVAL',
        'Cannot receive: the source sends several devices or guest memory and this command takes one device, use the library',
      )
    const { type, version, configuration = {} } = stream.identity
    const elsewhere = { type, version, configuration, action: 'receive' } as const
    const { spec, maxMemory, receive } = this.#options
    const signal = receive.signal ?? new AbortController().signal
    guest.opened = await openCounterpart(spec, elsewhere, maxMemory, signal)
    this.#opened = guest.opened
    this.#options.onOffer(guest.opened, guest.peer)
    return [guest.opened.device]
  }
}
