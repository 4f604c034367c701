/**
 * Byte duplexes over WebRTC data channels.
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

/** Most bytes of one message: what every browser takes, and short enough to let others through. */
const MESSAGE_BYTES = 64 * 1024
/** No more data is given to a channel that has so much to send; below the low mark it goes on. */
const BUFFERED_BYTES = 1024 * 1024
const LOW_BUFFERED_BYTES = 256 * 1024

/** What is needed of an RTCDataChannel. */
export interface RtcDataChannelLike extends ChannelTarget {
  /** Must be true. */
  readonly ordered: boolean
  /** Must be null: sent until it arrives. */
  readonly maxRetransmits: number | null
  /** Must be null: sent until it arrives. */
  readonly maxPacketLifeTime: number | null
  /** 'connecting', 'open', 'closing' or 'closed'. */
  readonly readyState: string
  /** Bytes given to the channel and not sent yet. */
  readonly bufferedAmount: number
  /** At how many of them `bufferedamountlow` is fired. */
  bufferedAmountLowThreshold: number
  /** Set to 'arraybuffer'. */
  binaryType: string
  /** Queues one message. */
  send(message: string | Uint8Array<ArrayBuffer>): void
  /** Closes the channel when all is sent. */
  close(): void
}

/**
 * Bytes over a data channel, which must be ordered and reliable, as they are by default, and carry nothing else.
 * Call it for a channel that the other side opened in the listener of `datachannel`: what arrives before is lost.
 *
 * The channel is encrypted; that the other end is the right one is for who passed the session descriptions on. When
 * its connection is closed or its page is gone, one packet tells, if any, which may be lost: give time limits to what
 * waits for the other end.
 *
 * @throws {@link VfioError} EINVAL when the channel may lose or reorder messages, EPIPE when it was closed
 * @example
 * ```ts
 * import type { ByteDuplex } from 'stopcopy'
 * import { rtcDataChannelDuplex } from 'stopcopy/web'
 * function offer(connection: RTCPeerConnection): ByteDuplex {
 *   return rtcDataChannelDuplex(connection.createDataChannel('device'))
 * }
 * ```
 */
export function rtcDataChannelDuplex(
  channel: RtcDataChannelLike,
  options: MessageDuplexOptions = {},
): ByteDuplex {
  if (!channel.ordered || channel.maxRetransmits !== null || channel.maxPacketLifeTime !== null) {
    throw new VfioError(
      'EINVAL',
      'Cannot connect: the data channel may lose or reorder messages, create it with the default options',
    )
  }
  if (channel.readyState === 'closing' || channel.readyState === 'closed') {
    throw new VfioError('EPIPE', 'Cannot connect: the data channel was closed, open a new one')
  }
  return messageDuplex(new DataChannel(channel), options)
}

class DataChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = MESSAGE_BYTES
  readonly #channel: RtcDataChannelLike
  /** Said before the channel was open. */
  #waiting: (string | Uint8Array<ArrayBuffer>)[] = []
  /** Why it is about to close. */
  #error: unknown
  #forget: () => void = () => {}

  constructor(channel: RtcDataChannelLike) {
    this.#channel = channel
  }

  get isFull(): boolean {
    return this.#channel.bufferedAmount >= BUFFERED_BYTES
  }

  open(events: MessageChannelEvents): void {
    this.#channel.binaryType = 'arraybuffer'
    this.#channel.bufferedAmountLowThreshold = LOW_BUFFERED_BYTES
    this.#forget = listenTo(this.#channel, {
      open: () => {
        for (const message of this.#waiting.splice(0)) this.#channel.send(message)
      },
      message: ({ data }) => events.message(data),
      bufferedamountlow: () => events.drained(),
      error: ({ error }) => {
        this.#error = error
      },
      close: () => events.closed(this.#error),
    })
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#channel.readyState === 'connecting') this.#waiting.push(message)
    else this.#channel.send(message)
  }

  close(): void {
    this.#forget()
    // What was sent before goes out first.
    this.#channel.close()
  }
}
