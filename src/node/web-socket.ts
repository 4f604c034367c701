/**
 * Byte connections over WebSockets, of the `ws` package; `webSocketDuplex` of `stopcopy/web` is their other end in
 * a browser.
 *
 * @module
 */

import { canceled, messageDuplex, type MessageDuplexOptions } from '../transport/index.ts'
import type { Connection } from './connection.ts'
import { isLoopback } from './loopback.ts'
import { clientTls, type TlsOptions } from './tls-options.ts'
import { WEB_SOCKET_MESSAGE_BYTES, WebSocketChannel } from './web-socket-channel.ts'
import { formatWebSocketUrl, parseWebSocketUrl } from './web-socket-url.ts'

/** Options of {@link connectWebSocket}. */
export interface ConnectWebSocketOptions extends MessageDuplexOptions {
  /** Cancels connecting. */
  readonly signal?: AbortSignal | undefined
  /** Subprotocols to ask for. */
  readonly protocols?: readonly string[] | undefined
  /** For `wss:`. Certificates are checked whatever the environment says. */
  readonly tls?: TlsOptions | undefined
}

/** How long a connection may take until both ends have said hello, in milliseconds. */
export const WEB_SOCKET_CONNECT_MS: number = 10_000

/**
 * Connects to `ws:HOST:PORT[/PATH]` or `wss:...` (`ws://...` means the same), and waits until the other end
 * has answered as one that speaks of bytes as we do.
 *
 * @throws {@link VfioError} EINVAL no URL; ETIMEDOUT no answer within `connectTimeoutMs` (by default 10 s); EPROTO
 * the server refused or speaks otherwise; ECANCELED by the signal; else the system's errno
 * @example
 * ```ts
 * import { save, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { connectWebSocket } from 'stopcopy/node'
 * async function send(url: string): Promise<void> {
 *   const connection = await connectWebSocket(url)
 *   await save(await VfioDevice.open(createMtty()), connection)
 * }
 * ```
 */
export async function connectWebSocket(
  url: string,
  options: ConnectWebSocketOptions = {},
): Promise<Connection> {
  const target = parseWebSocketUrl(url)
  const { signal, connectTimeoutMs = WEB_SOCKET_CONNECT_MS, protocols = [], tls = {} } = options
  const action = `connect to "${url}"`
  // Only when it is wanted: Deno asks for the environment when `ws` is loaded.
  const { WebSocket } = await import('ws')
  if (isAborted(signal)) throw canceled(action, signal as AbortSignal)
  const isPrivate = target.scheme === 'wss' || isLoopback(target.host)
  const socket = new WebSocket(formatWebSocketUrl(target), [...protocols], {
    ...(target.scheme === 'wss' ? clientTls(tls, target.host) : undefined),
    perMessageDeflate: false,
    maxPayload: WEB_SOCKET_MESSAGE_BYTES,
    // Masks keep proxies from being misled by what passes through them; here no proxy sees it.
    ...(isPrivate ? { generateMask: (mask: Buffer) => void mask.fill(0) } : {}),
  })
  const channel = new WebSocketChannel(socket, action)
  socket.once('unexpected-response', (_, { statusCode }) => channel.refused(statusCode))
  const connection = connectionOver(channel, formatWebSocketUrl(target), { ...options, connectTimeoutMs })
  const abort = (): void => void connection.abort(canceled(action, signal as AbortSignal))
  signal?.addEventListener('abort', abort)
  try {
    await connection.open?.()
    return connection
  } catch (error) {
    // What is left of it would outlive the call.
    await connection.abort(error)
    throw isAborted(signal) ? canceled(action, signal as AbortSignal) : error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

/** A call, so that the compiler does not remember an earlier answer. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

/** A connection over a channel that belongs to it. @throws {@link VfioError} EINVAL as `messageDuplex` */
export function connectionOver(
  channel: WebSocketChannel,
  peer: string,
  options: MessageDuplexOptions,
): Connection {
  try {
    // A message duplex has leases, and promises.
    const duplex = messageDuplex(channel, options) as Connection
    return Object.assign(duplex, { peer, closed: channel.closed })
  } catch (error) {
    void channel.close()
    throw error
  }
}
