/**
 * Pre-copy: passes over what the devices have to say, until the policy says to stop them.
 *
 * @module
 */

import type { BandwidthMeter } from '../bandwidth-meter.ts'
import type { ConvergencePolicy, Situation } from '../convergence-policy.ts'
import { VfioError } from '../../errors.ts'
import { MessageType } from '../handover/message-type.ts'
import type { IterationReport, SwitchoverReason } from './migrate-report.ts'
import type { Outbox } from './outbox.ts'
import type { OutgoingStream } from './outgoing-stream.ts'
import { readable, type StreamPump } from './pump-streams.ts'
import type { SourceLink } from './source-link.ts'

/** Time between two looks inside a pass. */
const LOOK_MS = 20
/** Shortest pass that counts: thirty of a millisecond each are no sign that it does not converge. */
const LEAST_PASS_MS = 20
/**
 * Inside a pass, asking the devices for their counters may take one part in so many of the time: a device may
 * have to look through all of its memory to answer.
 */
const ASKING_SHARE = 20
/** But they are asked at least so often. */
const ASK_MS = 500
/** Longest wait while there is nothing to send. */
const IDLE_MS = 20
/** A source that has nothing to say shows that it is alive. */
const PING_MS = 1000

/** What pre-copy works with. */
export interface PrecopyContext {
  readonly streams: readonly OutgoingStream[]
  readonly link: SourceLink
  readonly outbox: Outbox
  readonly pump: StreamPump
  readonly meter: BandwidthMeter
  readonly policy: ConvergencePolicy
  readonly signal: AbortSignal
  /** Fixed cost of a switchover, as far as it is known. */
  readonly fixedMs: () => number
  /** Waits until the destination has taken all that was sent, and measures how quick it is now. */
  readonly settleLink: () => Promise<void>
  readonly throttle: (percent: number) => Promise<void>
  readonly onIteration: (report: IterationReport) => void
  readonly onLook: (situation: Situation, dirtyBytesPerSecond: number) => void
}

/** Why pre-copy ended, and what was expected then. */
export interface Switchover {
  readonly reason: SwitchoverReason
  readonly remainingBytes: number
  readonly expectedDowntimeMs: number
}

/** The passes of one migration. */
export class Precopy {
  readonly #context: PrecopyContext
  readonly #startMs: number = performance.now()
  #iteration = 1
  /** At the start of the pass: time, bytes sent, bytes unread. */
  #passMs: number = performance.now()
  #passBytes = 0
  #passRemaining = 0
  #lookMs = 0
  /** When the devices were last asked for their counters, and how long that took. */
  #askedMs = 0
  #askingMs = 0
  /** At that time, for the dirty rate. */
  #askedBytes = 0
  #askedRemaining = 0
  #dirtyBytesPerSecond = 0
  #pingMs: number = performance.now()
  /** Settles when the destination acknowledges initial bytes, after the look under way began. */
  #acknowledged: Promise<void> = Promise.resolve()
  #acknowledge: () => void = () => {}

  constructor(context: PrecopyContext) {
    this.#context = context
  }

  /**
   * Runs until the devices should be stopped; nothing is under way then.
   *
   * @throws {@link VfioError} ETIMEDOUT when it does not converge and the policy says to give up
   */
  async run(): Promise<Switchover> {
    const { outbox, pump } = this.#context
    await this.#refresh()
    this.#passRemaining = this.#remaining
    this.#askedRemaining = this.#passRemaining
    this.#lookMs = performance.now()
    this.#askedMs = this.#lookMs
    for (;;) {
      const step = await pump.step()
      const isIdle = step !== 'sent'
      if (isIdle) await outbox.drained()
      this.#announceInitial()
      this.#keepAlive()
      if (!isIdle && !this.#isDue && !this.#isPassOver) continue
      const switchover = await this.#look(isIdle)
      if (switchover !== undefined) return switchover
      if (isIdle) await this.#awaitMore()
    }
  }

  get #remaining(): number {
    return this.#context.streams.reduce((total, { remaining }) => total + remaining.bytes, 0)
  }

