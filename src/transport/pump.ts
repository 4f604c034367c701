/**
 * The pumps between a data session and a transport: leases out, windows in, no copy of their own.
 *
 * What a pump holds is bounded whatever the transport does: to a sink at most twice {@link TRANSFER_BYTES}
 * of leases, those being written and those gathered meanwhile, which stay where they lie until the sink took
 * them; from a source one window.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { ByteSink, ByteSource } from './byte-stream.ts'
import { Interruption, isPromise } from './interruption.ts'
import { type AbsorbedBytes, type BytesRead, LentBytes } from './lent-bytes.ts'
import { LoopTurns } from './loop-turns.ts'
import { OverlappedWrites } from './overlapped-writes.ts'
import { SessionWindows } from './session-windows.ts'
import { settle } from './settle.ts'

/** Leases are gathered for one write until they have so many bytes. */
const WRITE_BYTES: number = 1024 * 1024

/**
 * Most bytes of one write to a transport. The room above {@link WRITE_BYTES} is for headers: a payload cut in
 * two by the end of a write could not be copied and verified in one pass.
 */
const TRANSFER_BYTES: number = WRITE_BYTES + 4096

/** Most leases of one write: what one `writev` takes on Linux (IOV_MAX). */
const TRANSFER_CHUNKS = 1024

/** What a saving pump needs of a session. */
export interface LeaseSession {
  /** Aborted with the error of the session's end. */
  readonly ended?: AbortSignal | undefined
  lease(maxBytes: number): Awaitable<Uint8Array>
  release(): Awaitable<void>
  ready?(events: number, options?: { signal?: AbortSignal }): Promise<number>
}

/** What a loading pump needs of a session. */
export interface WindowSession {
  /** Aborted with the error of the session's end. */
  readonly ended?: AbortSignal | undefined
  window(maxBytes: number): Awaitable<Uint8Array>
  commit(byteLength: number): Awaitable<void>
  /** A write that may be short and may go on reading its bytes; for sources that lease theirs. */
  absorb?(src: Uint8Array): Awaitable<AbsorbedBytes>
  ready?(events: number, options?: { signal?: AbortSignal }): Promise<number>
}

/** How far a transfer is. */
export interface TransferProgress {
  /** Bytes that reached the other side. */
  readonly bytes: number
  /** Bytes in all, where it is known; an estimate when saving. */
  readonly totalBytes?: number
  /** Since it began. */
  readonly elapsedMs: number
}

/** Options of both pumps. */
export interface TransferOptions {
  /** Seen between two chunks and while waiting for the transport. */
  readonly signal?: AbortSignal | undefined
  /** Called after each piece that was taken; when it throws, the transfer fails. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
  /** Bytes in all, for `onProgress`. */
  readonly totalBytes?: number | undefined
}

/**
 * Reads a saving session to its permanent end: several leases into one write, released oldest first once
 * the sink took them. While the sink takes one write, the next one's leases are gathered. Does not close the sink.
 *
 * When it is interrupted during a write it rejects at once; the leases of that write are released when the
 * sink lets go of them, so abort the sink.
 *
 * @returns bytes written
 * @throws {@link VfioError} ECANCELED when aborted, the signal's reason as its cause; the error of the
 * session's end when it ended before; else what the session or the sink threw
 */
export async function pumpToSink(
  session: LeaseSession,
  sink: ByteSink,
  options: TransferOptions = {},
): Promise<number> {
  const transfer = new Transfer('transfer from the device', session, POLLIN, options)
  const writes = new OverlappedWrites(session, sink)
  let leases: Uint8Array[] = []
  /** A lease that was asked for: an interruption does not wait for it. */
  let asked: Promise<Uint8Array> | undefined
  try {
    for (let ended = false; !ended;) {
      await transfer.giveWay()
      let gathered = 0
      const lease = (): Awaitable<Uint8Array> => {
        const bytes = session.lease(TRANSFER_BYTES - gathered)
        if (isPromise(bytes)) asked = bytes
        return bytes
      }
      while (gathered < WRITE_BYTES && leases.length < TRANSFER_CHUNKS) {
        const mayWait = gathered === 0 && !writes.pending
        const opened = transfer.attempt(lease, !mayWait)
        const bytes = isPromise(opened) ? await opened : opened
        asked = undefined
        if (bytes === undefined) break
        if (bytes.length === 0) {
          ended = true
          break
        }
        leases.push(bytes)
        gathered += bytes.length
      }
      const written = writes.finish()
      if (written !== undefined) transfer.advance(await transfer.wait(written))
      if (gathered > 0) {
        writes.start(leases, gathered)
        leases = []
      }
    }
    const last = writes.finish()
    if (last !== undefined) transfer.advance(await transfer.wait(last))
    return transfer.bytes
  } finally {
    writes.releaseUnwritten(leases.length, asked)
    transfer.dispose()
  }
}

/**
 * Reads a source to its end into a resuming session, straight into its windows. Does not leave RESUMING.
 *
 * When it is interrupted it cancels the source, in the listener of the session's end: nothing is written
 * into a window that may have become the memory of a running device.
 *
 * @returns bytes read
 * @throws {@link VfioError} as {@link pumpToSink}; a failure of content as the session throws it
 */
