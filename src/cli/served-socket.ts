/**
 * A device at a UNIX socket: one client after the other.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import type { PciFunction } from '../device/pci-function.ts'
import { type Connection, fdPassingObstacle, type Listener, listen, listenFds } from '../node/index.ts'
import { type ServeEvent, type ServeOptions, type ServeReport, serveVfioUser } from '../vfio-user/index.ts'
import { pause } from './pause.ts'

/** What a client is given that comes before the last one is gone: it may be going just now. */
const HANDOVER_MS = 1000

/** Whom a {@link ServedSocket} tells. Clients are numbered from 1. */
export interface ServedSocketEvents {
  readonly onClient: (client: number) => void
  readonly onEvent: (client: number, event: ServeEvent) => void
  readonly onLeft: (client: number, report: ServeReport) => void
  /** It was not served: the device has a client. */
  readonly onRefused: (client: number, error: unknown) => void
}

/** What is served, and how. */
export interface ServedSocketOptions {
  readonly path: string
  /** Whether descriptors are passed where they can be. */
  readonly passFds: boolean
  readonly device: MigrationDevice
  readonly serve: Omit<ServeOptions, 'signal' | 'onEvent'> & { readonly pci: PciFunction }
  readonly signal: AbortSignal
  readonly events: ServedSocketEvents
}

/** Listens, and serves who comes. */
export class ServedSocket {
  readonly #options: ServedSocketOptions
  readonly #serving = new Set<Promise<void>>()
  #active: Promise<void> | undefined
  #clients = 0
  #listener: Listener | undefined

  constructor(options: ServedSocketOptions) {
    this.#options = options
  }

  /** Listens; returns the URL. @throws as `listen` */
  async open(): Promise<string> {
    const url = `unix:${this.#options.path}`
    const accept = (connection: Connection): void => {
      const serving = this.#serve(connection)
      this.#serving.add(serving)
      void serving.finally(() => this.#serving.delete(serving))
    }
    this.#listener = await (this.#options.passFds && fdPassingObstacle() === undefined
      ? listenFds(url, accept)
      : listen(url, accept))
    return this.#listener.url
  }

  /** Takes no more clients, removes the socket, and waits until those there are gone. */
  async close(): Promise<void> {
    await this.#listener?.close()
    while (this.#serving.size > 0) await Promise.all(this.#serving)
  }

  async #serve(connection: Connection): Promise<void> {
    const { device, serve, signal, events } = this.#options
    const client = ++this.#clients
    if (this.#active !== undefined)
      await Promise.race([this.#active, pause(HANDOVER_MS, signal).catch(() => {})])
    const onEvent = (event: ServeEvent): void => events.onEvent(client, event)
    const run = (): Promise<void> =>
      serveVfioUser(device, connection, { ...serve, signal, onEvent }).then(
        (report) => events.onLeft(client, report),
        (error: unknown) => events.onRefused(client, error),
      )
    // Somebody else still, who may have come meanwhile: this one is told that the device is busy.
    if (this.#active !== undefined) return run()
    events.onClient(client)
    this.#active = run().finally(() => {
      this.#active = undefined
    })
    await this.#active
  }
}
