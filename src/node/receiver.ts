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
  /** The window that the next read lands in; else it is the ring's place. */
  #window: Uint8Array | undefined

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
      buffer: () => this.#window ?? ring.place,
      callback: (byteLength) => {
        this.#received(ring, byteLength)
        return this.#window !== undefined || ring.free
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
        onStop(error)
      },
    }
    this.#pour()
    this.resume()
  }

  /** From now on no window is written. */
  withdraw(): void {
    this.#filling = undefined
    if (this.#window === undefined) return
    this.#window = undefined
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
    if (this.#window === undefined) {
      ring.received(byteLength)
      this.#tell()
    } else {
      this.#window = undefined
      this.#attempt(({ windows }) => windows.commit(byteLength))
    }
    // What is held comes first.
    if (ring.byteLength === 0) this.#attempt((filling) => (this.#window = this.#next(filling, WINDOW_BYTES)))
  }

  #tell(): void {
    if (this.#filling === undefined) this.wake()
    else this.#pour()
  }

  #pour(): void {
    while (this.held.byteLength > 0 && this.#filling !== undefined) {
      this.#attempt((filling) => {
        const window = this.#next(filling, this.held.byteLength)
        if (window !== undefined) filling.windows.commit(this.held.take(window))
      })
    }
  }

  #next(filling: Filling, maxBytes: number): Uint8Array | undefined {
    const window = filling.windows.window(maxBytes)
    if (window.length > 0) return window
    filling.stop()
    return undefined
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
