/**
 * Waits for connections of other processes.
 *
 * @module
 */

import { type AddressInfo, createServer, type OnReadOpts, type Server, type Socket } from 'node:net'
import { VfioError } from '../errors.ts'
import { canceled } from '../transport/index.ts'
import { type Connection, type ConnectionOptions, type Listener, RECEIVE_BYTES } from './connection.ts'
import { listenWebSocket } from './listen-web-socket.ts'
import { checkRemote, isLoopback } from './loopback.ts'
import { Receiver } from './receiver.ts'
import { SocketDuplex } from './socket-duplex.ts'
import { socketError } from './socket-error.ts'
import { canReceiveInto, receiveInto } from './socket-handle.ts'
import { timedConnection } from './timed-connection.ts'
import { createTlsServer } from './tls-server.ts'
import { serverTls, type TlsOptions } from './tls-options.ts'
import { hostUrl, isWebSocketUrl, parseTransportUrl } from './transport-url.ts'
import { checkSocketPath, placeSocket, removeSocket, temporarySocket } from './unix-path.ts'

/** Options of {@link listen}; those of connections count for each one. */
export interface ListenOptions extends Omit<ConnectionOptions, 'receiveMemory'> {
  /** Cancels listening; later it closes the listener. */
  readonly signal?: AbortSignal | undefined
  /**
   * Accepts connections of other machines, although nothing proves who they are: `tcp:`, and `tls:` without
   * `requestClientCert`, listen on loopback addresses only.
   */
  readonly allowRemote?: boolean | undefined
  /** For `tls:` and `wss:`: `cert` and `key` at least. */
  readonly tls?: TlsOptions | undefined
  /** A TLS handshake that takes longer is cut. Default: 10,000. */
  readonly handshakeTimeoutMs?: number | undefined
  /** For `ws:` and `wss:`: origins of pages that may connect (`https://example.org`). Default: none. */
  readonly origins?: readonly string[] | undefined
  /** Told of connections that failed before they were one, such as by a certificate. */
  readonly onRefused?: ((error: VfioError) => void) | undefined
  /** Where a connection receives, see {@link ConnectionOptions}; asked for each one. */
  readonly receiveMemory?: ((peer: string) => Uint8Array | undefined) | undefined
}

const KEEP_ALIVE_MS = 30_000

/**
 * Listens on `unix:PATH`, `tcp:HOST:PORT` (IPv6 in brackets, port 0 for any), `tls:HOST:PORT`,
 * `ws:HOST:PORT[/PATH]` or `wss:HOST:PORT[/PATH]`, and hands out every connection as it comes.
 *
 * The socket file appears when it takes connections, for this user alone, and is removed by `close`; one that
 * nobody listens on any more is replaced.
 *
 * @throws {@link VfioError} EINVAL no URL, or no certificate for TLS; EPERM a host that other machines reach;
 * EADDRINUSE somebody listens there; EEXIST the path is no socket; ECANCELED by the signal; EOPNOTSUPP no such
 * transport here; else the system's errno
 * @example
 * ```ts
 * import { restore, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { listen } from 'stopcopy/node'
 * const device = await VfioDevice.open(createMtty())
 * const listener = await listen('tcp:127.0.0.1:0', (connection) => {
 *   void restore(device, connection).then(() => connection.close())
 * })
 * await listener.close()
 * ```
 */
