/**
 * A Node process that takes machines from the page, runs them, and gives them back.
 *
 * It listens on two ports: on the first it takes (path `/take`, the page sends), on the next it gives
 * (`/give`, the page receives).
 *
 * @module
 */

import { type MigrateReport, migrate, Receiver, type ReceiveReport, VfioDevice } from 'stopcopy'
import { type Connection, type Listener, listenWebSocket } from 'stopcopy/node'
import { createFramebuffer, type Framebuffer } from '../devices/framebuffer/index.ts'

/** Options of {@link openHotel}. */
export interface HotelOptions {
  /** Of `/take`; `/give` has the next one. 0: any two. */
  readonly port: number
  /** Pages that may connect. */
  readonly origins: readonly string[]
  /** Told what happens, a line each. */
  readonly say: (line: string) => void
}

/** A machine that is here, running without a screen. */
export interface Guest {
  readonly display: Framebuffer
  readonly device: VfioDevice
}

/** The open process. */
export interface Hotel {
  readonly takeUrl: string
  readonly giveUrl: string
  /** In the order in which they came. */
  readonly guests: readonly Guest[]
  close(): Promise<void>
}

/** Listens for pages. */
export async function openHotel({ port, origins, say }: HotelOptions): Promise<Hotel> {
  const guests: Guest[] = []
  const take = async (connection: Connection): Promise<void> => {
    let guest: Guest | undefined
    const receiver = new Receiver(async () => {
      const display = createFramebuffer()
      guest = { display, device: await VfioDevice.open(display) }
      return [guest.device]
    })
    try {
      const report = await receiver.accept(connection)
      if (report === undefined || guest === undefined) return
      guests.push(guest)
      say(arrival(report, guest))
    } catch (error) {
      await guest?.device.close()
      say(`refused: ${words(error)}`)
    }
  }
  const give = async (connection: Connection): Promise<void> => {
    const guest = guests.pop()
    if (guest === undefined) {
      say('asked for a machine: none is here')
      await connection.abort(new Error('no machine is here, send one first'))
      return
    }
    try {
      say(departure(await migrate(guest.device, connection, { downtimeLimitMs: 100 }), guest))
      await guest.device.close()
    } catch (error) {
      // It runs on here.
      guests.push(guest)
      say(`stays: ${words(error)}`)
    }
  }
  const listeners: Listener[] = []
  const open = async (path: string, at: number, serve: (connection: Connection) => Promise<void>) => {
    const listener = await listenWebSocket(
      `ws:127.0.0.1:${at}/${path}`,
      (connection) => void serve(connection),
      {
        origins,
        onRefused: (error) => say(`refused: ${error.message}`),
      },
    )
    listeners.push(listener)
    return listener.url
  }
  const takeUrl = await open('take', port, take)
  const takePort = Number(/:(\d+)\//.exec(takeUrl)?.[1])
  const giveUrl = await open('give', takePort + 1, give)
  return {
    takeUrl,
    giveUrl,
    guests,
    async close() {
      await Promise.all(listeners.map((listener) => listener.close()))
      await Promise.all(guests.splice(0).map(({ device }) => device.close()))
    },
  }
}

function arrival({ bytes, phases }: ReceiveReport, { display }: Guest): string {
  const ms = (phases.loadMs + phases.waitMs + phases.startMs).toFixed(1)
  return `a display came: ${bytes} bytes, it runs here from tick ${display.state.tick} (loaded and started in ${ms} ms)`
}

function departure({ bytes, downtimeMs = 0 }: MigrateReport, { display }: Guest): string {
  return `a display went at tick ${display.state.tick}: ${bytes} bytes, down for ${downtimeMs.toFixed(1)} ms`
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
