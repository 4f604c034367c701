/**
 * Saves a device through STOP_COPY.
 *
 * What goes to the sink is always the checked format: the stream of a 'stopcopy' device untouched, that of
 * an 'opaque' one wrapped. The device reaches its final state before the sink is closed, so that a failure
 * anywhere leaves the sink aborted and the device as it was, and a peer that learns of the end of the stream
 * knows that the source has stopped.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { SessionWorker } from '../session/session-end.ts'
import {
  type ByteSink,
  byteSink,
  canceled,
  pumpToSink,
  settle,
  type SinkLike,
  type TransferProgress,
} from '../transport/index.ts'
import { DeviceState } from '../uapi/state.ts'
import { OpaqueLeases } from './opaque-leases.ts'
import { asFailure, recover, withRecovery } from './recovery.ts'
import { isRunning, type SaveReport, Stopwatch, throughput } from './report.ts'
import { startingState } from './starting-state.ts'

/** Options of {@link save}. */
export interface SaveOptions {
  /** Cancels the save until the sink is closed. */
  readonly signal?: AbortSignal | undefined
  /** Called after each piece the sink took, about 1 MiB at most; `totalBytes` is an estimate. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
  /** The state after success: STOP (default), RUNNING, or RUNNING_P2P where the device has it. */
  readonly finalState?: DeviceState | undefined
  /**
   * A second thread, from `createWorker` of `stopcopy/node` or `stopcopy/web`: checksums are computed there
   * while bytes move here. Best for devices of an engine made with `shared: true`; a device that has no use
   * for it ignores it. One worker can serve both ends of a transfer.
   */
  readonly worker?: SessionWorker | undefined
}

const ACTION = 'save the device'

/**
 * Stops a device, writes all of its state to a sink and closes the sink.
 *
 * A device in a PRE_COPY state leaves it first, which ends the session it has there; its original state is
 * then RUNNING or RUNNING_P2P. When anything fails or is canceled, the sink is aborted and the device goes
 * back to its original state, else it is reset, else it is lost; the rejection is the first error, and says
 * in its message and its `state` what the device is now.
 *
 * @throws {@link VfioError} ECANCELED canceled, with the signal's reason as its cause; what
 * {@link startingState} refuses, before anything changed; what the device, its session or the sink threw,
 * EIO when that was no errno
 * @example
 * ```ts
 * import { save, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { fileSink } from 'stopcopy/node'
 * const device = await VfioDevice.open(createMtty())
 * const { bytes } = await save(device, fileSink('mtty.stopcopy'))
 * ```
 */
export async function save(
  device: MigrationDevice,
  sink: SinkLike,
  options: SaveOptions = {},
): Promise<SaveReport> {
  const { signal, finalState = DeviceState.STOP } = options
  const out = byteSink(sink)
  let original: DeviceState
  try {
    await out.open?.()
    checkSignal(signal)
    original = await startingState(device, 'save', finalState)
  } catch (error) {
    const first = asFailure(error, ACTION, signal)
    await settle(() => out.abort(first))
    throw first
  }
  const saving = new Saving(device, out, options)
  let back = original
  try {
    const running = RUNNING_COUNTERPART[original]
    if (running !== undefined) {
      await device.setState(running)
      back = running
    }
    return await saving.run(finalState, isRunning(back))
  } catch (error) {
    const first = asFailure(error, ACTION, signal)
    // Both at once: a sink that is slow to give up must not keep the device stopped.
    const [recovery] = await Promise.all([recover(device, back), settle(() => out.abort(first))])
    throw withRecovery(first, recovery)
  } finally {
    await saving.close()
  }
}

/** Where a device goes that is found with somebody else's session. */
const RUNNING_COUNTERPART: Readonly<Partial<Record<DeviceState, DeviceState>>> = {
  [DeviceState.PRE_COPY]: DeviceState.RUNNING,
  [DeviceState.PRE_COPY_P2P]: DeviceState.RUNNING_P2P,
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw canceled(ACTION, signal)
}

/** One save under way, and what must be given back after it. */
class Saving {
  readonly #device: MigrationDevice
  readonly #sink: ByteSink
  readonly #options: SaveOptions
  readonly #abortable: { signal?: AbortSignal }
  #session: MigrationSession | undefined
  #wrapped: OpaqueLeases | undefined

  constructor(device: MigrationDevice, sink: ByteSink, options: SaveOptions) {
    this.#device = device
    this.#sink = sink
    this.#options = options
    this.#abortable = options.signal === undefined ? {} : { signal: options.signal }
  }

  async run(finalState: DeviceState, wasRunning: boolean): Promise<SaveReport> {
    const { signal, onProgress, worker } = this.#options
    const expectedBytes = onProgress === undefined ? undefined : await this.#stopCopyLength()
    if (this.#device.identity.stream === 'opaque') {
      this.#wrapped = await OpaqueLeases.open(this.#device.identity)
    }
    const watch = new Stopwatch()
    const session = await this.#device.setState(DeviceState.STOP_COPY, this.#abortable)
    if (session === undefined) {
      throw new VfioError('EIO', 'Cannot save the device: STOP_COPY opened no session, reset the device')
    }
    this.#session = session
    if (worker !== undefined) await session.attachWorker?.(worker)
    const stopMs = watch.lap()
    const totalBytes =
      expectedBytes === undefined ? undefined : (this.#wrapped?.wrappedBytes(expectedBytes) ?? expectedBytes)
    const leases = this.#wrapped?.attach(session) ?? session
    const bytes = await pumpToSink(leases, this.#sink, { signal, onProgress, totalBytes })
    const transferMs = watch.lap()
    await this.#device.setState(finalState, this.#abortable)
    const downMs = watch.elapsedMs
    checkSignal(signal)
    await this.#sink.close()
    return {
      bytes,
      elapsedMs: watch.elapsedMs,
      bytesPerSecond: throughput(bytes, transferMs),
      state: finalState,
      owner: isRunning(finalState) ? 'source' : 'none',
      phases: { stopMs, transferMs, finishMs: watch.lap() },
      ...(wasRunning && isRunning(finalState) ? { downtimeMs: downMs } : {}),
    }
  }

  async close(): Promise<void> {
    this.#wrapped?.dispose()
    await settle(async () => this.#session?.close())
  }

  /** Advisory, so any failure means that it is not known. */
  async #stopCopyLength(): Promise<number | undefined> {
    try {
      return await this.#device.stopCopyLength?.()
    } catch {
      return undefined
    }
  }
}
