/**
 * The destination's side of one migration: takes the streams, loads them, and starts the devices after COMMIT
 * and never before.
 *
 * ```text
 * prepare -> transfer -> load -> ready -> start -> running
 *     \________\__________\        \______\________ discarded, failed
 * ```
 * Every message can come twice, and a message of the hand-over from another connection: answers depend on
 * the phase alone.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { pumpFromSource, settle } from '../../transport/index.ts'
import { Watchdog, within } from '../handover/deadline.ts'
import type { FrameHeader, OutgoingMessage } from '../handover/frame.ts'
import type { Frame, FrameReader } from '../handover/frame-reader.ts'
import { type IncomingHandover, rememberIncoming, rememberOutcome } from '../handover/known-handovers.ts'
import { MessageType } from '../handover/message-type.ts'
import {
  decodeEnd,
  decodeFailure,
  encodeFailure,
  encodeTook,
  encodeWelcome,
  type End,
  type Hello,
} from '../handover/payloads.ts'
import { asFailure } from '../recovery.ts'
import { commonVersion } from './compatibility.ts'
import type { DestinationDevices } from './destination-devices.ts'
import { DataIntake } from './data-intake.ts'
import { KeptTicket } from './kept-ticket.ts'
import { ReceiveMeter } from './receive-meter.ts'
import type { IncomingOptions } from './receive-options.ts'
import type { ReceivePhase, ReceiveReport } from './receive-report.ts'

type Phase = ReceivePhase | 'stuck' | 'failed' | 'discarded'

/** Longest wait for a farewell that nobody may read. */
const FAREWELL_MS = 1000

/** A migration that comes in. */
export class IncomingMigration implements IncomingHandover {
  readonly id: string
  readonly #hello: Hello
  readonly #devices: DestinationDevices
  readonly #options: IncomingOptions
  readonly #send: (message: OutgoingMessage) => Promise<void>
  readonly #intake: DataIntake
  readonly #meter: ReceiveMeter
  readonly #ticket: KeptTicket
  readonly #stopped: AbortController = new AbortController()
  readonly #settled: Promise<ReceiveReport>
  /** Settles when nothing of this migration will happen any more: whether the devices are here. */
  readonly decided: Promise<boolean>
  #decide!: (isHere: boolean) => void
  #resolve!: (report: ReceiveReport) => void
  #reject!: (error: VfioError) => void
  #phase: Phase = 'prepare'
  #welcome: OutgoingMessage | undefined
  #end: End | undefined
  #failure: VfioError | undefined
  #readySaid = false
  #isReset = true
  #ending: Promise<OutgoingMessage | undefined> | undefined
  #starting: Promise<OutgoingMessage | undefined> | undefined
  #discarding: Promise<void> | undefined
  #idle: Watchdog | undefined
  #total: Watchdog | undefined
  #readyTimer: Watchdog | undefined

  /** @param send - sends on the connection that HELLO came over */
  constructor(
    id: string,
    hello: Hello,
    devices: DestinationDevices,
    options: IncomingOptions,
    send: (message: OutgoingMessage) => Promise<void>,
  ) {
    this.id = id
    this.#hello = hello
    this.#devices = devices
    this.#options = options
    this.#send = send
    this.#intake = new DataIntake(hello.connections, (message) => this.#tell(message))
    this.#meter = new ReceiveMeter(id, this.#intake, options.onProgress)
    const types = (): string[] => devices.devices.map(({ identity }) => identity.type)
    this.#ticket = new KeptTicket(id, types, options.onTicket)
    this.decided = new Promise((resolve) => {
      this.#decide = resolve
    })
    this.#settled = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // The caller may look later.
    this.#settled.catch(() => {})
  }

  /** Settles when it is decided who runs the devices. */
  get settled(): Promise<ReceiveReport> {
    return this.#settled
  }

  /** Whether nothing of this migration will happen any more. */
  get isOver(): boolean {
    return this.#phase === 'running' || this.#phase === 'failed' || this.#phase === 'discarded'
  }

  /** Whether a lost connection ends it: READY was not said yet. */
  get needsLink(): boolean {
    return this.#phase === 'prepare' || this.#phase === 'transfer' || this.#phase === 'load'
  }

