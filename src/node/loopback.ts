/**
 * Addresses that only this machine reaches.
 *
 * @module
 */

import { BlockList, isIP } from 'node:net'
import { VfioError } from '../errors.ts'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether a host or address is this machine only. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === 'localhost') return true
  const family = isIP(host)
  return family !== 0 && LOOPBACK.check(host, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * Refuses to listen where other machines reach, unless that is wanted or TLS tells who they are.
 *
 * @throws {@link VfioError} EPERM
 */
export function checkRemote(
  target: { readonly scheme: string; readonly host?: string },
  url: string,
  options: {
    readonly allowRemote?: boolean | undefined
    readonly tls?: { readonly requestClientCert?: boolean | undefined } | undefined
  },
): void {
  const { allowRemote, tls } = options
  if (target.host === undefined || allowRemote === true || isLoopback(target.host)) return
  const isTls = target.scheme === 'tls' || target.scheme === 'wss'
  if (isTls && tls?.requestClientCert === true) return
  throw new VfioError(
    'EPERM',
    `Cannot listen on "${url}": other machines reach it and nothing proves who they are, ` +
      'use 127.0.0.1, tls: or wss: with `requestClientCert`, or `allowRemote`',
  )
}
