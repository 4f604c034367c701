/**
 * A second thread for an engine: its owner's side. How a thread is made is the runtime's affair
 * (`stopcopy/node`, `stopcopy/web`).
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { bestWasmVariant, wasmModule } from './builds.ts'
import { SCRATCH_BYTES } from './create-kernels.ts'
import type { Engine } from './engine.ts'
import type { EngineJobs } from './job.ts'
import { keepAlive } from './keep-alive.ts'
import { JobRing, RING_BYTES, canWaitAsync } from './job-ring.ts'
import { RingOwner } from './ring-jobs.ts'
import { TransferOwner } from './transferred-jobs.ts'
import type { FromWorker, ToWorker, WorkerThread } from './worker-messages.ts'

/** How long a thread may take to end its job when it is closed, in milliseconds. */
const CLOSE_MS = 1000

/** Options of an {@link EngineWorker}. */
export interface EngineWorkerOptions {
  /**
   * `'transfer'`: also the jobs of shared engines go by transferred buffers. Default: `'ring'`, with
   * `'transfer'` for engines that are not shared.
   */
  jobs?: 'ring' | 'transfer'
}

/** A thread that checksums and copies for engines. Make one with `createWorker` of a runtime's room. */
export class EngineWorker {
  readonly #thread: WorkerThread
  readonly #options: EngineWorkerOptions
  readonly #transfers: TransferOwner
  readonly #attaching = new Map<number, { resolve: () => void; reject: (error: VfioError) => void }>()
  #ring: { ring: JobRing; owner: RingOwner } | undefined
  /** Engines attached through the ring: the worker is in its loop while there are any. */
  #ringEngines = 0
  #nextId = 1
  #closing: Promise<void> | undefined
  #onClosing: () => void = () => {}
  #gone: VfioError | undefined
  #ready: { resolve: () => void; reject: (error: VfioError) => void } | undefined