export async function pumpFromSource(
  source: ByteSource,
  session: WindowSession,
  options: TransferOptions = {},
): Promise<number> {
  const transfer = new Transfer('transfer to the device', session, POLLOUT, options, (error) => {
    void settle(() => source.cancel(error))
  })
  try {
    if (source.readInto !== undefined) await readIntoWindows(source, session, transfer)
    else if (source.lease !== undefined && session.absorb !== undefined)
      await absorbLeases(source, session, transfer)
    for (;;) {
      const pause = transfer.giveWay()
      if (pause !== undefined) await pause
      const opened = transfer.attempt(() => session.window(TRANSFER_BYTES))
      const window = (isPromise(opened) ? await opened : opened) as Uint8Array
      const reading = transfer.wait(source.read(window))
      const byteLength = isPromise(reading) ? await reading : reading
      const committed = transfer.attempt(() => session.commit(byteLength))
      if (isPromise(committed)) await committed
      if (byteLength === 0) return transfer.bytes
      transfer.advance(byteLength, source.byteLength)
    }
  } finally {
    transfer.dispose()
  }
}

/**
 * Has a source read to its end into the session's windows, as long as the session has one at once. Where it has
 * not, the source stops, and goes on when it has.
 */
async function readIntoWindows(
  source: ByteSource,
  session: WindowSession,
  transfer: Transfer,
): Promise<void> {
  const windows = new SessionWindows(session, (byteLength) => transfer.advance(byteLength, source.byteLength))
  for (let ended = false; !ended;) {
    const pause = transfer.giveWay()
    if (pause !== undefined) await pause
    const opened = transfer.attempt(() => windows.open())
    if (isPromise(opened)) await opened
    ended = await transfer.wait(source.readInto!(windows))
    if (!ended) continue
    const closed = transfer.attempt(() => windows.close())
    if (isPromise(closed)) await closed
  }
}

/**
 * Reads a source to its end by its leases: what lies in the device's own engine goes straight to its place,
 * and what a worker still reads is released when it is done.
 */
async function absorbLeases(source: ByteSource, session: WindowSession, transfer: Transfer): Promise<void> {
  const lent = new LentBytes(source)
  try {
    for (;;) {
      const pause = transfer.giveWay()
      if (pause !== undefined) await pause
      lent.release()
      const opened = source.lease!(TRANSFER_BYTES)
      // The other end may wait for a release before it gives more.
      const bytes = isPromise(opened) ? await transfer.wait(lent.releaseUntil(opened)) : opened
      if (bytes.length === 0) return
      const readings: BytesRead[] = []
      lent.add(readings)
      for (let at = 0; at < bytes.length;) {
        const rest = bytes.subarray(at)
        const absorbed = transfer.attempt(() => session.absorb!(rest))
        const { byteLength, reading } = (isPromise(absorbed) ? await absorbed : absorbed) as AbsorbedBytes
        if (reading !== undefined) readings.push(reading)
        at += byteLength
      }
      transfer.advance(bytes.length, source.byteLength)
    }
  } finally {
    await lent.releaseAll()
  }
}

/** `poll(2)` bits, as `uapi` has them; this room imports no numbers of the uapi. */
const POLLIN = 0x1
const POLLOUT = 0x4

/** Wait after a session that said it was ready and then was not, in milliseconds. */
const NOT_READY_MS = 5

/** What both directions share: interruption, waiting for the session, turns of the event loop, progress. */
class Transfer {
  bytes = 0
  readonly #session: LeaseSession | WindowSession
  readonly #events: number
  readonly #options: TransferOptions
  readonly #interruption: Interruption
  readonly #turns: LoopTurns = new LoopTurns()
  readonly #startMs: number = performance.now()

  constructor(
    action: string,
    session: LeaseSession | WindowSession,
    events: number,
    options: TransferOptions,
    onInterrupt?: (error: unknown) => void,
  ) {
    this.#session = session
    this.#events = events
    this.#options = options
    const signals = { signal: options.signal, ended: session.ended }
    this.#interruption = new Interruption(action, signals, onInterrupt)
  }

  wait<T>(work: Awaitable<T>): Awaitable<T> {
    return this.#interruption.wait(work)
  }

  dispose(): void {
    this.#interruption.dispose()
  }

  /** Called once per chunk. */
  giveWay(): Promise<void> | undefined {
    this.#interruption.check()
    const turn = this.#turns.giveWay()
    return turn?.then(() => this.#interruption.check())
  }

  advance(byteLength: number, sourceBytes?: number): void {
    this.bytes += byteLength
    const { onProgress } = this.#options
    if (onProgress === undefined) return
    const totalBytes = this.#options.totalBytes ?? sourceBytes
    onProgress({
      bytes: this.bytes,
      ...(totalBytes === undefined ? {} : { totalBytes }),
      elapsedMs: performance.now() - this.#startMs,
    })
  }

  /**
   * The result of a session's call, at once where it has one; waits for the session while it says ENOMSG
   * or EAGAIN. With `orStop` it does not wait but returns undefined.
   */
  attempt<T>(call: () => Awaitable<T>, orStop = false): Awaitable<T | undefined> {
    try {
      const result = call()
      return isPromise(result) ? this.wait(result.catch((error) => this.#again(error, call, orStop))) : result
    } catch (error) {
      return this.#again(error, call, orStop)
    }
  }

  async #again<T>(error: unknown, call: () => Awaitable<T>, orStop: boolean): Promise<T | undefined> {
    for (let failure = error, round = 0; ; round++) {
      if (!VfioError.is(failure, 'ENOMSG') && !VfioError.is(failure, 'EAGAIN')) throw failure
      if (orStop) return undefined
      // A driver without a poll handler is always ready: without a wait this loop would spin.
      if (round > 0 || this.#session.ready === undefined) {
        await this.wait(new Promise((resolve) => setTimeout(resolve, NOT_READY_MS)))
      }
      if (this.#session.ready !== undefined)
        await this.wait(this.#session.ready(this.#events, this.#signal()))
      this.#interruption.check()
      try {
        return await this.wait(call())
      } catch (next) {
        failure = next
      }
    }
  }

  #signal(): { signal?: AbortSignal } {
    const { signal } = this.#options
    return signal === undefined ? {} : { signal }
  }
}
