/**
 * Connections to the other end of a migration.
 *
 * @module
 */

import type { ByteDuplex } from 'stopcopy'
import { FaultyDuplex } from 'stopcopy/testing'
import { acceptBroadcast, connectBroadcast, messagePortDuplex, webSocketDuplex } from 'stopcopy/web'
import type { Link } from './messages.ts'

/** A port tells nobody that its other end is gone: who says nothing for so long is. */
const CONNECT_TIMEOUT_MS = 10_000

/**
 * @param end - who begins is 'connect'
 * @param damageAt - the lowest bit of this byte that is written arrives the other way round
 */
export async function connectionOf(
  link: Link,
  end: 'connect' | 'accept',
  damageAt?: number,
): Promise<ByteDuplex> {
  const duplex = await undamaged(link, end)
  return damageAt === undefined ? duplex : new FaultyDuplex(duplex, { write: { corruptAt: damageAt } })
}

function undamaged(link: Link, end: 'connect' | 'accept'): ByteDuplex | Promise<ByteDuplex> {
  const options = { connectTimeoutMs: CONNECT_TIMEOUT_MS }
  switch (link.via) {
    case 'port':
      return messagePortDuplex(link.port, options)
    case 'broadcast':
      if (end === 'connect') return connectBroadcast(link.meeting, options)
      return acceptBroadcast(link.meeting, { ...options, signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) })
    default:
      return webSocketDuplex(link.url, options)
  }
}
