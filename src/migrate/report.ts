/**
 * What a save or a restore did: bytes, time by phase, and who runs the device now.
 *
 * @module
 */

import { DeviceState } from '../uapi/state.ts'

/** Who runs the device: one side, or none while it is stopped. */
export type Owner = 'source' | 'destination' | 'none'

/** What both directions report. */
export interface TransferReport {
  /** Bytes of the migration stream. */
  readonly bytes: number
  /** In all. */
  readonly elapsedMs: number
  /** Over the transfer phase alone. */
  readonly bytesPerSecond: number
  /** The device's state now. */
  readonly state: DeviceState
  /** Who runs the device now. */
  readonly owner: Owner
}

/** What {@link save} did. */
export interface SaveReport extends TransferReport {
  /** How long each part took, milliseconds. */
  readonly phases: {
    /** Into STOP_COPY. */
    readonly stopMs: number
    /** STOP_COPY to the sink. */
    readonly transferMs: number
    /** Into the final state, and the sink's close. */
    readonly finishMs: number
  }
  /** From asking for STOP_COPY until the device ran again; absent when it was not running or did not. */
  readonly downtimeMs?: number
}

/** What {@link restore} did. */
export interface RestoreReport extends TransferReport {
  /** How long each part took, milliseconds. */
  readonly phases: {
    /** Into RESUMING. */
    readonly prepareMs: number
    /** The source to RESUMING. */
    readonly transferMs: number
    /** RESUMING to STOP: validation and loading. */
    readonly loadMs: number
    /** Into the final state. */
    readonly startMs: number
  }
}

/** Whether a device in this state does anything by itself. */
export function isRunning(state: DeviceState): boolean {
  return state === DeviceState.RUNNING || state === DeviceState.RUNNING_P2P
}

/** Bytes per second, 0 when no time passed. */
export function throughput(bytes: number, elapsedMs: number): number {
  return elapsedMs > 0 ? (bytes / elapsedMs) * 1000 : 0
}

/** A stopwatch: {@link lap} is the time since the lap before. */
export class Stopwatch {
  readonly #startMs: number = performance.now()
  #lapMs: number = this.#startMs

  /** Milliseconds since the start. */
  get elapsedMs(): number {
    return performance.now() - this.#startMs
  }

  /** Milliseconds since the last lap, or the start. */
  lap(): number {
    const now = performance.now()
    const lap = now - this.#lapMs
    this.#lapMs = now
    return lap
  }
}
