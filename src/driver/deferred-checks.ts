/**
 * Payload checks that a worker makes while a resuming session takes the bytes that follow.
 *
 * The checks stand in a queue in stream order, and with them what must come after them, such as clearing a
 * zero run. Nothing may touch the memory of an entry before it has left the queue.
 *
 * @module
 */

import type { Engine, EngineJobs, PostedJob } from '../engine/index.ts'
import { CHECKSUM_BYTES, type PlacedPayload, sameChecksum, StreamFault } from '../format/index.ts'
import { letGo } from './let-go.ts'

/** Checks that can be out, as many as a worker takes. */
const CHECKS = 16
/** The computed checksum, then the expected one. */
const CHECK_BYTES: number = 2 * CHECKSUM_BYTES

interface Entry {
  /** The memory that the entry writes or reads. */
  readonly start: number
  readonly end: number
  /** Of a check; without it the entry is an action. */
  readonly job?: PostedJob
  /** Called when everything before the entry has left the queue, and its own job, if it has one, is settled. */
  finish(): void
}

/** The checks of one session. */
export class DeferredChecks {
  readonly #engine: Engine
  readonly #jobs: EngineJobs
  readonly #refuse: (error: unknown, payload: PlacedPayload) => void
  readonly #results: number
  readonly #freeSlots: number[] = Array.from({ length: CHECKS }, (_, slot) => slot)
  #queue: Entry[] = []

  /**
   * ENOMEM when the engine has no room for the results.
   *
   * @param refuse - told of a payload whose checksum is another, or that the worker could not check
   */
  constructor(engine: Engine, jobs: EngineJobs, refuse: (error: unknown, payload: PlacedPayload) => void) {
    this.#engine = engine
    this.#jobs = jobs
    this.#refuse = refuse
    this.#results = engine.allocate(CHECKS * CHECK_BYTES)
  }

  /** Whether something is in the queue. */
  get pending(): boolean {
    return this.#queue.length > 0
  }

  /** Whether something in the queue works on these bytes. */
  overlaps(pointer: number, byteLength: number): boolean {
    return this.#queue.some(({ start, end }) => start < pointer + byteLength && pointer < end)
  }

  /** Gives a payload to the worker; undefined when it takes no more. */
  post(payload: PlacedPayload): PostedJob | undefined {
    const { kind, source, target, section, expected } = payload
    const slot = this.#freeSlots.at(-1)
    if (slot === undefined) return undefined
    const out = this.#results + slot * CHECK_BYTES
    const copyTo = source === target ? 0 : target
    const job = this.#jobs.post({
      kind,
      src: source,
      byteLength: section.payloadBytes,
      copyTo,
      out,
      // A restore is the end of the pipeline whose beginning a save may be.
      urgent: true,
    })
    if (job === undefined) return undefined
    this.#freeSlots.pop()
    this.#engine.bytes.copyWithin(out + CHECKSUM_BYTES, expected, expected + CHECKSUM_BYTES)
    this.#queue.push({
      start: target,
      end: target + section.payloadBytes,
      job,
      finish: () => {
        this.#freeSlots.push(slot)
        if (job.failure !== undefined) this.#refuse(job.failure, payload)
        else if (!sameChecksum(this.#engine, out, out + CHECKSUM_BYTES))
          this.#refuse(new StreamFault('EBADMSG', 'payload checksum does not match'), payload)
      },
    })
    return job
  }

  /** Runs `action` on a range when everything posted so far has left the queue; at once when it is empty. */
  afterwards(pointer: number, byteLength: number, action: () => void): void {
    this.#queue.push({ start: pointer, end: pointer + byteLength, finish: action })
    this.reap()
  }

  /** Takes what is settled from the front of the queue. */
  reap(): void {
    let done = 0
    for (const entry of this.#queue) {
      if (entry.job?.settled === false) break
      done++
      entry.finish()
    }
    if (done > 0) this.#queue.splice(0, done)
  }

  /** Resolves when at least the front of the queue has left it. */
  async progress(): Promise<void> {
    const job = this.#queue[0]?.job
    if (job !== undefined) await this.#jobs.settle(job)
    this.reap()
  }

  /** Resolves when `job` is settled. */
  settle(job: PostedJob): Promise<void> {
    return this.#jobs.settle(job)
  }

  /**
   * Drops what is in the queue and gives everything back: at once, or when the worker let go of what it has
   * begun.
   */
  end(): Promise<void> | undefined {
    const jobs = this.#queue.flatMap(({ job }) => job ?? [])
    this.#queue = []
    return letGo(this.#jobs, jobs, () => this.#release())
  }

  #release(): void {
    this.#jobs.detach()
    this.#engine.free(this.#results)
  }
}
