/**
 * URLs of WebSockets as people write them: `ws:HOST:PORT[/PATH]` or `ws://HOST:PORT/PATH`, the same with `wss`.
 *
 * @module
 */

import { BlockList, isIP } from 'node:net'
import { VfioError } from '../errors.ts'

/** A URL, taken apart. */
export interface WebSocketUrl {
  readonly scheme: 'ws' | 'wss'
  /** Without the brackets of an IPv6 address. */
  readonly host: string
  readonly port: number
  /** Begins with a slash. */
  readonly path: string
}

/** Takes `url` apart. @throws {@link VfioError} EINVAL when it has none of the forms */
export function parseWebSocketUrl(url: string): WebSocketUrl {
  const [, scheme, bracketed, plain, digits, path = ''] =
    /^(wss?):(?:\/\/)?(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})(\/[\w.~!$&'()*+,;=:@%/-]*)?$/.exec(url) ??
    []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || !(port <= 65_535)) {
    throw new VfioError(
      'EINVAL',
      `Cannot use "${url}": it is no WebSocket, write ws:HOST:PORT/PATH or wss:HOST:PORT/PATH`,
    )
  }
  return { scheme: scheme as 'ws' | 'wss', host, port, path: path === '' ? '/' : path }
}

/** The URL that everybody takes. */
export function formatWebSocketUrl({ scheme, host, port, path }: WebSocketUrl): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether a host or address is reached by this machine only. */
export function isLoopbackHost(host: string): boolean {
  if (host.toLowerCase() === 'localhost') return true
  const family = isIP(host)
  return family !== 0 && LOOPBACK.check(host, family === 6 ? 'ipv6' : 'ipv4')
}
