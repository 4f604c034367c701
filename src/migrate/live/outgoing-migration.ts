/**
 * The source's side of one migration, step by step (facts C.1): set-up, pre-copy, stop, drain, load, commit.
 *
 * Until the first byte of COMMIT the source owns its devices, and every failure brings them back. From then
 * on they stay stopped until the destination has said RUNNING, FAILED or DISCARDED.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { BandwidthMeter } from '../bandwidth-meter.ts'
import { ConvergencePolicy } from '../convergence-policy.ts'
import { within } from '../handover/deadline.ts'
import { forgetOutgoing, rememberOutgoing } from '../handover/known-handovers.ts'
import { DECISIONS, MessageType } from '../handover/message-type.ts'
import {
  decodeFailure,
  decodeTook,
  decodeWelcome,
  encodeEnd,
  encodeFailure,
  encodeHello,
} from '../handover/payloads.ts'
import type { HandoverTicket } from '../handover/ticket.ts'
import { PROTOCOL_VERSIONS } from '../receive/compatibility.ts'
import { asFailure } from '../recovery.ts'
import { canceled } from '../../transport/index.ts'
import { abortable } from './abortable.ts'
import type { MigrateSettings } from './migrate-options.ts'
import { composeReport } from './compose-report.ts'
import type { MigrateReport } from './migrate-report.ts'
import { MigrationError } from './migration-error.ts'
import { Outbox } from './outbox.ts'
import { Precopy, type Switchover } from './precopy.ts'
import { ProgressMeter } from './progress-meter.ts'
import { StreamPump } from './pump-streams.ts'
import { RateLimit } from './rate-limit.ts'
import { recoveryText, type SourceDevices } from './source-devices.ts'
import type { SourceLink } from './source-link.ts'

const ACTION = 'migrate'
/** Round trips that tell how far the destination is; the last one counts. */
const PINGS = 5
/** Longest wait of a cancellation for the destination, and for what is being written. */
const CANCEL_MS = 1000
/** What loading, and starting, a device is taken to cost before it was seen: code runs for the first time. */
const ASSUMED_MS = 2

/** A migration that goes out. */
export class OutgoingMigration {
  readonly #devices: SourceDevices
  readonly #link: SourceLink
  readonly #settings: MigrateSettings
  readonly #progress: ProgressMeter
  readonly #policy: ConvergencePolicy
  readonly #meter: BandwidthMeter = new BandwidthMeter()
  /** Aborted by the user's signal and when the link is lost; the reason is what to report. */
  readonly #stop: AbortController = new AbortController()
  readonly #outbox: Outbox
  readonly #pump: StreamPump
  #roundTripMs = 0
  #arcMs = 0
  #switchover: Switchover | undefined
  #stopRequestMs = 0
  #downtimeMs: number | undefined
  #canceledTooLate = false
  #ticket: HandoverTicket | undefined
  #undecidedBecause: string | undefined

