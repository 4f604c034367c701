/**
 * Connects to a listening process.
 *
 * @module
 */

import { connect as connectNet, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { VfioError } from '../errors.ts'
import { canceled } from '../transport/index.ts'
import { type Connection, type ConnectionOptions, RECEIVE_BYTES } from './connection.ts'
import { giveUpOn } from './give-up-on.ts'
import { Receiver } from './receiver.ts'
import { SocketDuplex } from './socket-duplex.ts'
import { socketError } from './socket-error.ts'
import { clientTls, type TlsOptions } from './tls-options.ts'
import { timedConnection } from './timed-connection.ts'
import { isWebSocketUrl, parseTransportUrl, type SocketUrl } from './transport-url.ts'
import { connectWebSocket } from './web-socket.ts'

/** Options of {@link connect}. */
export interface ConnectOptions extends ConnectionOptions {
  /** Cancels connecting; later it gives up the connection. */
  readonly signal?: AbortSignal | undefined
  /** Until connected, with the TLS handshake. Default: 10,000. */
  readonly connectTimeoutMs?: number | undefined
  /** For `tls:` and `wss:`. */
  readonly tls?: TlsOptions | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
/** A peer that vanished without a word is noticed some minutes after so long. */
const KEEP_ALIVE_MS = 30_000

/**
 * Connects to `unix:PATH`, `tcp:HOST:PORT` (IPv6 in brackets), `tls:HOST:PORT`, `ws:HOST:PORT[/PATH]` or
 * `wss:HOST:PORT[/PATH]`. Over TLS the certificate of
 * the other end must be good for the host (or `tls.servername`).
 *
 * Over TLS 1.3 a listener that does not accept *our* certificate says so after this resolved: the first read
 * fails (EPERM when none was shown) or ends.
 *
 * @throws {@link VfioError} EINVAL no URL; ECONNREFUSED or ENOENT nobody listens; ETIMEDOUT; ECANCELED by the
 * signal; EPERM a certificate is not accepted; EPROTO no TLS there; else the system's errno
 * @example
 * ```ts
 * import { save, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { connect, listen } from 'stopcopy/node'
 * const listener = await listen('tcp:127.0.0.1:0', (connection) => void connection.cancel())
 * const connection = await connect(listener.url)
 * await connection.cancel()
 * await listener.close()
 * ```
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Connection> {
  const target = parseTransportUrl(url)
  const { signal } = options
  if (signal?.aborted === true) throw canceled(`connect to "${url}"`, signal)
  if (isWebSocketUrl(target)) {
    const opened = timedConnection(await connectWebSocket(url, options), options)
    if (signal !== undefined) giveUpOn(signal, opened)
    return opened
  }
  const isTls = target.scheme === 'tls'
  const receiver = new Receiver(isTls ? undefined : (options.receiveMemory ?? new Uint8Array(RECEIVE_BYTES)))
  const socket = openSocket(target, options, receiver)
  const connection = await connected(socket, isTls ? 'secureConnect' : 'connect', url, options, receiver)
  if (signal !== undefined) giveUpOn(signal, connection)
  return connection
}

function openSocket(target: SocketUrl, options: ConnectOptions, { onread }: Receiver): Socket {
  const common = { allowHalfOpen: true, ...(onread === undefined ? {} : { onread }) }
  if (target.scheme === 'unix') return connectNet({ ...common, path: target.path })
  const { host, port } = target
  const alive = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
  if (target.scheme === 'tcp') return connectNet({ ...common, ...alive })
  return connectTls({ ...common, ...alive, ...clientTls(options.tls ?? {}, host) })
}

/** Waits for `event`; destroys the socket when it does not come. */
function connected(
  socket: Socket,
  event: string,
  url: string,
  options: ConnectOptions,
  receiver: Receiver,
): Promise<Connection> {
  const { signal, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options
  const action = `connect to "${url}"`
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.off(event, onConnect)
      socket.off('close', onClose)
    }
    const fail = (error: unknown): void => {
      forget()
      // The listener for errors stays: a socket on its way out may fail again.
      socket.destroy()
      reject(socketError(error, action))
    }
    const onConnect = (): void => {
      forget()
      socket.off('error', fail)
      // At once: its listeners must miss nothing.
      resolve(new SocketDuplex(socket, receiver, url, options))
    }
    const onClose = (): void =>
      fail(new VfioError('ECONNRESET', `Cannot ${action}: the other end hung up, see what it says`))
    const onAbort = (): void => fail(canceled(action, signal as AbortSignal))
    const timer = setTimeout(
      () =>
        fail(new VfioError('ETIMEDOUT', `Cannot ${action}: no answer for ${connectTimeoutMs} ms, check it`)),
      connectTimeoutMs,
    )
    signal?.addEventListener('abort', onAbort)
    socket.on(event, onConnect)
    socket.on('close', onClose)
    socket.on('error', fail)
  })
}
