/**
 * A data channel and a WebSocket that behave as a browser's, without a network: bytes are buffered and leave in
 * pieces, one per turn of the event loop, while the test lets them.
 *
 * @module
 */

import type { ChannelEvent } from '../../../src/web/event-listeners.ts'

type Listener = (event: ChannelEvent) => void

/** What both have: events, and a buffer that empties into the other end. */
class FakeChannel {
  binaryType = 'blob'
  other: this | undefined
  /** Bytes that leave in a turn; 0 holds them back. */
  rate = 1024 * 1024
  /** The most that was buffered at any time. */
  peakBuffered = 0
  readonly sent: (string | Uint8Array)[] = []
  bufferedAmount = 0
  #buffer: (string | ArrayBuffer)[] = []
  #isMoving = false
  #isClosing = false
  readonly #listeners = new Map<string, Set<Listener>>()

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener))
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener)
  }

  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((total, { size }) => total + size, 0)
  }

  emit(type: string, rest: Partial<ChannelEvent> = {}): void {
    for (const listener of this.#listeners.get(type) ?? []) listener({ type, ...rest })
  }

  /** Lets what is buffered go on. */
  move(): void {
    if (this.#isMoving) return
    this.#isMoving = true
    setImmediate(() => this.#turn())
  }

  protected enqueue(message: string | Uint8Array<ArrayBuffer>): void {
    this.sent.push(message)
    // A copy, as the browser makes one.
    this.#buffer.push(typeof message === 'string' ? message : message.slice().buffer)
    this.bufferedAmount += message.length
    this.peakBuffered = Math.max(this.peakBuffered, this.bufferedAmount)
    this.move()
  }

  /** Ends both ends after what is buffered. */
  protected end(): void {
    this.#isClosing = true
    this.move()
  }

  /** What it does when bytes left. */
  protected left(_before: number): void {}

  protected ended(): void {}

  #turn(): void {
    this.#isMoving = false
    const before = this.bufferedAmount
    for (let room = this.rate; room > 0 && this.#buffer.length > 0;) {
      const message = this.#buffer.shift() as string | ArrayBuffer
      const length = typeof message === 'string' ? message.length : message.byteLength
      room -= length
      this.bufferedAmount -= length
      const data =
        typeof message === 'string' || this.other?.binaryType === 'arraybuffer' ? message : new Blob()
      this.other?.emit('message', { data })
    }
    this.left(before)
    if (this.#buffer.length > 0 && this.rate > 0) this.move()
    if (!this.#isClosing || this.#buffer.length > 0) return
    this.ended()
    this.other?.ended()
  }
}

/** An RTCDataChannel. */
export class FakeDataChannel extends FakeChannel {
  ordered = true
  maxRetransmits: number | null = null
  maxPacketLifeTime: number | null = null
  bufferedAmountLowThreshold = 0
  readyState: 'connecting' | 'open' | 'closing' | 'closed' = 'connecting'

  open(): void {
    this.readyState = 'open'
    this.emit('open')
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.readyState !== 'open') throw new Error('InvalidStateError')
    if (this.bufferedAmount + message.length > 16 * 1024 * 1024) throw new Error('OperationError')
    this.enqueue(message)
  }

  close(): void {
    if (this.readyState === 'closed') return
    this.readyState = 'closing'
    this.end()
  }

  protected override left(before: number): void {
    const low = this.bufferedAmountLowThreshold
    if (before > low && this.bufferedAmount <= low) this.emit('bufferedamountlow')
  }

  protected override ended(): void {
    if (this.readyState === 'closed') return
    this.readyState = 'closed'
    this.emit('close')
  }
}

/** A WebSocket of a browser. */
export class FakeWebSocket extends FakeChannel {
  readyState = 0

  open(): void {
    this.readyState = 1
    this.emit('open')
  }

  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.readyState === 0) throw new Error('InvalidStateError')
    if (this.readyState === 1) this.enqueue(message)
  }

  close(): void {
    if (this.readyState > 1) return
    this.readyState = 2
    this.end()
  }

  protected override ended(): void {
    if (this.readyState === 3) return
    this.readyState = 3
    this.emit('close', { code: 1000 })
  }
}

/** Two connected ends, open from the next turn on. */
export function connected<T extends FakeDataChannel | FakeWebSocket>(here: T, there: T): [T, T] {
  here.other = there
  there.other = here
  setImmediate(() => {
    here.open()
    there.open()
  })
  return [here, there]
}
