/**
 * Byte duplexes over the WebSocket of browsers (and of Deno, Bun and later releases of Node).
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import {
  type ByteDuplex,
  messageDuplex,
  type MessageChannelEvents,
  type MessageChannelLike,
  type MessageDuplexOptions,
} from '../transport/index.ts'
import { type ChannelTarget, listenTo } from './event-listeners.ts'

/** Most bytes of one message. */
const MESSAGE_BYTES = 1024 * 1024
/** No more data is given to a socket that has so much to send. */
const BUFFERED_BYTES = 2 * 1024 * 1024
/** How often a full socket is looked at, which tells nobody when it is not any more, in milliseconds. */
const POLL_MS = 5
/** How long the end of a socket is waited for, in milliseconds; the browser goes on by itself. */
const CLOSE_MS = 2000
const CONNECT_TIMEOUT_MS = 10_000

/** `readyState` of a WebSocket. */
const CONNECTING = 0
const CLOSED = 3

/** What is needed of a WebSocket. */
export interface WebSocketLike extends ChannelTarget {
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number
  /** Bytes given to the socket and not sent yet. */
  readonly bufferedAmount: number
  /** Set to 'arraybuffer'. */
  binaryType: string
  /** Queues one message. */
  send(message: string | Uint8Array<ArrayBuffer>): void
  /** Closes the socket when all is sent. */
  close(code?: number): void
}

/** Options of {@link webSocketDuplex}. */
export interface WebSocketDuplexOptions extends MessageDuplexOptions {
  /** Subprotocols to ask for; only for a URL. */
  readonly protocols?: readonly string[] | undefined
}

/**
 * Bytes over a WebSocket, to `listenWebSocket` of `stopcopy/node` or another end that speaks the same. A URL is
 * connected to; a socket must have received nothing yet and carry nothing else. `open` waits for the connection,
 * and so do reads and writes, for `connectTimeoutMs` (by default 10 s): ETIMEDOUT then, EPIPE when it fails.
 *
 * @throws {@link VfioError} EINVAL when the URL is none of a WebSocket, EPIPE when the socket was closed
 * @example
 * ```ts
 * import { restore, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { webSocketDuplex } from 'stopcopy/web'
 * async function load(url: string): Promise<void> {
 *   const duplex = webSocketDuplex(url)
 *   await restore(await VfioDevice.open(createMtty()), duplex)
 *   await duplex.close()
 * }
 * ```
 */
export function webSocketDuplex(
  target: string | URL | WebSocketLike,
  options: WebSocketDuplexOptions = {},
): ByteDuplex {
  const { connectTimeoutMs = CONNECT_TIMEOUT_MS, protocols = [] } = options
  const socket = typeof target === 'string' || target instanceof URL ? connect(target, protocols) : target
  if (socket.readyState > 1) {
    throw new VfioError('EPIPE', 'Cannot connect: the WebSocket was closed, open a new one')
  }
  return messageDuplex(new SocketChannel(socket), { ...options, connectTimeoutMs })
}

function connect(url: string | URL, protocols: readonly string[]): WebSocketLike {
  try {
    return new WebSocket(url, [...protocols])
  } catch (cause) {
    const text = `Cannot connect to "${url}": it is no URL of a WebSocket, write ws://HOST:PORT/PATH`
    throw new VfioError('EINVAL', text, { cause })
  }
}

class SocketChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = MESSAGE_BYTES
  readonly #socket: WebSocketLike
  /** Said before the socket was open. */
  #waiting: (string | Uint8Array<ArrayBuffer>)[] = []
  #events: MessageChannelEvents | undefined
  #forget: () => void = () => {}
  /** Runs while the socket is full. */
  #poll: ReturnType<typeof setInterval> | undefined

  constructor(socket: WebSocketLike) {
    this.#socket = socket
  }

  get isFull(): boolean {
    return this.#socket.bufferedAmount >= BUFFERED_BYTES
  }

  open(events: MessageChannelEvents): void {
    this.#events = events
    this.#socket.binaryType = 'arraybuffer'
    this.#forget = listenTo(this.#socket, {
      open: () => {
        for (const message of this.#waiting.splice(0)) this.#socket.send(message)
      },
      message: ({ data }) => events.message(data),
      close: ({ code }) => events.closed(new Error(`The WebSocket ended with code ${Number(code)}`)),
      // `close` follows; without a listener some runtimes end the program.
      error: () => {},
    })
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === CONNECTING) {
      this.#waiting.push(message)
      return
    }
    this.#socket.send(message)
    if (this.isFull) this.#poll ??= setInterval(() => this.#look(), POLL_MS)
  }

  async close(): Promise<void> {
    clearInterval(this.#poll)
    this.#events = undefined
    if (this.#socket.readyState !== CLOSED) await this.#end()
    this.#forget()
  }

  #look(): void {
    if (this.isFull) return
    clearInterval(this.#poll)
    this.#poll = undefined
    this.#events?.drained()
  }

  #end(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        forget()
        resolve()
      }
      const timer = setTimeout(done, CLOSE_MS)
      const forget = listenTo(this.#socket, { close: done })
      this.#socket.close(1000)
    })
  }
}
