/**
 * Moves what the streams have to the outbox, in turns, so that no device waits for another's gigabytes.
 *
 * @module
 */

import { LoopTurns } from '../../transport/index.ts'
import { abortable } from './abortable.ts'
import type { Outbox } from './outbox.ts'
import type { OutgoingStream } from './outgoing-stream.ts'

/** Leases are gathered for one write until they have so many bytes. */
const WRITE_BYTES: number = 512 * 1024
/** Room for headers above it: a payload cut in two by the end of a write is verified in two passes. */
const WRITE_ROOM = 4096
/** Most leases of one write: what one `writev` takes on Linux (IOV_MAX), less the frame's header. */
const WRITE_CHUNKS = 1023
/** A write should not take longer than this on a slow link: messages wait behind it. */
const WRITE_MS = 200
const LEAST_WRITE_BYTES: number = 16 * 1024

/** The streams of a migration and where they go. */
export class StreamPump {
  readonly #streams: readonly OutgoingStream[]
  readonly #outbox: Outbox
  readonly #signal: AbortSignal
  readonly #bytesPerSecond: () => number | undefined
  #next = 0
  readonly #turns: LoopTurns = new LoopTurns()

  constructor(
    streams: readonly OutgoingStream[],
    outbox: Outbox,
    signal: AbortSignal,
    bytesPerSecond: () => number | undefined,
  ) {
    this.#streams = streams
    this.#outbox = outbox
    this.#signal = signal
    this.#bytesPerSecond = bytesPerSecond
  }

  /**
   * Sends one piece of the next stream that has some.
   *
   * @returns 'sent', or when none has: 'idle' (some may get more) or 'ended' (all gave their permanent end)
   */
  async step(): Promise<'sent' | 'idle' | 'ended'> {
    this.#signal.throwIfAborted()
    // Writes may settle without the event loop: timers, the device's own among them, must get their turn.
    const turn = this.#turns.giveWay()
    if (turn !== undefined) await turn
    let isBusy = false
    for (let tried = 0; tried < this.#streams.length; tried++) {
      const stream = this.#streams[this.#next] as OutgoingStream
      this.#next = (this.#next + 1) % this.#streams.length
      if (stream.ended || stream.session === undefined) continue
      const sent = await this.#piece(stream)
      if (sent === 'sent') return 'sent'
      isBusy ||= sent === 'busy'
    }
    if (isBusy) {
      // All frames are out: one comes back with the write that has it.
      if (this.#outbox.busy) await this.#outbox.oneSettled()
      else await this.#readable(BUSY_MS)
      return 'sent'
    }
    return this.#streams.every(({ ended }) => ended) ? 'ended' : 'idle'
  }

  /** Waits until a stream may have something, `timeoutMs` at most. */
  async #readable(timeoutMs: number): Promise<void> {
    await readable(this.#streams, timeoutMs, this.#signal)
  }

  async #piece(stream: OutgoingStream): Promise<'sent' | 'none' | 'busy'> {
    const sinceMs = performance.now()
    const most = this.#writeBytes()
    const chunks: Uint8Array[] = []
    let byteLength = 0
    let isBusy = false
    while (byteLength < most && chunks.length < WRITE_CHUNKS) {
      let leased = stream.lease(most + WRITE_ROOM - byteLength)
      if (leased instanceof Promise) {
        const asked = leased
        try {
          leased = await abortable(asked, this.#signal)
        } catch (error) {
          stream.abandon(chunks.length)
          // A lease that is granted late goes back at once.
          void asked.then(
            (late) => stream.abandon(late instanceof Uint8Array ? 1 : 0),
            () => {},
          )
          throw error
        }
      }
      if (!(leased instanceof Uint8Array)) {
        isBusy = leased === 'busy'
        break
      }
      chunks.push(leased)
      byteLength += leased.length
    }
    if (byteLength === 0) return isBusy ? 'busy' : 'none'
    await this.#outbox.send(stream, chunks, byteLength, sinceMs)
    return 'sent'
  }

  #writeBytes(): number {
    const rate = this.#bytesPerSecond()
    if (rate === undefined) return WRITE_BYTES
    return Math.max(LEAST_WRITE_BYTES, Math.min(WRITE_BYTES, Math.floor((rate * WRITE_MS) / 1000)))
  }
}

/** Longest wait for a session that said it was not ready. */
const BUSY_MS = 5
/** `poll(2)` bit. */
const POLLIN = 0x1

/** Settles when one of the sessions has something, after `timeoutMs`, or with `news`. */
export async function readable(
  streams: readonly OutgoingStream[],
  timeoutMs: number,
  signal: AbortSignal,
  news?: Promise<void>,
): Promise<void> {
  const done = new AbortController()
  const timer = setTimeout(() => done.abort(), timeoutMs)
  const waiting: Promise<unknown>[] = streams.flatMap(({ session, ended }) =>
    session === undefined || ended ? [] : [session.ready(POLLIN, { signal: done.signal }).catch(() => {})],
  )
  const expired = new Promise<void>((resolve) => done.signal.addEventListener('abort', () => resolve()))
  if (news !== undefined) waiting.push(news)
  try {
    await abortable(Promise.race([...waiting, expired]), signal)
  } finally {
    clearTimeout(timer)
    done.abort()
  }
}
