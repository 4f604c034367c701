/**
 * What the demo needs of a machine, so that any device can be one.
 *
 * @module
 */

import type { Driver } from 'stopcopy'
import type { GuestFiles } from './guest-files.ts'

/** What a person does to a machine. */
export type MachineInput =
  | {
      readonly type: 'pointer'
      /** Of the picture's width and height, 0 to 1. */
      readonly x: number
      readonly y: number
      readonly inside: boolean
      readonly pressed: boolean
    }
  | { readonly type: 'key'; readonly code: string; readonly down: boolean }

/** A picture: RGBA, `width * height * 4` bytes, which the machine may use again. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly pixels: Uint8ClampedArray<ArrayBuffer>
}

/** What a machine is given: all of it is in the Worker that the machine lives in. */
export interface MachineHost {
  /** There is a new picture. */
  onPicture(): void
  /** The machine did one more tick, its `ticks`-th. */
  onTick(ticks: number): void
  /** A machine that `wakes` is about to work, for the first time since it was started. */
  onWake?(): void
}

/** One machine; its device is opened and closed by whoever holds it. */
export interface Machine {
  readonly driver: Driver
  /** A tick that was counted before a hand-over may be told after it. */
  readonly tellsLate?: boolean
  /** Tells its host before it works, so that nothing of it is looked at on the way to there. */
  readonly wakes?: boolean
  /** Counts what the machine did since power-on, across migrations. */
  ticks(): number
  /**
   * The picture now, which is new no more; it can be asked for in any state but RESUMING. Undefined: there is
   * none yet.
   */
  picture(): Picture | undefined
  /** Tells of a new picture now, if there is one; for machines whose pictures are looked for. */
  look?(): void
  /** All memory that must be equal at both ends of a hand-over; views, for now. */
  memory(): readonly Uint8Array[]
  input(input: MachineInput): void
  /** After its device was closed. */
  destroy?(): Promise<void>
}

/** A kind of machine, as the page offers it. */
export interface MachineKind {
  readonly id: string
  readonly title: string
  /** What keys and pointer do, for people. */
  readonly hint: string
  /** `identity.type` of its device. */
  readonly deviceType: string
  /** `v86.guest` of its configuration, where it has one. */
  readonly guest?: string
}

/** What a machine is made of. */
export interface MachineParts {
  readonly files: GuestFiles
  /** Of the machine whose content it waits for; absent: it starts by itself. */
  readonly configuration?: Readonly<Record<string, unknown>>
}

/** Makes a machine of a kind. */
export type MachineFactory = (host: MachineHost, parts: MachineParts) => Promise<Machine>