  /** All devices to RESUMING; then data may come. Never rejects. */
  async prepare(): Promise<OutgoingMessage> {
    const { timeoutMs, idleTimeoutMs } = this.#options
    this.#total = new Watchdog(timeoutMs, () => void this.fail(timedOut('the whole took too long')))
    try {
      await this.#devices.resume()
    } catch (error) {
      await this.fail(asFailure(error, 'get ready to receive'))
      return this.#farewell()
    }
    if (this.#failure !== undefined) return this.#farewell()
    this.#intake.begin(this.#devices.streams)
    this.#meter.lap('prepareMs')
    this.#phase = 'transfer'
    this.#idle = new Watchdog(idleTimeoutMs, () => void this.fail(timedOut('the source went silent')))
    const payload = encodeWelcome({
      version: commonVersion(this.#hello.versions),
      resumeMs: this.#meter.phases.prepareMs,
    })
    this.#welcome = { type: MessageType.WELCOME, payload }
    this.#progress(true)
    return this.isOver ? this.#farewell() : this.#welcome
  }

  /** Bytes came from the source. An arrow, to be passed on. */
  readonly touch = (): void => this.#idle?.touch()

  /** Takes a DATA frame's payload. @throws {@link VfioError} what is wrong with it */
  async data(frame: Frame, reader: FrameReader): Promise<void> {
    if (this.#intake.has(frame)) return
    // END can overtake data of another connection, but not what it tells of.
    const most = this.#end?.streams[frame.index]?.bytes ?? Number.POSITIVE_INFINITY
    if (this.#phase !== 'transfer' || frame.position + frame.payloadBytes > most)
      throw new VfioError('EPROTO', 'Cannot receive: data came that was not announced, migrate again')
    const { signal } = this.#stopped
    const follows = (next: FrameHeader): boolean => {
      this.#progress(false)
      return next.id === this.id && this.#intake.follows(frame, next)
    }
    await this.#intake.take(frame, signal, (stream) =>
      pumpFromSource(reader.payload(follows), stream, { signal }),
    )
    this.#progress(false)
  }

  async handle(message: Frame): Promise<OutgoingMessage | undefined> {
    switch (message.type) {
      case MessageType.HELLO:
        return this.#welcome
      case MessageType.PING:
        return { type: MessageType.PONG, position: message.position }
      case MessageType.INITIAL_SENT:
        return this.#phase === 'transfer' ? this.#intake.initialSent(message) : undefined
      case MessageType.END:
        return this.#onEnd(message)
      case MessageType.COMMIT:
        return this.#onCommit()
      case MessageType.CANCEL:
        return this.#onCancel(decodeFailure(message.payload, 'receive'))
      default:
        throw new VfioError('EPROTO', 'Cannot receive: a message came that only this side sends')
    }
  }

  /** The connection is gone. */
  async linkLost(error: VfioError): Promise<void> {
    if (this.needsLink) await this.fail(error)
  }

  /**
   * Gives up, unless COMMIT came: tells the source, and throws away what came. Never rejects.
   * After READY the source learns of it when it asks (DISCARDED).
   */
  async fail(error: VfioError): Promise<void> {
    if (this.isOver || this.#phase === 'start' || this.#phase === 'stuck') return
    const wasReady = this.#phase === 'ready'
    this.#conclude(wasReady ? 'discarded' : 'failed', error)
    // Before READY the source owns the devices whatever happens here: it may know at once.
    if (!wasReady) await this.#tell(this.#farewell())
    await this.#discard(error)
    if (wasReady && this.#isReset) await this.#tell(this.#farewell())
    this.#reject(error)
  }

  async decide(verdict: 'run' | 'discard'): Promise<void> {
    if (this.#phase !== 'ready' && this.#phase !== 'stuck')
      throw new VfioError(
        'EINVAL',
        'Cannot decide the hand-over: it is not waiting for a decision, look at its report',
      )
    if (verdict === 'run') {
      await this.#onCommit()
      if (!this.isOver) throw this.#failure ?? new VfioError('EIO', 'Cannot start the devices: try again')
      await this.#settled
      return
    }
    const error = new VfioError('ECANCELED', 'Cannot receive: the hand-over was discarded by decision')
    this.#conclude('discarded', error)
    await this.#discard(error)
    this.#reject(error)
  }

  async #onEnd(message: Frame): Promise<OutgoingMessage | undefined> {
    if (this.isOver) return this.#outcome()
    if (this.#phase === 'prepare') throw new VfioError('EPROTO', 'Cannot receive: END came before WELCOME')
    if (this.#ending === undefined) {
      this.#end = decodeEnd(message.payload)
      this.#ending = this.#load(this.#end)
      return this.#ending
    }
    // A repeated END: READY again, once there was one.
    return this.#phase === 'ready' ? this.#ending : undefined
  }

  async #load(end: End): Promise<OutgoingMessage | undefined> {
    try {
      await this.#intake.allCame(end.streams, this.#stopped.signal)
      this.#idle?.stop()
      this.#meter.lap('transferMs')
      this.#phase = 'load'
      this.#progress(true)
      await this.#devices.load(end.streams)
      this.#meter.lap('loadMs')
      if (this.#failure !== undefined) return undefined
      await this.#ticket.keep('ready')
      if (this.#failure !== undefined) return undefined
    } catch (error) {
      // Not awaited: it waits for this load.
      void this.fail(asFailure(error, 'load the devices'))
      return undefined
    }
    this.#phase = 'ready'
    this.#readySaid = true
    this.#total?.stop()
    rememberIncoming(this.id, this)
    this.#readyTimer = new Watchdog(this.#options.readyTimeoutMs, () => {
      void this.fail(timedOut('the source did not commit'))
    })
    this.#progress(true)
    return { type: MessageType.READY, payload: encodeTook({ elapsedMs: this.#meter.phases.loadMs }) }
  }

  async #onCommit(): Promise<OutgoingMessage | undefined> {
    switch (this.#phase) {
      case 'running':
      case 'failed':
      case 'discarded':
        return this.#outcome()
      case 'ready':
      case 'stuck':
      case 'start':
        this.#starting ??= this.#start().finally(() => {
          this.#starting = undefined
        })
        return this.#starting
      default:
        throw new VfioError('EPROTO', 'Cannot receive: COMMIT came before READY')
    }
  }

  /** From here on a failure may not undo what the devices did. */
  async #start(): Promise<OutgoingMessage | undefined> {
    this.#readyTimer?.stop()
    this.#meter.lap('waitMs')
    this.#phase = 'start'
    this.#progress(true)
    try {
      await this.#ticket.keep('committed')
      if (this.#hello.finalState === 'RUNNING') await this.#devices.start()
    } catch (error) {
      const failure = asFailure(error, 'start the devices')
      if (this.#devices.leftStop) {
        // It may have worked: nobody but a later COMMIT, or the caller, can decide now.
        this.#failure = failure
        this.#phase = 'stuck'
        this.#resolve(this.#meter.report('undecided', this.#ticket.of('committed')))
        return undefined
      }
      this.#conclude('failed', failure)
      await this.#discard(failure)
      this.#reject(failure)
      return this.#isReset ? this.#farewell() : undefined
    }
    this.#meter.lap('startMs')
    this.#phase = 'running'
    rememberOutcome(this.id, MessageType.RUNNING)
    this.#decide(true)
    void this.#arrived()
    return this.#farewell()
  }

  /** The source waits for RUNNING, and not for this. */
  async #arrived(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0))
    await this.#ticket.forget()
    // The devices run, whatever those who watch think of it.
    await settle(() => this.#progress(true))
    this.#resolve(this.#meter.report('destination'))
  }

  async #onCancel(reason: VfioError): Promise<OutgoingMessage | undefined> {
    if (this.isOver) return this.#outcome()
    // COMMIT was here before it: too late.
    if (this.#phase === 'start' || this.#phase === 'stuck') return undefined
    const error = new VfioError('ECANCELED', reason.message)
    this.#conclude('discarded', error)
    await this.#discard(error)
    this.#reject(error)
    return this.#isReset || !this.#readySaid ? this.#farewell() : undefined
  }

  /** No answer but this one from now on. */
  #conclude(phase: 'failed' | 'discarded', error: VfioError): void {
    this.#phase = phase
    this.#failure = error
  }

  #discard(reason: VfioError): Promise<void> {
    this.#discarding ??= this.#reset(reason)
    return this.#discarding
  }

  async #reset(reason: VfioError): Promise<void> {
    this.#idle?.stop()
    this.#total?.stop()
    this.#readyTimer?.stop()
    this.#stopped.abort(reason)
    await this.#intake.stopped()
    // A load under way reads what is about to be thrown away.
    await Promise.allSettled([this.#ending])
    this.#isReset = await this.#devices.discard()
    this.#decide(false)
    // Whoever asks is answered by this migration then, which tries again.
    if (this.#readySaid && !this.#isReset) return
    rememberOutcome(this.id, this.#phase === 'failed' ? MessageType.FAILED : MessageType.DISCARDED)
    await this.#ticket.forget()
  }

  /** What this migration came to, for whoever asks: not before all devices are reset, once READY was said. */
  async #outcome(): Promise<OutgoingMessage | undefined> {
    await this.#discarding
    if (this.#phase === 'running' || !this.#readySaid || this.#isReset) return this.#farewell()
    this.#discarding = this.#reset(this.#failure as VfioError)
    await this.#discarding
    return this.#isReset ? this.#farewell() : undefined
  }

  #farewell(): OutgoingMessage {
    if (this.#phase === 'running')
      return { type: MessageType.RUNNING, payload: encodeTook({ elapsedMs: this.#meter.phases.startMs }) }
    const type = this.#phase === 'failed' ? MessageType.FAILED : MessageType.DISCARDED
    return { type, payload: encodeFailure(this.#failure as VfioError) }
  }

  async #tell(message: OutgoingMessage): Promise<void> {
    const sending = this.#send(message)
    await within(sending, FAREWELL_MS, () => timedOut('the source takes no message')).catch(() => {})
  }

  /** A watcher that throws ends the migration, as long as it can be ended. */
  #progress(always: boolean): void {
    try {
      this.#meter.progress(this.#phase as ReceivePhase, always)
    } catch (error) {
      if (this.needsLink) void this.fail(asFailure(error, 'tell of the progress'))
    }
  }
}

function timedOut(reason: string): VfioError {
  return new VfioError('ETIMEDOUT', `Cannot receive: ${reason}, migrate again`)
}
