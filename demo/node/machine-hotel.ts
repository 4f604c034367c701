/**
 * A Node process that takes machines from the page, runs them, and gives them back.
 *
 * It listens on two ports: on the first it takes (path `/take`, the page sends), on the next it gives
 * (`/give`, the page receives).
 *
 * @module
 */

import { type Hello, type MigrateReport, migrate, Receiver, type ReceiveReport, VfioDevice } from 'stopcopy'
import { type Connection, type Listener, listenWebSocket } from 'stopcopy/node'
import createDevice, { type NodeMachine } from './machine.ts'

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
export interface Guest extends NodeMachine {
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
  /** Its machine is not here any more, whatever fails at its end. */
  const leave = async (guest: Guest | undefined): Promise<void> => {
    for (const end of ['close', 'destroy'] as const)
      try {
        await (end === 'close' ? guest?.device.close() : guest?.destroy())
      } catch (error) {
        say(`cannot ${end} ${guest?.name}: ${words(error)}`)
      }
  }
  const take = async (connection: Connection): Promise<void> => {
    let guest: Guest | undefined
    const receiver = new Receiver(async (hello) => {
      guest = await roomFor(hello)
      return [guest.device]
    })
    try {
      const report = await receiver.accept(connection)
      if (report === undefined || guest === undefined) return
      guests.push(guest)
      say(arrival(report, guest))
    } catch (error) {
      say(`refused: ${words(error)}`)
      await leave(guest)
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
      await leave(guest)
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
      await Promise.all(guests.splice(0).map(leave))
    },
  }
}

/** A machine that can take over what the page's holds; it runs until then. */
async function roomFor({ streams: [offer] }: Hello): Promise<Guest> {
  const { type = '', version = 1, configuration = {} } = offer?.identity ?? {}
  const made = await createDevice({ type, version, configuration })
  try {
    return { ...made, device: await VfioDevice.open(made.driver) }
  } catch (error) {
    await made.destroy()
    throw error
  }
}

function arrival({ bytes, phases }: ReceiveReport, { name, describe }: Guest): string {
  const ms = (phases.loadMs + phases.waitMs + phases.startMs).toFixed(1)
  return `${name} came: ${bytes} bytes, it runs here from ${describe()} (loaded and started in ${ms} ms)`
}

function departure({ bytes, downtimeMs = 0 }: MigrateReport, { name, describe }: Guest): string {
  return `${name} went at ${describe()}: ${bytes} bytes, down for ${downtimeMs.toFixed(1)} ms`
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
