/**
 * What a page and the Worker of one machine say to each other.
 *
 * @module
 */

import type { HandoverOutcome, MigrateProgress, MigrateReport, ReceiveReport, StreamReport } from 'stopcopy'
import type { GuestFiles } from '../machines/guest-files.ts'
import type { MachineInput } from '../machines/machine-kind.ts'

/** Where the bytes of a migration go or come from. */
export type Link =
  | { readonly via: 'port'; readonly port: MessagePort }
  /** Where tabs cannot give each other ports. */
  | { readonly via: 'broadcast'; readonly meeting: string }
  | { readonly via: 'web-socket'; readonly url: string }

/** How a machine is sent. */
export interface SendOptions {
  readonly downtimeLimitMs: number
  /** Bytes per second; absent: as fast as it goes. */
  readonly bandwidthLimit?: number
  /** Compares all memory, of a machine with much of it, too. */
  readonly prove: boolean
  /** The lowest bit of this byte of the connection arrives the other way round. */
  readonly damageAt?: number
}

/** What a page asks for. All but 'input' are answered. */
export type Request =
  | { readonly ask: 'screen'; readonly canvas: OffscreenCanvas }
  /** What machines can be made of, from now on. */
  | { readonly ask: 'equip'; readonly files: GuestFiles }
  | { readonly ask: 'power-on'; readonly kind: string }
  | { readonly ask: 'power-off' }
  | { readonly ask: 'input'; readonly input: MachineInput }
  | { readonly ask: 'send'; readonly link: Link; readonly options: SendOptions }
  /** What the stream held that was sent last; asked for once, when nothing is in a hurry. */
  | { readonly ask: 'stream' }
  | { readonly ask: 'receive'; readonly link: Link; readonly prove: boolean }
  /** Settles the hand-over from here that is undecided: asks the other side, or believes the person. */
  | { readonly ask: 'settle'; readonly how: Link | 'run' | 'discard' }
  /** Tells the other side how a hand-over to here ended. */
  | { readonly ask: 'answer'; readonly link: Link }
  | { readonly ask: 'save'; readonly name: string }
  | { readonly ask: 'load'; readonly file: Blob }
  | { readonly ask: 'cancel' }

/** A machine at one end of a hand-over. */
export interface Moment {
  readonly ticks: number
  /** SHA-256 of its memory, hexadecimal; empty when it was not asked for or the page may not compute any. */
  readonly digest: string
  readonly picture: ImageBitmap | undefined
  /** When the last new picture before it, or the first one after it, was drawn: milliseconds since 1970. */
  readonly pictureAtMs: number
}

export interface SentResult {
  readonly report: MigrateReport
  readonly stopped: Moment | undefined
  /** Longest time between two pictures while it was sent. */
  readonly longestGapMs: number
}

export interface ReceivedResult {
  readonly report: ReceiveReport
  readonly started: Moment
  readonly kind: string
}

export interface SavedResult {
  readonly file: File
  readonly downtimeMs: number
  readonly stream: StreamReport
}

export interface LoadedResult {
  readonly ticks: number
  readonly kind: string
  readonly stream: StreamReport
}

/** What each request is answered with. */
export interface Results {
  readonly screen: undefined
  readonly equip: undefined
  readonly 'power-on': undefined
  readonly 'power-off': undefined
  readonly input: undefined
  readonly send: SentResult
  readonly stream: StreamReport | undefined
  readonly receive: ReceivedResult
  readonly settle: HandoverOutcome['owner']
  readonly answer: undefined
  readonly save: SavedResult
  readonly load: LoadedResult
  readonly cancel: undefined
}

/** An error, as plain data. */
export interface Failure {
  readonly code: string
  readonly message: string
}

/** What a Worker tells by itself. */
export type Notice =
  | { readonly tell: 'arc'; readonly from: number; readonly to: number; readonly ms: number }
  /** The device is RUNNING, from power-on content. */
  | { readonly tell: 'reset' }
  | { readonly tell: 'status'; readonly ticks: number; readonly gaps: number; readonly perSecond: number }
  | { readonly tell: 'migration'; readonly progress: MigrateProgress }
  | { readonly tell: 'bytes'; readonly bytes: number; readonly totalBytes: number | undefined }

/** What comes from the page. */
export interface FromPage {
  readonly id: number
  readonly request: Request
}

/** What comes from the Worker. */
export type FromWorker =
  | { readonly id: number; readonly result: Results[keyof Results] }
  | { readonly id: number; readonly failure: Failure }
  | { readonly id?: undefined; readonly notice: Notice }
