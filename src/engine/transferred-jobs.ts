/**
 * Jobs for an engine whose memory no other thread can see: the bytes are copied into a buffer that goes to
 * the worker and comes back with the checksum. A handful of buffers is reused.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { Engine } from './engine.ts'
import type { ChecksumJob, EngineJobs, PostedJob } from './job.ts'
import { keepAlive } from './keep-alive.ts'
import { type FromWorker, TRANSFER_BYTES } from './worker-messages.ts'

/** Buffers, and with them jobs, that are out at the most. */
export const TRANSFER_BUFFERS = 4

/** Bytes of a buffer to begin with: a section's payload at its default size. */
const BUFFER_BYTES = 256 * 1024

/** Sends one job's bytes to the worker. */
type Send = (job: number, kind: ChecksumJob['kind'], byteLength: number, buffer: ArrayBuffer) => void

/** The transferred jobs of one worker, for all engines. */
export class TransferOwner {
  readonly #send: Send
  readonly #out = new Map<number, TransferredJob>()
  readonly #spare: ArrayBuffer[] = []
  #next = 0
  #gone: VfioError | undefined

  constructor(send: Send) {
    this.#send = send
  }

  /** The jobs of an engine. */
  jobsOf(engine: Engine): EngineJobs {
    return {
      post: (job) => this.#post(engine, job),
      settle: (job) => (job as TransferredJob).end,
      detach: () => {},
    }
  }

  /** A buffer came back. */
  take(message: Extract<FromWorker, { type: 'checksummed' }>): void {
    const job = this.#out.get(message.job)
    this.#out.delete(message.job)
    this.#spare.push(message.buffer)
    job?.finish(message)
  }

  /** The worker is gone, and the buffers with it. */
  fail(error: VfioError): void {
    this.#gone = error
    for (const job of this.#out.values()) job.settleWith(error)
    this.#out.clear()
  }

  #post(engine: Engine, job: ChecksumJob): PostedJob | undefined {
    const { src, byteLength, kind } = job
    if (this.#gone !== undefined || byteLength > TRANSFER_BYTES) return undefined
    if (this.#out.size >= TRANSFER_BUFFERS) return undefined
    let buffer = this.#spare.pop()
    if (buffer === undefined || buffer.byteLength < byteLength)
      buffer = new ArrayBuffer(Math.max(byteLength, BUFFER_BYTES))
    new Uint8Array(buffer).set(engine.bytes.subarray(src, src + byteLength))
    const posted = new TransferredJob(engine, job)
    this.#out.set(this.#next, posted)
    this.#send(this.#next, kind, byteLength, buffer)
    this.#next++
    return posted
  }
}

/** One job on its way. */
class TransferredJob implements PostedJob {
  /** Resolves when the job is settled. */
  readonly end: Promise<void>
  readonly #engine: Engine
  readonly #job: ChecksumJob
  readonly #release: () => void = keepAlive()
  #settled = false
  #failure: VfioError | undefined
  #resolve: () => void = () => {}

  constructor(engine: Engine, job: ChecksumJob) {
    this.#engine = engine
    this.#job = job
    this.end = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get settled(): boolean {
    return this.#settled
  }

  get failure(): VfioError | undefined {
    return this.#failure
  }

  /** The worker has its own copy, so nothing has to be waited for. */
  cancel(): void {
    this.settleWith(undefined)
  }

  finish(message: Extract<FromWorker, { type: 'checksummed' }>): void {
    if (this.#settled) return
    const { low, high, buffer, refusal } = message
    if (refusal !== undefined) {
      this.settleWith(new VfioError('EIO', `Cannot checksum on a worker: ${refusal}, restore without it`))
      return
    }
    const { bytes } = this.#engine
    const { out, copyTo, byteLength } = this.#job
    if (copyTo !== 0) bytes.set(new Uint8Array(buffer, 0, byteLength), copyTo)
    const view = new DataView(bytes.buffer, bytes.byteOffset + out, 8)
    view.setUint32(0, low, true)
    view.setUint32(4, high, true)
    this.settleWith(undefined)
  }

  settleWith(failure: VfioError | undefined): void {
    if (this.#settled) return
    this.#settled = true
    this.#failure = failure
    this.#release()
    this.#resolve()
  }
}
