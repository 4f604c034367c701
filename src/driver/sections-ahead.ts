/**
 * Sections whose checksums a worker computes before their turn comes, while earlier ones are on their way.
 *
 * Only payloads that lie still qualify: pages of a stopped device, in place. Nothing but the checksum is
 * prepared, so sequence numbers and the digest stay in the order in which sections are taken.
 *
 * @module
 */

import type { Engine, EngineJobs, PostedJob } from '../engine/index.ts'
import { CHECKSUM_BYTES, type ChecksumKind, SECTION_HEADER_BYTES, type SectionPlan } from '../format/index.ts'
import { letGo } from './let-go.ts'

/** Sections that are prepared at the most: two writes of a transport. */
const AHEAD = 8
/** Payloads below this many bytes are checksummed faster than a worker is told of them. */
const WORKER_BYTES = 32 * 1024

/** A section ahead; without a job it is checksummed at its turn. */
interface Ahead {
  readonly plan: SectionPlan
  readonly job: PostedJob | undefined
  readonly checksum: number
}

/** A section whose turn has come. */
export interface PreparedSection {
  readonly plan: SectionPlan
  /** Where the payload's checksum stands; undefined when it is still to be computed. */
  readonly checksum: number | undefined
}

/** The queue of one session. */
export class SectionsAhead {
  readonly #engine: Engine
  readonly #jobs: EngineJobs
  readonly #kind: ChecksumKind
  readonly #take: () => SectionPlan | undefined
  readonly #checksums: number
  #queue: Ahead[] = []
  #count = 0

  /**
   * ENOMEM when the engine has no room for the checksums.
   *
   * @param take - takes the next section whose payload lies in place, if that is what comes next
   */
  constructor(engine: Engine, jobs: EngineJobs, kind: ChecksumKind, take: () => SectionPlan | undefined) {
    this.#engine = engine
    this.#jobs = jobs
    this.#kind = kind
    this.#take = take
    this.#checksums = engine.allocate(AHEAD * CHECKSUM_BYTES)
  }

  /** Whether the next section is one of these, and not ready. */
  get waiting(): boolean {
    this.#fill()
    return this.#queue[0]?.job?.settled === false
  }

  /** Stream bytes of the sections that were taken off and not given out. */
  get byteLength(): number {
    return this.#queue.reduce((total, { plan }) => total + SECTION_HEADER_BYTES + plan.payloadBytes, 0)
  }

  /** Resolves when the next section is ready. */
  async ready(): Promise<void> {
    const job = this.#queue[0]?.job
    if (job !== undefined) await this.#jobs.settle(job)
  }

  /**
   * The next section, if it is one of these; only when it is not {@link waiting}.
   *
   * @throws {@link VfioError} EIO when the worker is gone
   */
  next(): PreparedSection | undefined {
    const [front] = this.#queue
    if (front === undefined) return undefined
    const { plan, job, checksum } = front
    if (job?.failure !== undefined) throw job.failure
    this.#queue.shift()
    return { plan, checksum: job === undefined ? undefined : checksum }
  }

  /** Gives everything back: at once, or when the worker let go of what it has begun. */
  end(): Promise<void> | undefined {
    const jobs = this.#queue.flatMap(({ job }) => job ?? [])
    this.#queue = []
    return letGo(this.#jobs, jobs, () => this.#release())
  }

  #fill(): void {
    while (this.#queue.length < AHEAD) {
      const plan = this.#take()
      if (plan === undefined) return
      // A section's checksum is read when its turn comes, and its place is free from then on.
      const checksum = this.#checksums + (this.#count++ % AHEAD) * CHECKSUM_BYTES
      const { payload: src, payloadBytes: byteLength } = plan
      const job =
        byteLength < WORKER_BYTES
          ? undefined
          : this.#jobs.post({ kind: this.#kind, src, byteLength, copyTo: 0, out: checksum })
      this.#queue.push({ plan, job, checksum })
    }
  }

  #release(): void {
    this.#jobs.detach()
    this.#engine.free(this.#checksums)
  }
}
