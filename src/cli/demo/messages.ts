/**
 * What the processes of the demo tell each other, over the channel between a parent and its children.
 *
 * @module
 */

import type { MigrateEvent, MigrateProgress, MigrateReport, ReceiveReport } from '../../migrate/index.ts'
import type { Failure } from '../failure.ts'

/** Secrets of one run, which only the source is given: nobody else can know what its memory will hold. */
export interface DemoSecrets {
  /** Of the power-on content. */
  readonly seed: number
  /** Of the workload: which pages it writes. */
  readonly workloadSeed: number
  /** 32 random bytes that the source writes to its device in PRE_COPY. */
  readonly nonce: Uint8Array
}

/** To the source: go. */
export interface SendOrder {
  readonly type: 'send'
  readonly url: string
  readonly memoryBytes: number
  readonly pagesPerSecond: number
  readonly downtimeLimitMs: number
  readonly secrets: DemoSecrets
}

/** To the destination: listen there. */
export interface ReceiveOrder {
  readonly type: 'receive'
  readonly url: string
}

/** To the destination, at the end: stop, and compare all memory with what it must hold. */
export interface CheckOrder {
  readonly type: 'check'
  readonly seed: number
  readonly workloadSeed: number
}

/** What the parent sends. */
export type DemoOrder = SendOrder | ReceiveOrder | CheckOrder

/** What a child tells: a moment, in milliseconds since 1970, and what happened. */
export type DemoNews = { readonly atMs: number } & (
  | { readonly type: 'started'; readonly pid: number }
  /** A device reached a state; the number of its next record then. */
  | { readonly type: 'state'; readonly state: string; readonly sequence: bigint }
  | { readonly type: 'event'; readonly event: MigrateEvent }
  | { readonly type: 'progress'; readonly progress: MigrateProgress }
  /** The nonce is in the device's memory, in this state. */
  | { readonly type: 'nonce'; readonly state: string; readonly sequence: bigint; readonly offset: number }
  /** The source is done; the sequence number that would have been the next one. */
  | { readonly type: 'sent'; readonly sequence: bigint; readonly report: MigrateReport }
  | { readonly type: 'listening'; readonly url: string }
  /** All is loaded, before anything runs; the sequence number that will be the next one. */
  | { readonly type: 'loaded'; readonly sequence: bigint }
  | { readonly type: 'received'; readonly report: ReceiveReport }
  | {
      readonly type: 'checked'
      readonly sequence: bigint
      /** Every byte of memory is what that many records must have left. */
      readonly matches: boolean
      /** The first one that is not. */
      readonly offset?: number
      readonly nonce: Uint8Array
    }
  | { readonly type: 'failed'; readonly failure: Failure }
)

/** News without its moment. */
export type DemoFact = DemoNews extends infer News
  ? News extends DemoNews
    ? Omit<News, 'atMs'>
    : never
  : never

/** Bytes of the nonce; it stands at the start of the last page, which the workload leaves alone. */
export const NONCE_BYTES = 32