export async function listen(
  url: string,
  onConnection: (connection: Connection) => void,
  options: ListenOptions = {},
): Promise<Listener> {
  const target = parseTransportUrl(url)
  const { signal } = options
  if (signal?.aborted === true) throw canceled(`listen on "${url}"`, signal)
  checkRemote(target, url, options)
  if (isWebSocketUrl(target)) {
    const { idleTimeoutMs, timeoutMs } = options
    const take = (connection: Connection): void =>
      onConnection(timedConnection(connection, { idleTimeoutMs, timeoutMs }))
    return listenWebSocket(url, take, { ...options, connectTimeoutMs: options.handshakeTimeoutMs })
  }
  const server =
    target.scheme === 'tls'
      ? createTlsServer(serverTls(options.tls ?? {}, url), options, (socket, peer) =>
          onConnection(connectionOf(socket, new Receiver(), peer, options)),
        )
      : createPlainServer(target.scheme, url, options, onConnection)
  const listener = await (target.scheme === 'unix'
    ? listenOnPath(server, target.path)
    : listenOnPort(server, target, url))
  if (signal === undefined) return listener
  if (signal.aborted) {
    await listener.close()
    throw canceled(`listen on "${url}"`, signal)
  }
  const close = (): void => void listener.close()
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
  return listener
}

function createPlainServer(
  scheme: 'unix' | 'tcp',
  url: string,
  options: ListenOptions,
  onConnection: (connection: Connection) => void,
): Server {
  const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    ...(scheme === 'tcp' ? tcp : {}),
  })
  server.on('connection', (accepted) => {
    const peer =
      scheme === 'unix' ? url : hostUrl(scheme, accepted.remoteAddress ?? '?', accepted.remotePort ?? 0)
    const { socket, receiver } = receiving(accepted, () => options.receiveMemory?.(peer))
    onConnection(connectionOf(socket, receiver, peer, options))
  })
  return server
}

function connectionOf(socket: Socket, receiver: Receiver, peer: string, options: ListenOptions): Connection {
  const { idleTimeoutMs, timeoutMs } = options
  return new SocketDuplex(socket, receiver, peer, { idleTimeoutMs, timeoutMs })
}

/** A socket that receives into our memory, where the runtime can. */
function receiving(
  accepted: Socket,
  memory: () => Uint8Array | undefined,
): { socket: Socket; receiver: Receiver } {
  if (!canReceiveInto(accepted)) return { socket: accepted, receiver: new Receiver() }
  const receiver = new Receiver(memory() ?? new Uint8Array(RECEIVE_BYTES))
  return { socket: receiveInto(accepted, receiver.onread as OnReadOpts), receiver }
}

async function listenOnPath(server: Server, path: string): Promise<Listener> {
  await checkSocketPath(path)
  const temporary = temporarySocket(path)
  await listening(server, { path: temporary }, `unix:${path}`)
  try {
    const placed = await placeSocket(temporary, path)
    return new ServerListener(server, `unix:${path}`, () => removeSocket(placed))
  } catch (error) {
    server.close()
    throw error
  }
}

async function listenOnPort(
  server: Server,
  { scheme, host, port }: { scheme: string; host: string; port: number },
  url: string,
): Promise<Listener> {
  await listening(server, { host, port }, url)
  const bound = server.address() as AddressInfo
  if (isLoopback(host) && !isLoopback(bound.address)) {
    server.close()
    throw new VfioError(
      'EPERM',
      `Cannot listen on "${url}": the name stands for ${bound.address} here, use 127.0.0.1`,
    )
  }
  return new ServerListener(server, hostUrl(scheme, host, bound.port))
}

function listening(
  server: Server,
  where: { path?: string; host?: string; port?: number },
  url: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(socketError(error, `listen on "${url}"`))
    server.once('error', fail)
    server.listen(where, () => {
      server.off('error', fail)
      // Such as EMFILE: that connection is lost, and the next one may not be.
      server.on('error', () => {})
      resolve()
    })
  })
}

class ServerListener implements Listener {
  readonly url: string
  readonly #server: Server
  readonly #remove: () => Promise<void>
  #closing: Promise<void> | undefined

  constructor(server: Server, url: string, remove: () => Promise<void> = async () => {}) {
    this.#server = server
    this.url = url
    this.#remove = remove
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // Its own callback waits for the connections, too.
    this.#server.close()
    await this.#remove()
    // The handle is closed in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
