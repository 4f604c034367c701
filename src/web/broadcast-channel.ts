/**
 * Byte duplexes between two of the pages that listen on a BroadcastChannel.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import {
  type ByteDuplex,
  messageDuplex,
  type MessageChannelEvents,
  type MessageChannelLike,
  type MessageDuplexOptions,
} from '../transport/index.ts'
import { type ChannelTarget, listenTo } from './event-listeners.ts'
import { isBounded, oversized, unreadable } from './message-port.ts'

/** Most bytes of one message. */
const MESSAGE_BYTES = 1024 * 1024

/** What is needed of a BroadcastChannel; that of Node has it, too. */
export interface BroadcastChannelLike extends ChannelTarget {
  /** Sends a copy to all other ends. */
  postMessage(message: unknown): void
  /** Leaves the channel. */
  close(): void
}

/** Options of {@link broadcastChannelDuplex}. */
export interface BroadcastChannelOptions extends MessageDuplexOptions {
  /** Name of this end: messages to it are its own, all others are passed over. */
  readonly self: string
  /** Name of the other end, which must name both the other way round. */
  readonly peer: string
}

/**
 * Bytes to one of the ends of a BroadcastChannel, which other ends may use at the same time. Every page that
 * listens gets a copy of all bytes, and every page of the origin can read and forge them; `acceptBroadcast` and
 * `connectBroadcast` use a channel of their own for each pair. Nobody tells when the other page is gone: give
 * time limits to what waits for it.
 *
 * @param channel - a channel, which is left open at the end, or the name of one
 * @throws {@link VfioError} EINVAL when `self` and `peer` are the same or empty
 */
export function broadcastChannelDuplex(
  channel: BroadcastChannelLike | string,
  options: BroadcastChannelOptions,
): ByteDuplex {
  const { self, peer } = options
  if (self === peer || self === '' || peer === '') {
    throw new VfioError('EINVAL', `Cannot connect "${self}" to "${peer}", use two names`)
  }
  return messageDuplex(new AddressedChannel(channel, self, peer), options)
}

class AddressedChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = MESSAGE_BYTES
  readonly #channel: BroadcastChannelLike
  readonly #isOwn: boolean
  readonly #self: string
  readonly #peer: string
  #forget: () => void = () => {}

  constructor(channel: BroadcastChannelLike | string, self: string, peer: string) {
    this.#isOwn = typeof channel === 'string'
    this.#channel = typeof channel === 'string' ? new BroadcastChannel(channel) : channel
    this.#self = self
    this.#peer = peer
  }

  open(events: MessageChannelEvents): void {
    this.#forget = listenTo(this.#channel, {
      message: ({ data }) => {
        const { to, from, bytes, text } = (data ?? {}) as Record<string, unknown>
        if (to !== this.#self || from !== this.#peer) return
        if (isBounded(bytes, MESSAGE_BYTES)) events.message(text ?? bytes)
        else events.closed(oversized())
      },
      // Whose message it was cannot be told.
      messageerror: () => events.closed(unreadable()),
    })
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    const content = typeof message === 'string' ? { text: message } : { bytes: message.buffer }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, no window
    this.#channel.postMessage({ to: this.#peer, from: this.#self, ...content })
  }

  close(): void {
    this.#forget()
    if (this.#isOwn) this.#channel.close()
  }
}
