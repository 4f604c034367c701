/**
 * What the bytes of a socket land in: memory of its own until somebody reads, or windows of whoever reads on.
 *
 * @module
 */

import type { OnReadOpts, Socket } from 'node:net'
import type { ByteWindows } from '../transport/index.ts'
import { ChunkQueue } from './chunk-queue.ts'
import { ReceiveRing } from './receive-ring.ts'
import { switchPlace } from './socket-handle.ts'

/** Most bytes of one read into a window. */
const WINDOW_BYTES: number = 1024 * 1024

/** Windows that are being filled. */
interface Filling {
  readonly windows: ByteWindows
  /** The windows end: they gave none, or failed. */
  stop(error?: unknown): void
}

/** Made before its socket, which asks for the place of its first read at once. */
export class Receiver {
  readonly held: ReceiveRing | ChunkQueue
  /** For the constructor of the socket; undefined for sockets that cannot receive into our memory. */
  readonly onread: OnReadOpts | undefined
  /** Called when bytes came that are held. */
  wake: () => void = () => {}
  #socket: Socket | undefined
  #filling: Filling | undefined
  /** The window for the bytes that come next. */
  #window: Uint8Array | undefined
  /** Whether the socket's next read lands in the window; else in the ring's place. */
  #isDirect = false

  /** @param memory without it, the socket's own chunks are held */
  constructor(memory?: Uint8Array) {
    if (memory === undefined) {
      this.held = new ChunkQueue()
      return
    }
    const ring = new ReceiveRing(memory)
    this.held = ring
    this.onread = {
      // Asked for after each call of `callback`, too.
      buffer: () => (this.#isDirect ? (this.#window as Uint8Array) : ring.place),
      callback: (byteLength) => {
        this.#received(ring, byteLength)
        return this.#isDirect || ring.free
      },
    }
  }

  /** The socket, once it is connected. */
  attach(socket: Socket): void {
    this.#socket = socket
    const { held } = this
    if (held instanceof ReceiveRing) return
    socket.on('data', (chunk: Uint8Array) => {
      held.received(chunk)
      this.#tell()
      if (!held.free) socket.pause()
    })
    socket.resume()
  }

  /** Receives into windows from now on, what is held first. `onStop` is called when they end, once. */
  fill(windows: ByteWindows, onStop: (error?: unknown) => void): void {
    this.#filling = {
      windows,
      stop: (error) => {
        this.#filling = undefined
        this.#window = undefined
        this.#isDirect = false
        onStop(error)
      },
    }
    this.#pour()
    this.resume()
  }

  /** From now on no window is written. */
  withdraw(): void {
    this.#filling = undefined
    this.#window = undefined
    if (!this.#isDirect) return
    this.#isDirect = false
    const socket = this.#socket as Socket
    socket.pause()
    switchPlace(socket, (this.held as ReceiveRing).place)
    this.resume()
  }

  /** Receives on when there is room. */
  resume(): void {
    if (this.held.free) this.#socket?.resume()
  }

  #received(ring: ReceiveRing, byteLength: number): void {
    if (this.#isDirect) {
      this.#isDirect = false
      this.#window = undefined
      this.#attempt(({ windows }) => windows.commit(byteLength))
    } else {
      ring.received(byteLength)
    }
    this.#tell()
    // What is held comes first.
    this.#isDirect = this.#window !== undefined && ring.byteLength === 0
  }

  #tell(): void {
    if (this.#filling === undefined) this.wake()
    else this.#pour()
  }

  /** Moves what is held into windows, and has the next window ready. */
  #pour(): void {
    while (this.#filling !== undefined) {
      this.#attempt((filling) => this.#open(filling))
      const window = this.#window
      if (window === undefined || this.held.byteLength === 0) return
      this.#window = undefined
      const byteLength = this.held.take(window)
      this.#attempt(({ windows }) => windows.commit(byteLength))
    }
  }

  #open(filling: Filling): void {
    this.#window ??= filling.windows.window(WINDOW_BYTES)
    if (this.#window.length === 0) filling.stop()
  }

  #attempt(call: (filling: Filling) => void): void {
    const filling = this.#filling
    if (filling === undefined) return
    try {
      call(filling)
    } catch (error) {
      filling.stop(error)
    }
  }
}
