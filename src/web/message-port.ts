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
/** Smaller messages get memory of their own. */
const RECYCLED_BYTES: number = MESSAGE_BYTES / 2
/** Buffers that an end keeps at the most. */
const MAX_SPARE = 8

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

/**
 * Text goes as it is, data as a view whose buffer is given away, and `{ spent: buffers }` gives buffers back,
 * with the next text: memory that is made anew for each message costs as much as the copy into it, and the
 * collector's pauses.
 */
class PortChannel implements MessageChannelLike {
  readonly maxMessageBytes: number = MESSAGE_BYTES
  readonly #port: MessagePortLike
  /** To be filled next. */
  #spare: ArrayBuffer[] = []
  /** To be given back. */
  #spent: ArrayBuffer[] = []
  #forget: () => void = () => {}

  constructor(port: MessagePortLike) {
    this.#port = port
  }

  open(events: MessageChannelEvents): void {
    this.#forget = listenTo(this.#port, {
      message: ({ data }) => {
        const spent = (data as { spent?: unknown } | null)?.spent
        if (Array.isArray(spent)) this.#keep(spent)
        else if (isBounded(data, MESSAGE_BYTES)) events.message(data)
        else events.closed(oversized())
      },
      messageerror: () => events.closed(unreadable()),
      close: () => events.closed(),
    })
    this.#port.start?.()
  }

  allocate(byteLength: number): Uint8Array<ArrayBuffer> {
    if (byteLength < RECYCLED_BYTES) return new Uint8Array(byteLength)
    return new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(MESSAGE_BYTES), 0, byteLength)
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (typeof message !== 'string') {
      this.#port.postMessage(message, [message.buffer])
      return
    }
    if (this.#spent.length > 0) this.#port.postMessage({ spent: this.#spent }, this.#spent)
    this.#spent = []
    this.#port.postMessage(message, [])
  }

  recycle({ buffer }: Uint8Array): void {
    if (isSpare(buffer) && this.#spent.length < MAX_SPARE) this.#spent.push(buffer)
  }

  #keep(spent: readonly unknown[]): void {
    for (const buffer of spent)
      if (isSpare(buffer) && this.#spare.length < MAX_SPARE) this.#spare.push(buffer)
  }

  close(): void {
    this.#forget()
    this.#spare = []
    this.#spent = []
    // The scope of a worker has `close`, too: that would end the worker.
    if (this.#port.start !== undefined) this.#port.close?.()
  }
}

/** A buffer that can be filled again, whoever it came from. */
function isSpare(buffer: unknown): buffer is ArrayBuffer {
  return buffer instanceof ArrayBuffer && buffer.byteLength === MESSAGE_BYTES
}

/** Whether the memory behind a message is bounded, too: a short view can have a large buffer. */
export function isBounded(data: unknown, maxBytes: number): boolean {
  return !ArrayBuffer.isView(data) || data.buffer.byteLength <= maxBytes
}

/** What a message with too much memory breaks. */
export function oversized(): VfioError {
  return new VfioError(
    'EPROTO',
    `Cannot take a message: its buffer has more than the ${MESSAGE_BYTES} bytes agreed on, check the other end`,
  )
}

/** What a message that cannot be deserialised here breaks. */
export function unreadable(): VfioError {
  return new VfioError('EPROTO', 'Cannot take a message: it cannot be deserialised, check the other end')
}
