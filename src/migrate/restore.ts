/**
 * Restores a device through RESUMING.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { SessionWorker } from '../session/session-end.ts'
import {
  type ByteSource,
  byteSource,
  canceled,
  pumpFromSource,
  settle,
  type SourceLike,
  type TransferProgress,
} from '../transport/index.ts'
import { DeviceState } from '../uapi/state.ts'
import { OpaqueWindows } from './opaque-windows.ts'
import { asFailure, recover, withRecovery } from './recovery.ts'
import { isRunning, type RestoreReport, Stopwatch, throughput } from './report.ts'
import { startingState } from './starting-state.ts'

/** Options of {@link restore}. */
export interface RestoreOptions {
  /** Cancels the restore until the device reached its final state. */
  readonly signal?: AbortSignal | undefined
  /** Called after each piece the device took; `totalBytes` where the source knows them. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
  /** The state after success: RUNNING (default), STOP, or RUNNING_P2P where the device has it. */
  readonly finalState?: DeviceState | undefined
  /**
   * A second thread, from `createWorker` of `stopcopy/node` or `stopcopy/web`: checksums are computed there
   * while bytes move here. Best for devices of an engine made with `shared: true`; a device that has no use
   * for it ignores it. One worker can serve both ends of a transfer.
   */
  readonly worker?: SessionWorker | undefined
}

const ACTION = 'restore the device'

/**
 * Reads a migration stream to its end into a device, has it validated, and starts the device.
 *
 * When anything fails or is canceled after RESUMING was entered, the source is canceled and the device is
 * reset, the only way out the protocol has: it is RUNNING with power-on content (an mtty: with what it held).
 * Before that it goes back to where it was. The rejection is the first error, and says in its message and
 * its `state` what the device is now.
 *
 * @throws {@link VfioError} ECANCELED canceled, with the signal's reason as its cause; what
 * {@link startingState} refuses, before anything changed; what is wrong with the stream, with `section` and
 * `offset`: EBADMSG a checksum, EPROTO malformed or followed by more bytes, EINVAL another device, another
 * configuration or incomplete, EOPNOTSUPP a newer version, EMSGSIZE a limit; what the device, its session or
 * the source threw, EIO when that was no errno
 * @example
 * ```ts
 * import { restore, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { fileSource } from 'stopcopy/node'
 * const device = await VfioDevice.open(createMtty())
 * await restore(device, fileSource('mtty.stopcopy'))
 * ```
 */
export async function restore(
  device: MigrationDevice,
  source: SourceLike,
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  const { signal, finalState = DeviceState.RUNNING } = options
  const input = byteSource(source)
  let original: DeviceState
  try {
    if (signal?.aborted === true) throw canceled(ACTION, signal)
    original = await startingState(device, 'restore', finalState)
  } catch (error) {
    const first = asFailure(error, ACTION, signal)
    await settle(() => input.cancel(first))
    throw first
  }
  const restoring = new Restoring(device, input, options)
  try {
    return await restoring.run(finalState)
  } catch (error) {
    const first = asFailure(error, ACTION, signal)
    const canceling = settle(() => input.cancel(first))
    const recovery = await recover(device, restoring.enteredResuming ? undefined : original)
    await canceling
    throw withRecovery(first, recovery)
  } finally {
    await restoring.close()
  }
}

/** One restore under way, and what must be given back after it. */
class Restoring {
  readonly #device: MigrationDevice
  readonly #source: ByteSource
  readonly #options: RestoreOptions
  #session: MigrationSession | undefined
  #unwrapped: OpaqueWindows | undefined
  #enteredResuming = false

  constructor(device: MigrationDevice, source: ByteSource, options: RestoreOptions) {
    this.#device = device
    this.#source = source
    this.#options = options
  }

  /** From here on the device may hold part of a stream. */
  get enteredResuming(): boolean {
    return this.#enteredResuming
  }

  async run(finalState: DeviceState): Promise<RestoreReport> {
    const { signal, onProgress, worker } = this.#options
    const abortable = signal === undefined ? {} : { signal }
    if (this.#device.identity.stream === 'opaque') {
      this.#unwrapped = await OpaqueWindows.open(this.#device.identity)
    }
    const watch = new Stopwatch()
    const session = await this.#device.setState(DeviceState.RESUMING, abortable)
    this.#enteredResuming = true
    if (session === undefined) {
      throw new VfioError('EIO', 'Cannot restore the device: RESUMING opened no session, reset the device')
    }
    this.#session = session
    if (worker !== undefined) await session.attachWorker?.(worker)
    const prepareMs = watch.lap()
    const windows = this.#unwrapped?.attach(session) ?? session
    const bytes = await pumpFromSource(this.#source, windows, { signal, onProgress })
    this.#unwrapped?.finish()
    const transferMs = watch.lap()
    await this.#device.setState(DeviceState.STOP, abortable)
    const loadMs = watch.lap()
    await this.#device.setState(finalState, abortable)
    return {
      bytes,
      elapsedMs: watch.elapsedMs,
      bytesPerSecond: throughput(bytes, transferMs),
      state: finalState,
      owner: isRunning(finalState) ? 'destination' : 'none',
      phases: { prepareMs, transferMs, loadMs, startMs: watch.lap() },
    }
  }

  async close(): Promise<void> {
    this.#unwrapped?.dispose()
    await settle(async () => this.#session?.close())
  }
}
