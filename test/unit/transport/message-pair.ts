/** Two ends of a message channel in one memory, with every message recorded and the test in its middle. @module */

import type { MessageChannelEvents, MessageChannelLike } from '../../../src/transport/message-channel.ts'

/** One end. What it sends arrives at the other in a later microtask. */
export class TestChannel implements MessageChannelLike {
  maxMessageBytes: number
  isFull = false
  isClosed = false
  /** Everything this end sent. */
  readonly sent: (string | Uint8Array)[] = []
  /** What a broken channel throws. */
  sendFailure: Error | undefined
  other: TestChannel | undefined
  #events: MessageChannelEvents | undefined

  constructor(maxMessageBytes = 1024) {
    this.maxMessageBytes = maxMessageBytes
  }

  open(events: MessageChannelEvents): void {
    this.#events = events
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.sendFailure !== undefined) throw this.sendFailure
    this.sent.push(message)
    queueMicrotask(() => this.other?.deliver(message))
  }

  close(): void {
    this.isClosed = true
    queueMicrotask(() => this.other?.break())
  }

  /** As if the other end had sent it. */
  deliver(message: unknown): void {
    this.#events?.message(message)
  }

  /** As if the other end had closed it. */
  break(cause?: unknown): void {
    this.#events?.closed(cause)
  }

  drain(): void {
    this.isFull = false
    this.#events?.drained()
  }

  /** Bytes of the data messages it sent. */
  get sentBytes(): number {
    return this.sent.reduce((total, message) => total + (typeof message === 'string' ? 0 : message.length), 0)
  }

  /** Its control messages. */
  get said(): string[] {
    return this.sent.filter((message) => typeof message === 'string')
  }
}

/** Two connected ends. */
export function channelPair(maxMessageBytes?: number): [TestChannel, TestChannel] {
  const [here, there] = [new TestChannel(maxMessageBytes), new TestChannel(maxMessageBytes)]
  here.other = there
  there.other = here
  return [here, there]
}
