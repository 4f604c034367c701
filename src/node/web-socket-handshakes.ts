/**
 * Connections of a server that are none yet: bounded in time, whatever they wait for.
 *
 * @module
 */

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

interface Handshake {
  readonly socket: Socket
  readonly timer: NodeJS.Timeout
}

/** From the first packet over TLS and HTTP to the first word of the other end, with one time limit. */
export class Handshakes {
  /** By address and port of the other end: the socket below TLS is another object. */
  readonly #pending = new Map<string, Handshake>()

  constructor(server: Server, timeoutMs: number) {
    server.on('connection', (socket: Socket) => {
      const address = addressOf(socket)
      const timer = setTimeout(() => socket.destroy(), timeoutMs)
      this.#pending.set(address, { socket, timer })
      socket.once('close', () => this.#forget(address))
    })
  }

  /** It is a connection now. */
  finish(socket: Socket): void {
    this.#forget(addressOf(socket))
  }

  /** Gives all of them up. */
  giveUp(): void {
    for (const { socket } of this.#pending.values()) socket.destroy()
  }

  #forget(address: string): void {
    clearTimeout(this.#pending.get(address)?.timer)
    this.#pending.delete(address)
  }
}

/** Address and port of the other end, IPv6 in brackets. */
export function addressOf({ remoteAddress = '?', remotePort = 0 }: Socket): string {
  return `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`
}
