/**
 * A WebSocket of the `ws` package as a channel of messages.
 *
 * @module
 */

import type { WebSocket } from 'ws'
import { VfioError } from '../errors.ts'
import type { MessageChannelEvents, MessageChannelLike } from '../transport/index.ts'
import { nodeError } from './node-error.ts'

/** Most bytes of one message, and of one that is taken. */
export const WEB_SOCKET_MESSAGE_BYTES: number = 1024 * 1024

/** No more data is given to a socket that has so much to send. */
const BUFFERED_BYTES = 2 * WEB_SOCKET_MESSAGE_BYTES
/** Most buffers that are kept for the next messages, and the smallest message that gets one. */
const SPARE_BUFFERS = 3
const SPARE_BUFFER_MIN_BYTES = 64 * 1024
/** How long the other end may take to close a connection that is over, in milliseconds. */
const CLOSE_MS = 2000

/** Messages over one WebSocket, which this owns from here on. */
export class WebSocketChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = WEB_SOCKET_MESSAGE_BYTES
  readonly #socket: WebSocket
  readonly #action: string
  readonly #closed = new AbortController()
  /** Said before the socket was open. */
  #waiting: string[] = []
  #events: MessageChannelEvents | undefined
  #failure: VfioError | undefined
  #isOver = false
  readonly #spare: ArrayBuffer[] = []

  /** @param action - what failed when the socket fails: "connect to ..." */
  constructor(socket: WebSocket, action: string) {
    this.#socket = socket
    this.#action = action
    socket.on('open', () => {
      for (const message of this.#waiting.splice(0)) this.send(message)
    })
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#events?.message(isBinary ? data : data.toString())
    })
    socket.on('error', (error) => {
      this.#failure ??= socketFailure(error, action)
    })
    socket.once('close', (code) => {
      this.#closed.abort(this.#failure ?? this.#ending())
      this.#events?.closed(this.#failure ?? new Error(`The WebSocket ended with code ${code}`))
    })
  }

  /** Aborted when nothing of the socket is left; the reason is ENOTCONN when it had ended in order. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  get isFull(): boolean {
    return this.#socket.bufferedAmount >= BUFFERED_BYTES
  }

  open(events: MessageChannelEvents): void {
    this.#events = events
  }

  /** Buffers come back when they were written: new ones would have to be cleared by the system, page by page. */
  allocate(byteLength: number): Uint8Array<ArrayBuffer> {
    if (byteLength < SPARE_BUFFER_MIN_BYTES) return new Uint8Array(byteLength)
    return new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(WEB_SOCKET_MESSAGE_BYTES), 0, byteLength)
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (typeof message === 'string') {
      if (this.#socket.readyState === this.#socket.CONNECTING) this.#waiting.push(message)
      else this.#socket.send(message, ignoreFailure)
      return
    }
    this.#socket.send(message, { binary: true }, (error) => {
      if (error) return
      const { buffer } = message
      if (buffer.byteLength === WEB_SOCKET_MESSAGE_BYTES && this.#spare.length < SPARE_BUFFERS) {
        this.#spare.push(buffer)
      }
      this.#events?.drained()
    })
  }

  async close(failure?: VfioError): Promise<void> {
    this.#failure ??= failure
    this.#events = undefined
    this.#isOver = true
    this.#spare.length = 0
    if (this.#closed.signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#socket.terminate(), CLOSE_MS)
      this.#socket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
      this.#socket.close(1000)
    })
  }

  #ending(): VfioError {
    return this.#isOver
      ? new VfioError('ENOTCONN', `Cannot ${this.#action}: both ends have closed it, connect again`)
      : new VfioError('ECONNRESET', `Cannot ${this.#action}: the connection is gone, connect again`)
  }

  /** The HTTP answer that was no WebSocket. */
  refused(status: number | undefined): void {
    this.#failure = new VfioError(
      'EPROTO',
      `Cannot ${this.#action}: the server answered ${status}, check the path and what it allows`,
    )
    this.#socket.terminate()
  }
}

/** Told by `close`, too. */
function ignoreFailure(): void {}

/** What breaks the rules of WebSockets is EPROTO: among it a message longer than agreed on. */
function socketFailure(error: Error, action: string): VfioError {
  const { code } = error as NodeJS.ErrnoException
  if (code?.startsWith('WS_ERR_') === true) {
    const text = `Cannot ${action}: ${error.message}, check the other end`
    return new VfioError('EPROTO', text, { cause: error })
  }
  return nodeError(error, action)
}
