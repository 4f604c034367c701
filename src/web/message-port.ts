/**
 * Byte duplexes over MessagePorts and Web Workers.
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

/** Most bytes of one message. */
const MESSAGE_BYTES = 1024 * 1024

/** What is needed of a MessagePort, a Worker, or the global scope of one; ports of Node have it, too. */
export interface MessagePortLike extends ChannelTarget {
  /** Sends, and gives the buffers away. */
  postMessage(message: unknown, transfer: ArrayBuffer[]): void
  /** Begins to deliver, where ports wait for that. */
  start?(): void
  /** Closes the port; a worker's scope has it, too, and ends by it. */
  close?(): void
}

/**
 * Bytes over a MessagePort or between a page and its Web Worker, which must use the port for nothing else. The
 * buffers are transferred, so a byte is copied once on its way: out of the writer's memory.
 *
 * A MessagePort is closed at the end; a worker and its scope are left as they are. Not every browser (Chromium 156,
 * for one, does not) tells when the other side of a port is gone: give time limits to what waits for it.
 *
 * @example
 * ```ts
 * import { messagePortDuplex } from 'stopcopy/web'
 * const { port1, port2 } = new MessageChannel()
 * const [here, there] = [messagePortDuplex(port1), messagePortDuplex(port2)]
 * await here.write([Uint8Array.of(1, 2, 3)])
 * console.log(await there.lease!(10)) // Uint8Array(3) [ 1, 2, 3 ]
 * await Promise.all([here.close(), there.close()])
 * ```
 */
export function messagePortDuplex(port: MessagePortLike, options: MessageDuplexOptions = {}): ByteDuplex {
  return messageDuplex(new PortChannel(port), options)
}

class PortChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = MESSAGE_BYTES
  readonly #port: MessagePortLike
  #forget: () => void = () => {}

  constructor(port: MessagePortLike) {
    this.#port = port
  }

  open(events: MessageChannelEvents): void {
    this.#forget = listenTo(this.#port, {
      message: ({ data }) => events.message(data),
      messageerror: () => events.closed(unreadable()),
      close: () => events.closed(),
    })
    this.#port.start?.()
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (typeof message === 'string') this.#port.postMessage(message, [])
    else this.#port.postMessage(message.buffer, [message.buffer])
  }

  close(): void {
    this.#forget()
    // The scope of a worker has `close`, too: that would end the worker.
    if (this.#port.start !== undefined) this.#port.close?.()
  }
}

/** What a message that cannot be deserialised here breaks. */
export function unreadable(): VfioError {
  return new VfioError('EPROTO', 'Cannot take a message: it cannot be deserialised, check the other end')
}