  constructor(devices: SourceDevices, link: SourceLink, settings: MigrateSettings) {
    this.#devices = devices
    this.#link = link
    this.#settings = settings
    this.#progress = new ProgressMeter(settings)
    this.#policy = new ConvergencePolicy({ ...settings, precopyTimeoutMs: settings.timeoutMs })
    this.#outbox = new Outbox({
      link,
      limit: new RateLimit(settings.bandwidthLimit),
      meter: this.#meter,
      signal: this.#stop.signal,
      writeTimeoutMs: settings.replyTimeoutMs,
      onWritten: this.#progress.written,
    })
    const rate = (): number | undefined => this.#meter.bytesPerSecond ?? finite(settings.bandwidthLimit)
    this.#pump = new StreamPump(devices.streams, this.#outbox, this.#stop.signal, rate)
  }

  /**
   * @param rehearsal - waited for once the destination is ready, before the link is measured
   * @throws {@link MigrationError} the first failure, once everything is where it belongs
   */
  async run(rehearsal?: Promise<void>): Promise<MigrateReport> {
    const { signal } = this.#settings
    const { lost } = this.#link
    const cancel = (): void => this.#stop.abort(canceled(ACTION, signal as AbortSignal))
    const lose = (): void => this.#stop.abort(lost.reason)
    signal?.addEventListener('abort', cancel)
    lost.addEventListener('abort', lose)
    if (signal?.aborted === true) cancel()
    if (lost.aborted) lose()
    try {
      await this.#prepare(rehearsal)
      // Nothing may come between this look and COMMIT.
      this.#stop.signal.throwIfAborted()
    } catch (error) {
      const first = asFailure(error, ACTION, signal)
      await this.#giveBack(first, signal)
      throw first
    } finally {
      this.#outbox.dispose()
      signal?.removeEventListener('abort', cancel)
      lost.removeEventListener('abort', lose)
    }
    return this.#commit()
  }

  /** All that can be undone. */
  async #prepare(rehearsal: Promise<void> | undefined): Promise<void> {
    await this.#setUp(rehearsal)
    if (this.#devices.precopy && this.#settings.precopy !== false) await this.#precopy()
    this.#stopRequestMs = performance.now()
    this.#progress.enter('stop')
    this.#announceSwitchover()
    await this.#devices.stop(this.#stop.signal)
    for (const { session } of this.#devices.streams)
      if (this.#settings.worker !== undefined) await session?.attachWorker?.(this.#settings.worker)
    this.#progress.enter('drain')
    await this.#drain()
    this.#progress.enter('load')
    await this.#load()
    this.#checkDowntime()
  }

  /** HELLO: everything is compared, and the destination is in RESUMING, before the source leaves RUNNING. */
  async #setUp(rehearsal: Promise<void> | undefined): Promise<void> {
    this.#progress.tell(true)
    this.#stop.signal.throwIfAborted()
    await this.#devices.prepare()
    await this.#link.open()
    const { streams, running } = this.#devices
    const payload = encodeHello({
      versions: PROTOCOL_VERSIONS,
      streams: streams.map(({ device }) => ({ identity: device.identity })),
      memory: this.#settings.memory !== undefined,
      connections: this.#link.writers.length,
      finalState: running ? 'RUNNING' : 'STOP',
    })
    const answer = await this.#interruptible(
      this.#link.request({ type: MessageType.HELLO, payload }, [
        MessageType.WELCOME,
        MessageType.REFUSED,
        MessageType.FAILED,
      ]),
    )
    if (answer.type !== MessageType.WELCOME)
      throw decodeFailure(answer.payload, 'migrate: the destination refused')
    decodeWelcome(answer.payload)
    if (rehearsal !== undefined) await this.#interruptible(rehearsal)
    // The first ones run code that never ran before.
    for (let ping = 0; ping < PINGS; ping++) await this.#measureRoundTrip()
  }

  async #measureRoundTrip(): Promise<void> {
    this.#roundTripMs = await this.#interruptible(this.#link.ping())
  }

  async #precopy(): Promise<void> {
    this.#progress.enter('precopy')
    const startMs = performance.now()
    await this.#devices.enterPrecopy(this.#stop.signal)
    this.#arcMs = performance.now() - startMs
    const progress = this.#progress
    const precopy = new Precopy({
      streams: this.#devices.streams,
      link: this.#link,
      outbox: this.#outbox,
      pump: this.#pump,
      meter: this.#meter,
      policy: this.#policy,
      signal: this.#stop.signal,
      fixedMs: () => this.#fixedMs,
      settleLink: async () => {
        // The first one waits for what is still on its way.
        await this.#measureRoundTrip()
        await this.#measureRoundTrip()
      },
      throttle: (percent) => this.#throttle(percent),
      onIteration: (report) => progress.iteration(report),
      onLook: (situation, dirty) =>
        progress.look(situation, dirty, this.#policy.expectedDowntimeMs(situation)),
    })
    this.#switchover = await precopy.run()
  }

  /** Stop arcs, and two round trips with a load and a start in them. */
  get #fixedMs(): number {
    return this.#arcMs + 2 * this.#roundTripMs + 2 * ASSUMED_MS
  }

  async #throttle(percent: number): Promise<void> {
    let done = false
    for (const { device } of this.#devices.streams) {
      if (device.throttle === undefined) continue
      try {
        await device.throttle(percent)
        done = true
      } catch (error) {
        if (!VfioError.is(error, 'ENOTTY')) throw error
      }
    }
    if (done) this.#progress.throttle(percent)
  }

  #announceSwitchover(): void {
    if (this.#switchover === undefined) return
    const { elapsedMs } = this.#progress
    this.#progress.event({ type: 'switchover', ...this.#switchover, elapsedMs })
  }

  /** What is left of every stream, to its permanent end. */
  async #drain(): Promise<void> {
    for (;;) {
      const step = await this.#pump.step()
      if (step === 'ended') break
      if (step === 'idle')
        throw new VfioError('EIO', 'Cannot migrate: a stopped device gave no end of its stream, reset it')
      this.#checkDowntime()
    }
  }

  /** END goes right behind the data, which it need not be waited for. */
  async #load(): Promise<void> {
    const payload = encodeEnd({
      streams: this.#devices.streams.map(({ position, tail }) => ({ bytes: position, digest: tail.digest })),
    })
    const answer = await this.#interruptible(
      this.#link.request({ type: MessageType.END, payload }, [MessageType.READY]),
    )
    decodeTook(answer.payload)
    await this.#outbox.drained()
  }

  #checkDowntime(): void {
    const { onDowntimeExceeded, downtimeLimitMs } = this.#settings
    if (onDowntimeExceeded !== 'abort' || !this.#devices.running) return
    const downMs = performance.now() - this.#stopRequestMs
    if (downMs <= downtimeLimitMs) return
    throw new VfioError(
      'ETIMEDOUT',
      `Cannot migrate: the devices have been stopped for ${Math.round(downMs)} ms of ${downtimeLimitMs}, allow more downtime`,
    )
  }

  /** From here on the answer of the destination decides, or nobody does. */
  async #commit(): Promise<MigrateReport> {
    const { signal } = this.#settings
    const cancel = (): void => {
      this.#canceledTooLate = true
    }
    signal?.addEventListener('abort', cancel)
    this.#progress.enter('commit')
    let isBegun = false
    try {
      const answer = await this.#link.request({ type: MessageType.COMMIT }, DECISIONS, undefined, () => {
        isBegun = true
      })
      if (answer.type === MessageType.RUNNING) return await this.#handedOver()
      if (answer.type === MessageType.UNKNOWN) return await this.#undecided('it knows nothing of it')
      return await this.#refused(decodeFailure(answer.payload, 'migrate: the destination failed'))
    } catch (error) {
      if (error instanceof MigrationError) throw error
      // COMMIT may wait behind a message that nobody takes: from here on it is not written any more.
      if (!isBegun) await this.#link.abort(asFailure(error, ACTION))
      if (!isBegun) return await this.#giveBack(error, undefined)
      return await this.#undecided(asFailure(error, ACTION).message)
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  async #handedOver(): Promise<MigrateReport> {
    if (this.#devices.running) this.#downtimeMs = performance.now() - this.#stopRequestMs
    this.#progress.enter('done')
    await this.#unthrottle()
    await this.#devices.giveUp()
    await this.#devices.close()
    await this.#link.close()
    this.#progress.finish()
    return this.#report('destination')
  }

  /** FAILED or DISCARDED: no device left STOP there, and none will. */
  async #refused(first: VfioError): Promise<never> {
    this.#progress.enter('done')
    await this.#unthrottle()
    const recoveries = await this.#devices.unwind()
    await this.#devices.close()
    await this.#link.close()
    this.#progress.finish()
    throw new MigrationError(first, recoveryText(recoveries), this.#report('source'))
  }

  async #undecided(reason: string): Promise<MigrateReport> {
    this.#progress.enter('done')
    await this.#link.abort(new VfioError('EPIPE', 'Cannot use the migration link: the hand-over was cut'))
    const { id } = this.#link
    const devices = this.#devices
    const settle = async (): Promise<void> => {
      forgetOutgoing(id)
      await devices.close()
    }
    rememberOutgoing(id, {
      giveUp: async () => {
        await devices.giveUp()
        await settle()
      },
      resume: async () => {
        await this.#unthrottle()
        await devices.unwind()
        await settle()
      },
    })
    this.#ticket = {
      version: 1,
      id,
      role: 'source',
      phase: 'committed',
      devices: devices.streams.map(({ device }) => device.identity.type),
    }
    this.#undecidedBecause = reason
    this.#progress.finish()
    return this.#report('undecided')
  }

  /** Before COMMIT: nothing goes out any more, the devices run again, and the destination is told. */
  async #giveBack(error: unknown, signal: AbortSignal | undefined): Promise<never> {
    // What an arc says that was cut short by the end of the link, or by the user.
    const isCut = this.#stop.signal.aborted && VfioError.is(error, 'EINTR')
    const cause: unknown = isCut ? this.#stop.signal.reason : error
    const first = asFailure(cause, ACTION, signal)
    this.#stop.abort(first)
    const isAlive = !this.#link.lost.aborted
    const quiet = this.#outbox.quiet()
    // Bytes on their way are device memory, which must not change before they are gone.
    try {
      if (isAlive) await within(quiet, CANCEL_MS, () => first)
      else await this.#link.abort(first)
    } catch {
      await this.#link.abort(first)
    }
    await quiet
    const telling = isAlive ? this.#tellCanceled(first) : undefined
    await this.#unthrottle()
    const recoveries = await this.#devices.unwind()
    await telling
    await this.#link.abort(first)
    await this.#devices.close()
    this.#progress.finish()
    throw new MigrationError(first, recoveryText(recoveries), this.#report('source'))
  }

  async #tellCanceled(first: VfioError): Promise<void> {
    const message = { type: MessageType.CANCEL, payload: encodeFailure(first) }
    const telling = this.#link.request(message, [MessageType.DISCARDED, MessageType.FAILED])
    await within(telling, CANCEL_MS, () => first).catch(() => {})
  }

  async #unthrottle(): Promise<void> {
    if (this.#progress.throttlePercent > 0) await this.#throttle(0).catch(() => {})
  }

  /** A request, cut short by the user only: the link's end rejects it by itself, after an answer that came before. */
  #interruptible<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#settings
    return signal === undefined ? work : abortable(work, signal)
  }

  #report(owner: MigrateReport['owner']): MigrateReport {
    const wasStopped = this.#stopRequestMs > 0
    return composeReport(this.#progress, this.#devices, {
      id: this.#link.id,
      owner,
      ticket: this.#ticket,
      undecidedBecause: this.#undecidedBecause,
      downtimeMs: this.#downtimeMs,
      downtimeLimitMs: this.#settings.downtimeLimitMs,
      expectedDowntimeMs: this.#switchover?.expectedDowntimeMs,
      switchover: this.#switchover?.reason ?? (wasStopped ? 'no-precopy' : undefined),
      canceledTooLate: this.#canceledTooLate,
      connections: this.#link.writers.length,
    })
  }
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined
}
