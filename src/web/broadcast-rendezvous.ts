/**
 * How two pages find each other by the name of a BroadcastChannel.
 *
 * ```text
 * the page that connects (C)            the page that accepts (A)
 * { seek, from: C } ------------------>                              to whoever accepts
 *                   <------------------ { offer, from: A, to: C }    to all without `to`, when it begins
 * { take, from: C, to: A } ----------->                              the first offer is taken
 *                   <------------------ { taken, from: A, to: C }    all see it: who took A in vain seeks again
 * ```
 *
 * The bytes then go over a channel that only the two open. Names of ends are random and made for one connection.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ByteDuplex, MessageDuplexOptions } from '../transport/index.ts'
import { broadcastChannelDuplex } from './broadcast-channel.ts'
import { listenTo } from './event-listeners.ts'

/** Options of {@link acceptBroadcast} and {@link connectBroadcast}. */
export interface BroadcastRendezvousOptions extends MessageDuplexOptions {
  /** Stops the waiting. */
  readonly signal?: AbortSignal | undefined
}

interface Word {
  readonly kind: 'seek' | 'offer' | 'take' | 'taken'
  readonly from: string
  readonly to?: string
}

/**
 * Offers this page under `name` and waits for one that connects. Call it again for the next one.
 *
 * @throws {@link VfioError} ECANCELED when `signal` was aborted
 * @example
 * ```ts
 * import { acceptBroadcast, connectBroadcast } from 'stopcopy/web'
 * const [here, there] = await Promise.all([acceptBroadcast('devices'), connectBroadcast('devices')])
 * await Promise.all([here.close(), there.close()])
 * ```
 */
export function acceptBroadcast(name: string, options: BroadcastRendezvousOptions = {}): Promise<ByteDuplex> {
  const self = randomName()
  return meet(name, options, undefined, (say) => {
    say({ kind: 'offer', from: self })
    return ({ kind, from, to }) => {
      if (kind === 'seek') say({ kind: 'offer', from: self, to: from })
      if (kind !== 'take' || to !== self) return undefined
      const duplex = broadcastChannelDuplex(pairName(name, self, from), { ...options, self, peer: from })
      say({ kind: 'taken', from: self, to: from })
      return duplex
    }
  })
}

/**
 * Connects to a page that offers itself under `name`, now or within `connectTimeoutMs` (by default 10 s).
 *
 * @throws {@link VfioError} ETIMEDOUT when no page did, ECANCELED when `signal` was aborted
 */
export function connectBroadcast(
  name: string,
  options: BroadcastRendezvousOptions = {},
): Promise<ByteDuplex> {
  const self = randomName()
  const { connectTimeoutMs = 10_000 } = options
  let wanted: string | undefined
  return meet(name, options, connectTimeoutMs, (say) => {
    say({ kind: 'seek', from: self })
    return ({ kind, from, to }) => {
      if (kind === 'offer' && wanted === undefined && (to === undefined || to === self)) {
        wanted = from
        say({ kind: 'take', from: self, to: from })
      }
      if (kind !== 'taken' || from !== wanted) return undefined
      if (to === self) {
        return broadcastChannelDuplex(pairName(name, from, self), { ...options, self, peer: from })
      }
      wanted = undefined
      say({ kind: 'seek', from: self })
      return undefined
    }
  })
}

/** Talks on the channel of that name until `begin`'s listener has a duplex. */
function meet(
  name: string,
  { signal }: BroadcastRendezvousOptions,
  timeoutMs: number | undefined,
  begin: (say: (word: Word) => void) => (word: Word) => ByteDuplex | undefined,
): Promise<ByteDuplex> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(stopped(name, signal))
      return
    }
    const channel = new BroadcastChannel(name)
    const abort = (): void => finish(() => reject(stopped(name, signal as AbortSignal)))
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => finish(() => reject(nobody(name, timeoutMs))), timeoutMs)
    signal?.addEventListener('abort', abort)
    const finish = (settle: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      forget()
      channel.close()
      settle()
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, no window
    const hear = begin((word) => channel.postMessage(word))
    const forget = listenTo(channel, {
      message: ({ data }) => {
        const word = wordOf(data)
        const duplex = word === undefined ? undefined : hear(word)
        if (duplex !== undefined) finish(() => resolve(duplex))
      },
    })
  })
}

/** What is no word of ours is somebody else's use of the channel. */
function wordOf(data: unknown): Word | undefined {
  const { kind, from, to } = (data ?? {}) as Record<string, unknown>
  if (typeof kind !== 'string' || !isName(from) || !(to === undefined || isName(to))) return undefined
  return { kind: kind as Word['kind'], from, ...(to === undefined ? {} : { to }) }
}

/** Not `randomUUID`, which only secure contexts have. */
function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[\da-f]{32}$/.test(value)
}

function pairName(name: string, accepting: string, connecting: string): string {
  return `${name}/${accepting}/${connecting}`
}

function stopped(name: string, signal: AbortSignal): VfioError {
  const text = `Cannot meet a page on "${name}": it was canceled, start it again`
  return new VfioError('ECANCELED', text, { cause: signal.reason })
}

function nobody(name: string, timeoutMs: number): VfioError {
  return new VfioError(
    'ETIMEDOUT',
    `Cannot connect to "${name}": no page accepted within ${timeoutMs} ms, open the other page`,
  )
}
