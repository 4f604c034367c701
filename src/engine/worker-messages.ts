/**
 * What an engine worker and its owner say to each other, besides the ring of jobs.
 *
 * @module
 */

import type { EngineShare } from './engine.ts'

/** Most bytes of a job over transferred buffers: the worker's own memory is this and its scratch. */
export const TRANSFER_BYTES: number = 1024 * 1024

/** Owner to worker. */
export type ToWorker =
  /** The ring, sent once; `pings` asks for a message at each job's end. */
  | { type: 'ring'; ring: SharedArrayBuffer; pings: boolean }
  /** Kernels over a shared engine's memory, with a scratch of their own; without a share over the worker's own. */
  | { type: 'attach'; id: number; share: EngineShare; scratch: number }
  /** Code for a memory of the worker's own, for engines that share none. */
  | { type: 'own'; id: number; module: object | undefined }
  | { type: 'detach'; id: number }
  /** Answer, so that the owner knows that no job is under way. */
  | { type: 'close' }
  /** Take jobs from the ring until its run number is another one. */
  | { type: 'run'; run: number }
  /** One job over a transferred buffer. */
  | { type: 'checksum'; job: number; kind: 'xxh3' | 'crc32c'; byteLength: number; buffer: ArrayBuffer }

/** Worker to owner. */
export type FromWorker =
  | { type: 'ready' }
  | { type: 'closing' }
  | { type: 'attached'; id: number; refusal?: string }
  /** A job of the ring has ended. */
  | { type: 'ping' }
  /** The buffer comes back; its first 8 bytes are the checksum, its length is that of the job or more. */
  | { type: 'checksummed'; job: number; low: number; high: number; buffer: ArrayBuffer; refusal?: string }

/** A message port to the other thread, as each runtime has it. */
export interface WorkerPort {
  send(message: unknown, transfer?: ArrayBuffer[]): void
  /** Called for each message. */
  onMessage(listener: (message: unknown) => void): void
}

/** A running worker thread, as each runtime has it. */
export interface WorkerThread extends WorkerPort {
  /** Called once when the thread is gone, with the reason where there is one. */
  onExit(listener: (cause: unknown) => void): void
  /** Ends the thread; settles when it runs no more. */
  terminate(): Promise<void> | void
}
