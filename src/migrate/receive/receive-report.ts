/**
 * What a receiver did: bytes, time by phase, and who runs the devices now.
 *
 * @module
 */

import type { HandoverTicket } from '../handover/ticket.ts'
import type { Owner } from '../report.ts'

/** What {@link receive} did. */
export interface ReceiveReport {
  /** Migration id, 32 hexadecimal digits. */
  readonly id: string
  /** Bytes of all migration streams. */
  readonly bytes: number
  /** In all. */
  readonly elapsedMs: number
  /** Over the transfer phase. */
  readonly bytesPerSecond: number
  /** 'destination': the devices run here (or are stopped, as the source's were). */
  readonly owner: Owner | 'undecided'
  /** There while the hand-over is undecided. */
  readonly ticket?: HandoverTicket
  /** By device: its type, and the bytes of its stream. */
  readonly devices: readonly { readonly type: string; readonly bytes: number }[]
  /** How long each part took, milliseconds. */
  readonly phases: {
    /** Into RESUMING. */
    readonly prepareMs: number
    readonly transferMs: number
    /** RESUMING to STOP: validation and loading. */
    readonly loadMs: number
    /** From READY until COMMIT came. */
    readonly waitMs: number
    /** STOP to RUNNING. */
    readonly startMs: number
  }
}

/** What a receiver is doing. */
export type ReceivePhase = 'prepare' | 'transfer' | 'load' | 'ready' | 'start' | 'running'

/** How far a receiver is. */
export interface ReceiveProgress {
  /** Migration id, 32 hexadecimal digits. */
  readonly id: string
  /** What it is doing. */
  readonly phase: ReceivePhase
  /** Received so far, all devices. */
  readonly bytes: number
  /** Since it began. */
  readonly elapsedMs: number
}
