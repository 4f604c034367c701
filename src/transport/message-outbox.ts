/**
 * The sending direction of a message duplex: writes cut into messages, within the credit of the peer.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { type MessageChannelLike, messageCost } from './message-channel.ts'
import type { MessageLimits } from './message-control.ts'

/** Sends bytes. At most one write or close is under way. */
export class MessageOutbox {
  readonly #channel: MessageChannelLike
  readonly #send: (message: string | Uint8Array<ArrayBuffer>) => void
  /** Most bytes that were sent and not granted again, whatever the peer offers. */
  readonly #maxInFlight: number
  #windowBytes = 0
  #maxMessageBytes = 0
  #inFlight = 0
  #isBusy = false
  #isEnding = false
  #isEnded = false
  #failure: VfioError | undefined
  /** Of the one write or close under way. */
  #wake: () => void = () => {}

  /** @param send - sends on the channel; it does not throw but fails this outbox */
  constructor(
    channel: MessageChannelLike,
    maxInFlight: number,
    send: (message: string | Uint8Array<ArrayBuffer>) => void,
  ) {
    this.#channel = channel
    this.#maxInFlight = maxInFlight
    this.#send = send
  }

  /** Whether nothing more will be sent and all was delivered, or it failed. */
  get isOver(): boolean {
    return this.#isEnded || this.#failure !== undefined
  }

  /** Whether the peer has everything. */
  get isDelivered(): boolean {
    return this.#isEnded
  }

  /** What the peer takes. Nothing is sent before this. */
  open(limits: MessageLimits): void {
    this.#windowBytes = Math.min(limits.windowBytes, this.#maxInFlight)
    this.#maxMessageBytes = Math.min(
      limits.maxMessageBytes,
      this.#channel.maxMessageBytes,
      Math.floor(this.#windowBytes / 2),
    )
    this.#wake()
  }

  /** The peer took so many bytes. @throws {@link VfioError} EPROTO when it did not have them */
  granted(byteLength: number): void {
    if (byteLength > this.#inFlight) {
      throw new VfioError(
        'EPROTO',
        `Cannot write: ${byteLength} bytes were granted of ${this.#inFlight} in flight, check the other end`,
      )
    }
    this.#inFlight -= byteLength
    this.#wake()
  }

  /** The peer has everything. @throws {@link VfioError} EPROTO when it was not told of the end */
  ended(): void {
    if (!this.#isEnding || this.#isEnded) {
      throw new VfioError('EPROTO', 'Cannot write: the end was confirmed early, check the other end')
    }
    this.#isEnded = true
    this.#wake()
  }

  /** The channel may have room again. */
  drained(): void {
    this.#wake()
  }

  /** A write or close under way settles. */
  fail(failure: VfioError): void {
    if (this.isOver) return
    this.#failure = failure
    this.#wake()
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    return this.#alone(async () => {
      if (this.#isEnding) {
        throw new VfioError('EPIPE', 'Cannot write: this end was closed, open a new connection')
      }
      const left = chunks.reduce((total, { length }) => total + length, 0)
      if (left > 0) await this.#sendChunks(chunks, left)
    })
  }

  /** Tells the end and waits until the peer has everything. */
  close(): Promise<void> {
    return this.#alone(async () => {
      // The peer may not listen yet.
      await this.#change(() => this.#windowBytes > 0)
      if (!this.#isEnding) {
        this.#isEnding = true
        this.#send('end')
      }
      await this.#change(() => this.#isEnded)
    })
  }

  async #sendChunks(chunks: readonly Uint8Array[], byteLength: number): Promise<void> {
    let left = byteLength
    let message = await this.#next(left)
    let filled = 0
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + message.length - filled)
        message.set(part, filled)
        at += part.length
        filled += part.length
        if (filled < message.length) continue
        this.#inFlight += messageCost(filled)
        this.#send(message)
        left -= filled
        filled = 0
        if (left > 0) message = await this.#next(left)
      }
    }
    this.#check()
  }

  /** The array of the next message, once it may be sent. */
  async #next(left: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.#change(() => {
      if (this.#windowBytes === 0 || this.#channel.isFull === true) return false
      return this.#inFlight + messageCost(Math.min(left, this.#maxMessageBytes)) <= this.#windowBytes
    })
    const byteLength = Math.min(left, this.#maxMessageBytes)
    return this.#channel.allocate?.(byteLength) ?? new Uint8Array(byteLength)
  }

  async #alone(call: () => Promise<void>): Promise<void> {
    this.#check()
    if (this.#isBusy) throw new VfioError('EBUSY', 'Cannot write: a write is under way, wait for it')
    this.#isBusy = true
    try {
      await call()
    } finally {
      this.#isBusy = false
    }
  }

  /** Waits until `isDone`, or throws the failure. */
  async #change(isDone: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isDone()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }
}