  private constructor(thread: WorkerThread, options: EngineWorkerOptions) {
    this.#thread = thread
    this.#options = options
    this.#transfers = new TransferOwner((job, kind, byteLength, buffer) =>
      this.#tell({ type: 'checksum', job, kind, byteLength, buffer }, [buffer]),
    )
    thread.onMessage((message) => this.#take(message as FromWorker))
    thread.onExit((cause) => this.#lose(cause))
  }

  /**
   * Waits until the thread serves jobs.
   *
   * @throws {@link VfioError} EIO when it ended before
   */
  static async start(thread: WorkerThread, options: EngineWorkerOptions = {}): Promise<EngineWorker> {
    const worker = new EngineWorker(thread, options)
    await new Promise<void>((resolve, reject) => {
      if (worker.#gone === undefined) worker.#ready = { resolve, reject }
      else reject(worker.#gone)
    })
    return worker
  }

  /** True once the worker was closed or its thread ended: it takes no jobs any more. */
  get closed(): boolean {
    return this.#closing !== undefined || this.#gone !== undefined
  }

  /**
   * Gives the worker an engine to work for: through the ring when it is shared, which takes 64 KiB of it
   * for the worker's scratch, else through transferred buffers.
   *
   * @throws {@link VfioError} EBADF when the worker was closed, EIO when its thread ended; ENOMEM when the
   * engine has no room for the scratch; EOPNOTSUPP when the thread cannot run the engine's kernels
   */
  async attach(engine: Engine): Promise<EngineJobs> {
    this.#checkOpen()
    const { share } = engine
    if (share === undefined || this.#options.jobs === 'transfer') {
      const variant = bestWasmVariant()
      const module = variant === undefined ? undefined : await wasmModule(variant)
      const id = this.#nextId++
      await this.#handOver({ type: 'own', id, module }, id)
      return this.#transfers.jobsOf(engine)
    }
    const scratch = engine.allocate(SCRATCH_BYTES)
    const id = this.#nextId++
    try {
      const { owner } = this.#openRing()
      await this.#handOver({ type: 'attach', id, share, scratch }, id)
      this.#ringEngines++
      this.#resume()
      return owner.jobsOf(id, engine, () => this.#detach(id, () => engine.free(scratch)))
    } catch (error) {
      engine.free(scratch)
      throw error
    }
  }

  /** Ends the thread. Jobs that are out fail with EIO; calling it again has no effect. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const release = keepAlive()
    try {
      // A Web Worker may run on for a while after `terminate`: it must have let go of all memory before.
      const closing = new Promise<void>((resolve) => {
        this.#onClosing = resolve
      })
      const timer = setTimeout(() => this.#onClosing(), CLOSE_MS)
      this.#ring?.ring.interrupt()
      this.#thread.send({ type: 'close' } satisfies ToWorker)
      if (this.#gone === undefined) await closing
      clearTimeout(timer)
      await this.#thread.terminate()
      this.#lose(undefined)
    } finally {
      release()
    }
  }

  #openRing(): { ring: JobRing; owner: RingOwner } {
    if (this.#ring === undefined) {
      const buffer = new SharedArrayBuffer(RING_BYTES)
      const ring = new JobRing(buffer)
      this.#ring = { ring, owner: new RingOwner(ring) }
      this.#tell({ type: 'ring', ring: buffer, pings: !canWaitAsync() })
    }
    return this.#ring
  }

  /** The worker's answer to a message that gives it kernels. */
  #handOver(message: ToWorker, id: number): Promise<void> {
    this.#checkOpen()
    const release = keepAlive()
    const answer = new Promise<void>((resolve, reject) => {
      this.#attaching.set(id, { resolve, reject })
      try {
        this.#tell(message)
      } catch (cause) {
        this.#attaching.delete(id)
        reject(noKernels(String(cause), cause))
      }
    })
    return answer.finally(release)
  }

  #detach(id: number, release: () => void): void {
    this.#ringEngines--
    release()
    if (this.closed) return
    this.#tell({ type: 'detach', id })
  }

  /** A worker in its loop sees no message, so it is called out of it and sent back. */
  #tell(message: ToWorker, transfer?: ArrayBuffer[]): void {
    this.#ring?.ring.interrupt()
    this.#thread.send(message, transfer)
    this.#resume()
  }

  #resume(): void {
    if (this.#ring === undefined || this.#ringEngines === 0) return
    this.#thread.send({ type: 'run', run: this.#ring.ring.run } satisfies ToWorker)
  }

  #take(message: FromWorker): void {
    if (message.type === 'ready') {
      this.#ready?.resolve()
    } else if (message.type === 'closing') {
      this.#onClosing()
    } else if (message.type === 'attached') {
      const attaching = this.#attaching.get(message.id)
      this.#attaching.delete(message.id)
      if (message.refusal === undefined) attaching?.resolve()
      else attaching?.reject(noKernels(message.refusal))
    } else if (message.type === 'ping') {
      this.#ring?.owner.ping()
    } else {
      this.#transfers.take(message)
    }
  }

  /** The thread is gone: nobody writes into an engine's memory any more. */
  #lose(cause: unknown): void {
    if (this.#gone !== undefined) return
    const why = this.#closing === undefined ? 'its thread ended' : 'it was closed'
    this.#onClosing()
    this.#gone = new VfioError('EIO', `Cannot work on a worker: ${why}, create another`, { cause })
    this.#ready?.reject(this.#gone)
    for (const { reject } of this.#attaching.values()) reject(this.#gone)
    this.#attaching.clear()
    this.#ring?.owner.fail(this.#gone)
    this.#transfers.fail(this.#gone)
  }

  #checkOpen(): void {
    if (this.#closing !== undefined)
      throw new VfioError('EBADF', 'Cannot use the worker: it was closed, create another')
    if (this.#gone !== undefined) throw this.#gone
  }
}

function noKernels(reason: string, cause?: unknown): VfioError {
  return new VfioError('EOPNOTSUPP', `Cannot attach an engine to the worker: ${reason}, use none`, { cause })
}