  /** The destination has loaded the initial bytes of every stream, in their last epoch. */
  get #initialLoaded(): boolean {
    return this.#context.streams.every(
      (stream) => stream.session === undefined || stream.loadedEpoch >= stream.remaining.initialEpoch,
    )
  }

  get #isDue(): boolean {
    return performance.now() - this.#lookMs >= LOOK_MS
  }

  get #mayAsk(): boolean {
    return performance.now() - this.#askedMs >= Math.min(ASKING_SHARE * this.#askingMs, ASK_MS)
  }

  /** The first pass is over when all of it was read, a later one when as much as was unread at its start. */
  get #isPassOver(): boolean {
    const { streams, outbox } = this.#context
    if (this.#iteration === 1)
      return streams.every(({ session, remaining }) => session === undefined || remaining.firstPassDone)
    return outbox.bytes - this.#passBytes >= this.#passRemaining
  }

  async #look(isIdle: boolean): Promise<Switchover | undefined> {
    const { policy, meter, outbox, fixedMs, settleLink, throttle, onLook } = this.#context
    this.#lookMs = performance.now()
    this.#acknowledged = new Promise((resolve) => {
      this.#acknowledge = resolve
    })
    const asks = isIdle || this.#isPassOver || this.#mayAsk
    if (asks) {
      await this.#refresh()
      this.#measureDirtying()
    }
    const initialLoaded = this.#initialLoaded
    // While only the acknowledgement is missing, quick passes over little are no sign of anything.
    const isShort = this.#iteration > 1 && performance.now() - this.#passMs < LEAST_PASS_MS
    const iterationEnded =
      !isShort && (this.#isPassOver || (isIdle && (initialLoaded || this.#iteration === 1)))
    const situation: Situation = {
      elapsedMs: performance.now() - this.#startMs,
      iteration: this.#iteration,
      iterationEnded,
      idle: isIdle,
      remainingBytes: this.#remaining,
      bytesPerSecond: meter.bytesPerSecond,
      fixedMs: fixedMs(),
      initialLoaded,
    }
    onLook(situation, this.#dirtyBytesPerSecond)
    // What was written since the last answer is not in these figures: they are for those who watch.
    if (!asks) return undefined
    if (iterationEnded) this.#endPass(situation)
    const decision = policy.decide(situation)
    if (decision.action === 'throttle') await throttle(decision.percent)
    if (decision.action === 'abort')
      throw new VfioError('ETIMEDOUT', notConverging(decision.reason, situation))
    if (decision.action !== 'switch') return undefined
    await outbox.drained()
    // What is on its way would be waited for after the stop, when nothing runs.
    await settleLink()
    await this.#refresh()
    const now = {
      ...situation,
      iterationEnded: false,
      remainingBytes: this.#remaining,
      fixedMs: fixedMs(),
    }
    // A destination that has become slow would be slow then, too.
    if (decision.reason === 'converged' && policy.decide(now).action !== 'switch') return undefined
    if (outbox.bytes > this.#passBytes) this.#endPass(now)
    return {
      reason: decision.reason,
      remainingBytes: now.remainingBytes,
      expectedDowntimeMs: policy.expectedDowntimeMs(now),
    }
  }

  async #refresh(): Promise<void> {
    const startMs = performance.now()
    for (const stream of this.#context.streams) if (stream.session !== undefined) await stream.refresh()
    this.#askingMs = performance.now() - startMs
  }

  #measureDirtying(): void {
    const nowMs = performance.now()
    const elapsedMs = nowMs - this.#askedMs
    const { bytes } = this.#context.outbox
    const remaining = this.#remaining
    const dirtied = remaining - this.#askedRemaining + (bytes - this.#askedBytes)
    if (elapsedMs > 0 && Number.isFinite(dirtied)) {
      const rate = (Math.max(0, dirtied) * 1000) / elapsedMs
      const weight = Math.min(1, elapsedMs / 200)
      this.#dirtyBytesPerSecond += (rate - this.#dirtyBytesPerSecond) * weight
    }
    this.#askedMs = nowMs
    this.#askedBytes = bytes
    this.#askedRemaining = remaining
  }

  #endPass({ remainingBytes, iteration }: Situation): void {
    const { outbox, onIteration } = this.#context
    const nowMs = performance.now()
    const bytes = outbox.bytes - this.#passBytes
    const elapsedMs = nowMs - this.#passMs
    onIteration({
      iteration,
      bytes,
      elapsedMs,
      bytesPerSecond: elapsedMs > 0 ? (bytes * 1000) / elapsedMs : 0,
      remainingBytes,
      dirtyBytesPerSecond: this.#dirtyBytesPerSecond,
    })
    this.#iteration++
    this.#passMs = nowMs
    this.#passBytes = outbox.bytes
    this.#passRemaining = remainingBytes
  }

  /** Says where the initial bytes of a stream end, as soon as they were handed over. */
  #announceInitial(): void {
    const { streams, link } = this.#context
    for (const stream of streams) {
      const { initialEpoch, initialBytes } = stream.remaining
      if (stream.session === undefined || stream.announcedEpoch >= initialEpoch || initialBytes > 0) continue
      stream.announcedEpoch = initialEpoch
      void this.#awaitLoaded(stream, initialEpoch, link)
    }
  }

  /** The switchover acknowledgement of one epoch. */
  async #awaitLoaded(stream: OutgoingStream, epoch: number, link: SourceLink): Promise<void> {
    const { index, position } = stream
    try {
      await link.request(
        { type: MessageType.INITIAL_SENT, index, position, epoch },
        [MessageType.INITIAL_LOADED],
        (frame) => frame.index === index && frame.epoch === epoch,
      )
      stream.loadedEpoch = Math.max(stream.loadedEpoch, epoch)
      this.#acknowledge()
    } catch (error) {
      link.lose(error)
    }
  }

  #keepAlive(): void {
    const nowMs = performance.now()
    if (nowMs - this.#pingMs < PING_MS) return
    this.#pingMs = nowMs
    this.#context.link.ping().catch((error: unknown) => this.#context.link.lose(error))
  }

  async #awaitMore(): Promise<void> {
    const { streams, signal } = this.#context
    // The acknowledgement may be all that the switchover waits for.
    await readable(streams, IDLE_MS, signal, this.#acknowledged)
  }
}

function notConverging(reason: string, { remainingBytes, bytesPerSecond = 0 }: Situation): string {
  const left = Number.isFinite(remainingBytes)
    ? `${Math.round(remainingBytes)} bytes are`
    : 'an unknown rest is'
  return `Cannot migrate: pre-copy does not converge (${reason}): ${left} unread at ${Math.round(bytesPerSecond)} bytes/s, allow more downtime, slow the device down or switch over anyway`
}
