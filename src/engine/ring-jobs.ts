/**
 * The posting thread's side of the ring: who waits for jobs, and works on them meanwhile.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { Engine } from './engine.ts'
import { type ChecksumJob, type EngineJobs, type PostedJob, runJob } from './job.ts'
import { canWaitAsync, JobRing, SlotState } from './job-ring.ts'
import { keepAlive } from './keep-alive.ts'

/** What the posting thread needs of one of the worker's engines. */
interface AttachedEngine {
  readonly engine: Engine
  readonly view: DataView
}

/** The ring of one worker as its owner uses it, for all engines. */
export class RingOwner {
  readonly #ring: JobRing
  readonly #engines = new Map<number, AttachedEngine>()
  /** The job of each slot that is not known to have ended. */
  readonly #jobs: (RingJobHandle | undefined)[] = []
  readonly #waitsAsync: boolean = canWaitAsync()
  #gone: VfioError | undefined
  /** Who waits for the next ping, where the host cannot wait for the ring itself. */
  #pinged: (() => void)[] = []

  constructor(ring: JobRing) {
    this.#ring = ring
  }

  /** Why no job can be done any more. */
  get gone(): VfioError | undefined {
    return this.#gone
  }

  /** The jobs of an engine the worker knows as `id`. */
  jobsOf(id: number, engine: Engine, detach: () => void): EngineJobs {
    this.#engines.set(id, { engine, view: new DataView(engine.bytes.buffer) })
    return {
      post: (job) => this.#post(id, job),
      settle: (job) => this.#settle(job),
      detach: () => {
        this.#engines.delete(id)
        detach()
      },
    }
  }

  /** A message said that a job has ended. */
  ping(): void {
    for (const resolve of this.#pinged.splice(0)) resolve()
  }

  /** The worker is gone: what it had begun and what nobody began fails. */
  fail(error: VfioError): void {
    this.#gone = error
    for (const job of this.#jobs) job?.fail(error)
    this.#ring.wake()
    this.ping()
  }

  #post(engine: number, job: ChecksumJob): PostedJob | undefined {
    if (this.#gone !== undefined) return undefined
    const slot = this.#ring.nextSlot(job.urgent === true)
    // The owner of the slot's last job may not have looked yet.
    if (this.#jobs[slot]?.settled === false) return undefined
    const handle = new RingJobHandle(this.#ring, slot)
    this.#jobs[slot] = handle
    this.#ring.post({ ...job, engine })
    return handle
  }

  async #settle(job: PostedJob): Promise<void> {
    while (!job.settled) {
      const count = this.#ring.settledCount
      if (job.settled) return
      if (this.#help()) await Promise.resolve()
      else await this.#nextEnd(count)
    }
  }

  async #nextEnd(count: number): Promise<void> {
    const release = keepAlive()
    await (this.#waitsAsync ? this.#ring.changed(count) : this.#nextPing())
    release()
  }

  #help(): boolean {
    const slot = this.#ring.take()
    if (slot < 0) return false
    const job = this.#ring.job(slot)
    let done = true
    try {
      const { engine, view } = this.#engines.get(job.engine) as AttachedEngine
      runJob(engine.kernels, view, job)
    } catch {
      // A job outside the memory: its poster made it up.
      done = false
    }
    this.#ring.end(slot, done)
    this.ping()
    return true
  }

  #nextPing(): Promise<void> {
    return new Promise((resolve) => this.#pinged.push(resolve))
  }
}

/** One job in the ring; remembers its end, because its slot goes on to the next. */
class RingJobHandle implements PostedJob {
  readonly #ring: JobRing
  readonly #slot: number
  #settled = false
  #failure: VfioError | undefined

  constructor(ring: JobRing, slot: number) {
    this.#ring = ring
    this.#slot = slot
  }

  get settled(): boolean {
    if (this.#settled) return true
    const state = this.#ring.state(this.#slot)
    if (state !== SlotState.DONE && state !== SlotState.FAILED) return false
    if (state === SlotState.FAILED) {
      this.#failure = new VfioError(
        'EFAULT',
        "Cannot checksum on a worker: the job lies outside the engine's memory, pass ranges that allocate() returned",
      )
    }
    this.#settled = true
    this.#ring.free(this.#slot)
    return true
  }

  get failure(): VfioError | undefined {
    return this.settled ? this.#failure : undefined
  }

  cancel(): void {
    if (!this.settled && this.#ring.withdraw(this.#slot)) this.#settled = true
  }

  /** The worker is gone; a job that ended before has its own result. */
  fail(error: VfioError): void {
    if (this.settled) return
    this.#failure = error
    this.#settled = true
  }
}
