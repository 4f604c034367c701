/**
 * Channels of whole messages: what a byte duplex over them needs.
 *
 * @module
 */

import type { Awaitable, VfioError } from '../errors.ts'

/**
 * A channel that delivers whole messages, in order and without loss while it is open: text (control) and
 * arrays of bytes (data). What was sent before the other end listens may be lost.
 */
export interface MessageChannelLike {
  /** Largest data message it carries, in bytes; at least 1,024. */
  readonly maxMessageBytes: number
  /** It holds so much by itself that no more data should be sent before `drained`. Absent: never. */
  readonly isFull?: boolean
  /** An array for a message; its memory is the channel's from `send` on. Absent: a new one. */
  allocate?(byteLength: number): Uint8Array<ArrayBuffer>
  /** A message of the other end was taken whole: nobody looks at its memory any more. */
  recycle?(message: Uint8Array): void
  /** Starts to deliver; called once. Nothing is delivered before it returned. */
  open(events: MessageChannelEvents): void
  /** Sends a message. A throw means that the channel is broken. */
  send(message: string | Uint8Array<ArrayBuffer>): void
  /**
   * Ends the channel once what was sent is on its way, and calls no event any more. No timer, listener or
   * socket is left when it settled. Called once, also after `closed`.
   *
   * @param failure - why, when the other end had not ended what it sends
   */
  close(failure?: VfioError): Awaitable<void>
}

/** What a channel tells. Everything in it comes from the other side. */
export interface MessageChannelEvents {
  /** A message: text, or bytes as ArrayBuffer or Uint8Array; what is anything else will be refused. */
  message(data: unknown): void
  /** It is not full any more. */
  drained(): void
  /** It ended. A VfioError as `cause` is told to the reader and the writer as it is. */
  closed(cause?: unknown): void
}

/**
 * The bytes of a message, or undefined when it has none. Shared memory is none: it could change after it
 * was verified.
 */
export function messageBytes(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  if (data instanceof Uint8Array && data.buffer instanceof ArrayBuffer) return data
  return undefined
}

/** What a data message uses up of the credit: a peer cannot make us hold millions of tiny messages. */
export function messageCost(byteLength: number): number {
  return Math.max(byteLength, MIN_MESSAGE_COST)
}

/** Credit that the smallest message uses up, in bytes. */
export const MIN_MESSAGE_COST = 1024
