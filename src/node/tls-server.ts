/**
 * A server whose connections are handed out when their handshake is done, and cut when it is not.
 *
 * @module
 */

import type { Socket } from 'node:net'
import { createServer, type Server, type TlsOptions } from 'node:tls'
import { VfioError } from '../errors.ts'
import { socketError } from './socket-error.ts'
import { hostUrl } from './transport-url.ts'

const HANDSHAKE_TIMEOUT_MS = 10_000

/** What the server tells and waits for. */
export interface TlsServerOptions {
  readonly handshakeTimeoutMs?: number | undefined
  readonly onRefused?: ((error: VfioError) => void) | undefined
}

/** A server that is not listening yet. @throws {@link VfioError} EINVAL when a certificate or key is no such thing */
export function createTlsServer(
  tls: TlsOptions,
  options: TlsServerOptions,
  onSocket: (socket: Socket, peer: string) => void,
): Server {
  const { handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS, onRefused } = options
  /** Handshakes under way, by peer: TLS sockets do not tell what they are made of. */
  const handshakes = new Map<string, (error?: unknown) => void>()
  const server = create(tls)
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    const settle = (error?: unknown): void => {
      clearTimeout(timer)
      if (handshakes.get(peer) !== settle) return
      if (error === undefined) socket.allowHalfOpen = true
      handshakes.delete(peer)
      if (error !== undefined) onRefused?.(socketError(error, `accept ${peer}`))
    }
    const timer = setTimeout(() => {
      settle(
        new VfioError(
          'ETIMEDOUT',
          `Cannot accept ${peer}: no handshake in ${handshakeTimeoutMs} ms, check it`,
        ),
      )
      socket.destroy()
    }, handshakeTimeoutMs)
    handshakes.set(peer, settle)
    socket.once('close', () =>
      settle(
        new VfioError(
          'EPERM',
          `Cannot accept ${peer}: it left, or its certificate is not trusted, check \`ca\``,
        ),
      ),
    )
  })
  server.on('tlsClientError', (error, socket) => {
    handshakes.get(peerOf(socket))?.(error)
    socket.destroy()
  })
  server.on('secureConnection', (socket) => {
    const peer = peerOf(socket)
    handshakes.get(peer)?.()
    // Not before: who hangs up in the handshake would keep it open until its time is over.
    socket.allowHalfOpen = true
    onSocket(socket, peer)
  })
  return server
}

function create(tls: TlsOptions): Server {
  try {
    return createServer({ ...tls, noDelay: true })
  } catch (error) {
    throw new VfioError(
      'EINVAL',
      `Cannot use the certificate: ${(error as Error).message}, check \`cert\` and \`key\``,
      {
        cause: error,
      },
    )
  }
}

function peerOf(socket: Socket): string {
  return hostUrl('tls', socket.remoteAddress ?? '?', socket.remotePort ?? 0)
}
