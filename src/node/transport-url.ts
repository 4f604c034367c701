/**
 * Where to connect or listen, as people write it.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Of a UNIX or TCP socket. */
export type SocketUrl =
  | { readonly scheme: 'unix'; readonly path: string }
  | { readonly scheme: 'tcp' | 'tls'; readonly host: string; readonly port: number }

/** Of a WebSocket. */
export interface WebSocketUrl {
  readonly scheme: 'ws' | 'wss'
  readonly host: string
  readonly port: number
  /** Begins with a slash. */
  readonly path: string
}

/** A transport URL, taken apart. */
export type TransportUrl = SocketUrl | WebSocketUrl

/** Whether a URL is one of a WebSocket. */
export function isWebSocketUrl(target: TransportUrl): target is WebSocketUrl {
  return target.scheme === 'ws' || target.scheme === 'wss'
}

const FORMS = 'unix:PATH, tcp:HOST:PORT, tls:HOST:PORT, ws:HOST:PORT/PATH or wss:HOST:PORT/PATH'
/** `sun_path` on Linux, less the zero at its end. Beyond it some systems cut the name silently. */
const PATH_BYTES = 107

/** Takes `url` apart. @throws {@link VfioError} EINVAL when it has none of the forms */
export function parseTransportUrl(url: string): TransportUrl {
  const colon = url.indexOf(':')
  const scheme = url.slice(0, Math.max(colon, 0))
  const rest = url.slice(colon + 1)
  switch (scheme) {
    case 'unix':
      return { scheme, path: socketPath(url, rest) }
    case 'tcp':
    case 'tls':
      return { scheme, ...hostAndPort(url, rest.replace(/^\/\//, '')) }
    case 'ws':
    case 'wss': {
      const [, address = '', path = ''] = /^(?:\/\/)?([^/]*)(.*)$/s.exec(rest) ?? []
      if (!/^(?:\/[\w.~!$&'()*+,;=:@%/?-]*)?$/.test(path)) {
        throw new VfioError('EINVAL', `Cannot use "${url}": "${path}" is no path, write ${FORMS}`)
      }
      return { scheme, ...hostAndPort(url, address), path: path === '' ? '/' : path }
    }
    default:
      throw new VfioError('EINVAL', `Cannot use "${url}": it is no transport, write ${FORMS}`)
  }
}

/** The URL of a host and a port. */
export function hostUrl(scheme: string, host: string, port: number, path = ''): string {
  return `${scheme}:${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}

function socketPath(url: string, path: string): string {
  if (path === '' || path.includes('\0')) {
    throw new VfioError('EINVAL', `Cannot use "${url}": it names no path, write unix:PATH`)
  }
  if (new TextEncoder().encode(path).length > PATH_BYTES) {
    throw new VfioError(
      'EINVAL',
      `Cannot use "${url}": the path has more than ${PATH_BYTES} bytes, shorten it`,
    )
  }
  return path
}

function hostAndPort(url: string, address: string): { host: string; port: number } {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/.exec(address) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) {
    throw new VfioError(
      'EINVAL',
      `Cannot use "${url}": it needs a host and a port up to 65535, write ${FORMS}`,
    )
  }
  return { host, port }
}
