/**
 * URLs of WebSockets: as people write them here, and as everybody takes them.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { hostUrl, isWebSocketUrl, parseTransportUrl, type WebSocketUrl } from './transport-url.ts'

/** Takes `ws:HOST:PORT[/PATH]`, `ws://...` or the same with `wss` apart. @throws {@link VfioError} EINVAL */
export function parseWebSocketUrl(url: string): WebSocketUrl {
  const target = parseTransportUrl(url)
  if (isWebSocketUrl(target)) return target
  throw new VfioError(
    'EINVAL',
    `Cannot use "${url}": it is no WebSocket, write ws:HOST:PORT/PATH or wss:HOST:PORT/PATH`,
  )
}

/** The URL that everybody takes. */
export function formatWebSocketUrl({ scheme, host, port, path }: WebSocketUrl): string {
  return hostUrl(scheme, host, port, path).replace(':', '://')
}
