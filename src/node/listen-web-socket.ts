/**
 * Waits for WebSockets of other processes and of browsers.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { WebSocketServer } from 'ws'
import { VfioError } from '../errors.ts'
import { canceled, type MessageDuplexOptions, messageLimits } from '../transport/index.ts'
import type { Connection, Listener } from './connection.ts'
import { checkRemote } from './loopback.ts'
import { socketError } from './socket-error.ts'
import { serverTls, type TlsOptions } from './tls-options.ts'
import { addressOf, Handshakes } from './web-socket-handshakes.ts'
import { connectionOver, WEB_SOCKET_CONNECT_MS } from './web-socket.ts'
import { WEB_SOCKET_MESSAGE_BYTES, WebSocketChannel } from './web-socket-channel.ts'
import type { WebSocketUrl } from './transport-url.ts'
import { formatWebSocketUrl, parseWebSocketUrl } from './web-socket-url.ts'

/** So much of a page's origin is told. */
const MAX_TOLD_ORIGIN = 200

/** Options of {@link listenWebSocket}. `connectTimeoutMs` counts from the first byte of a connection. */
export interface ListenWebSocketOptions extends MessageDuplexOptions {
  /** Cancels listening; later it closes the listener. */
  readonly signal?: AbortSignal | undefined
  /** Accepts connections of other machines, although nothing proves who they are. */
  readonly allowRemote?: boolean | undefined
  /** For `wss:`: `cert` and `key` at least. */
  readonly tls?: TlsOptions | undefined
  /** Origins of pages that may connect (`https://example.org`). Default: none, and every page names its own. */
  readonly origins?: readonly string[] | undefined
  /** Subprotocols of which a client must ask for one. */
  readonly protocols?: readonly string[] | undefined
  /** Told of connections that failed before they were one. */
  readonly onRefused?: ((error: VfioError) => void) | undefined
}

/**
 * Listens on `ws:HOST:PORT[/PATH]` (port 0 for any) or `wss:...`, and hands out every connection once the other end
 * has said hello. Another path, an origin that is not allowed and plain HTTP are refused.
 *
 * @throws {@link VfioError} EINVAL no URL, or no certificate for TLS; EPERM a host that other machines reach; ECANCELED by
 * the signal; else the system's errno
 * @example
 * ```ts
 * import { restore, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { listenWebSocket } from 'stopcopy/node'
 * const device = await VfioDevice.open(createMtty())
 * const listener = await listenWebSocket('ws:127.0.0.1:0/mtty', (connection) => {
 *   void restore(device, connection).then(() => connection.close())
 * })
 * await listener.close()
 * ```
 */
export async function listenWebSocket(
  url: string,
  onConnection: (connection: Connection) => void,
  options: ListenWebSocketOptions = {},
): Promise<Listener> {
  const target = parseWebSocketUrl(url)
  const { signal } = options
  if (signal?.aborted === true) throw canceled(`listen on "${url}"`, signal)
  checkRemote(target, url, options)
  // Before somebody connects.
  messageLimits(WEB_SOCKET_MESSAGE_BYTES, options)
  const sockets = await createWebSocketServer(options)
  const server = createHttpServer(target, url, options)
  const handshakes = new Handshakes(server, options.connectTimeoutMs ?? WEB_SOCKET_CONNECT_MS)
  acceptWebSockets(server, sockets, target, options, handshakes, onConnection)
  const port = await listening(server, target, url)
  const listener = new HttpListener(server, formatWebSocketUrl({ ...target, port }), handshakes)
  if (signal === undefined) return listener
  listener.closeOn(signal)
  if (!signal.aborted) return listener
  await listener.close()
  throw canceled(`listen on "${url}"`, signal)
}

function createHttpServer({ scheme }: WebSocketUrl, url: string, { tls }: ListenWebSocketOptions): Server {
  if (scheme === 'ws') return createServer()
  return createTlsServer(serverTls(tls ?? {}, url))
}

async function createWebSocketServer({ protocols = [] }: ListenWebSocketOptions): Promise<WebSocketServer> {
  // Only when it is wanted: Deno asks for the environment when `ws` is loaded.
  const { WebSocketServer } = await import('ws')
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: WEB_SOCKET_MESSAGE_BYTES,
    handleProtocols: (offered) => protocols.find((protocol) => offered.has(protocol)) ?? false,
  })
}

function acceptWebSockets(
  server: Server,
  sockets: WebSocketServer,
  { scheme, path }: WebSocketUrl,
  options: ListenWebSocketOptions,
  handshakes: Handshakes,
  onConnection: (connection: Connection) => void,
): void {
  const { origins = [], protocols = [] } = options
  const refuse = (socket: Socket, status: string, reason: string): void => {
    socket.on('error', () => {})
    socket.once('finish', () => socket.destroy())
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    options.onRefused?.(new VfioError('EPERM', `Cannot serve ${addressOf(socket)}: ${reason}`))
  }
  const introduce = async (connection: Connection, socket: Socket): Promise<void> => {
    try {
      await connection.open?.()
    } catch (error) {
      options.onRefused?.(error as VfioError)
      return
    }
    handshakes.finish(socket)
    onConnection(connection)
  }
  server.on('tlsClientError', (error) => options.onRefused?.(socketError(error, 'serve a client')))
  server.on('request', (_, response) => response.writeHead(426, { connection: 'close' }).end())
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const { origin } = request.headers
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (request.url?.split('?')[0] !== path) {
      return refuse(socket, '404 Not Found', `it asked for another path, connect to ${path}`)
    }
    // Any page can connect to this machine; browsers say which one it is.
    if (origin !== undefined && !origins.includes(origin)) {
      const page = JSON.stringify(origin.slice(0, MAX_TOLD_ORIGIN))
      return refuse(socket, '403 Forbidden', `pages of ${page} are not allowed, see \`origins\``)
    }
    if (protocols.length > 0 && !protocols.some((name) => offered.includes(name))) {
      return refuse(socket, '400 Bad Request', `it speaks none of ${protocols.join(', ')}`)
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const peer = `${scheme}://${addressOf(socket)}`
      const { connectTimeoutMs = WEB_SOCKET_CONNECT_MS } = options
      const channel = new WebSocketChannel(webSocket, `serve ${peer}`)
      const connection = connectionOver(channel, peer, { ...options, connectTimeoutMs })
      void introduce(connection, socket)
    })
  })
}

/** @returns the port */
function listening(server: Server, { host, port }: WebSocketUrl, url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(socketError(error, `listen on "${url}"`))
    server.once('error', fail)
    server.listen({ host, port }, () => {
      server.off('error', fail)
      // Such as EMFILE: that connection is lost, and the next one may not be.
      server.on('error', () => {})
      resolve((server.address() as AddressInfo).port)
    })
  })
}

class HttpListener implements Listener {
  readonly url: string
  readonly #server: Server
  readonly #handshakes: Handshakes
  #forget: () => void = () => {}

  constructor(server: Server, url: string, handshakes: Handshakes) {
    this.#server = server
    this.url = url
    this.#handshakes = handshakes
  }

  closeOn(signal: AbortSignal): void {
    const close = (): void => void this.close()
    signal.addEventListener('abort', close)
    this.#forget = () => signal.removeEventListener('abort', close)
  }

  async close(): Promise<void> {
    this.#forget()
    // Its own callback waits for the connections, too.
    this.#server.close()
    this.#handshakes.giveUp()
    // The handle is closed in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
