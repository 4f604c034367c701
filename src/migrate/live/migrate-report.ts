/**
 * What a migration did, and how far it is.
 *
 * @module
 */

import type { HandoverTicket } from '../handover/ticket.ts'
import type { Owner } from '../report.ts'

/** Where a migration is. */
export type MigratePhase = 'setup' | 'precopy' | 'stop' | 'drain' | 'load' | 'commit' | 'done'

/** Why the devices were stopped when they were. */
export type SwitchoverReason = 'converged' | 'max-iterations' | 'timeout' | 'no-precopy'

/** One pass over what was unread. */
export interface IterationReport {
  /** 1 is the first pass, over everything. */
  readonly iteration: number
  /** Sent in it. */
  readonly bytes: number
  /** How long it took. */
  readonly elapsedMs: number
  /** Sent in it, per second. */
  readonly bytesPerSecond: number
  /** Unread at its end. */
  readonly remainingBytes: number
  /** Written by the devices meanwhile, as far as that can be told. */
  readonly dirtyBytesPerSecond: number
}

/** How far a migration is; bytes and milliseconds. */
export interface MigrateProgress {
  /** What it is doing. */
  readonly phase: MigratePhase
  /** Since it began. */
  readonly elapsedMs: number
  /** Sent so far, all devices. */
  readonly bytes: number
  /** The pass under way; 1 is the first. */
  readonly iteration: number
  /** Unread now; absent when not known. */
  readonly remainingBytes?: number
  /** Over a sliding window; absent before the first measurement. */
  readonly bytesPerSecond?: number
  /** Written by the devices, as far as that can be told. */
  readonly dirtyBytesPerSecond?: number
  /** If the devices were stopped now. */
  readonly expectedDowntimeMs?: number
  /** Until the switchover; absent when it does not converge at these rates. */
  readonly etaMs?: number
  /** How much the devices are slowed down, percent. */
  readonly throttlePercent: number
}

/** Something that happened once. */
export type MigrateEvent =
  | { readonly type: 'phase'; readonly phase: MigratePhase; readonly elapsedMs: number }
  | ({ readonly type: 'iteration' } & IterationReport)
  | { readonly type: 'throttle'; readonly percent: number; readonly elapsedMs: number }
  | {
      readonly type: 'switchover'
      readonly reason: SwitchoverReason
      readonly remainingBytes: number
      readonly expectedDowntimeMs: number
      readonly elapsedMs: number
    }

/** What {@link migrate} did. */
export interface MigrateReport {
  /** Migration id, 32 hexadecimal digits. */
  readonly id: string
  /** Bytes of all migration streams. */
  readonly bytes: number
  /** In all, to the end of the cleanup. */
  readonly elapsedMs: number
  /** Over pre-copy and drain. */
  readonly bytesPerSecond: number
  /** Who runs the devices now. 'undecided': nobody, until the ticket is settled with `resolveHandover`. */
  readonly owner: Owner | 'undecided'
  /** There while the hand-over is undecided; plain data. */
  readonly ticket?: HandoverTicket
  /** Where the connection broke, while it is undecided. */
  readonly undecidedBecause?: string
  /** The passes of pre-copy. */
  readonly iterations: readonly IterationReport[]
  /** From the request to stop until the destination said that it runs. */
  readonly downtimeMs?: number
  /** What that was expected to be when the devices were stopped. */
  readonly expectedDowntimeMs?: number
  /** As it was asked for. */
  readonly downtimeLimitMs: number
  /** Why the devices were stopped; absent when they were not. */
  readonly switchover?: SwitchoverReason
  /** The longest part of the downtime. */
  readonly downtimeBoundBy?: 'stop' | 'drain' | 'load' | 'commit'
  /** Bytes of zero pages of which only the number was sent. */
  readonly zeroBytesSaved: number
  /** Most that the devices were slowed down, percent. */
  readonly throttlePercent: number
  /** A cancellation that came after COMMIT had begun: it was too late. */
  readonly canceledTooLate?: true
  /** How many carried it. */
  readonly connections: number
  /** By device: its type, and the bytes of its stream. */
  readonly devices: readonly { readonly type: string; readonly bytes: number }[]
  /** How long each part took, milliseconds. */
  readonly phases: {
    /** Discovery, and the destination in RESUMING. */
    readonly setupMs: number
    readonly precopyMs: number
    /** All devices to STOP_COPY. */
    readonly stopMs: number
    /** The rest of the streams. */
    readonly drainMs: number
    /** END until READY: the destination loaded and verified. */
    readonly loadMs: number
    /** COMMIT until RUNNING. */
    readonly commitMs: number
    /** The source's devices to STOP, connections closed. */
    readonly cleanupMs: number
  }
}
