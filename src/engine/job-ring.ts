/**
 * The ring that jobs go through: a SharedArrayBuffer of fixed-size slots between the thread that posts and
 * the worker. Whoever turns a slot from POSTED to TAKEN runs its job, so both threads can.
 *
 * ```text
 * word 0      run: a number that changes when the worker must look at its messages
 * word 1      posted: counts up with every job, the worker waits for it
 * word 2      settled: counts up with every end of a job, the posting thread waits for it
 * word 3      1 while the worker sleeps: waking nobody costs as much as a small job
 * word 4      how many wait for the end of a job
 * word 16...  lane 0 (urgent jobs), then lane 1, each 16 slots of 16 words (a cache line):
 *             state, engine, kind, src, bytes, copyTo, out
 * ```
 *
 * @module
 */

import type { ChecksumJob } from './job.ts'

/** Jobs that can be out in each lane. */
export const LANE_SLOTS = 16

const LANES = 2
const SLOT_WORDS = 16
const HEADER_WORDS = 16

/** Bytes of a ring. */
export const RING_BYTES: number = 4 * (HEADER_WORDS + LANES * LANE_SLOTS * SLOT_WORDS)

const RUN = 0
const POSTED_COUNT = 1
const SETTLED_COUNT = 2
const ASLEEP = 3
const WAITING = 4

/** What a slot is. */
export const SlotState = { FREE: 0, POSTED: 1, TAKEN: 2, DONE: 3, FAILED: 4 } as const

/** A job as a ring holds it. */
export interface RingJob extends ChecksumJob {
  /** Which of the worker's engines it works on. */
  readonly engine: number
}

/** Looks at the count before the worker goes to sleep: some 50 us, the time of one long job. */
const SPINS = 20_000

/** One thread's view of the ring. */
export class JobRing {
  readonly #words: Int32Array
  /** Per lane, the slot where the next search and the next post begin. */
  readonly #search: number[] = [0, 0]
  readonly #next: number[] = [0, 0]

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer)
  }

  /** The number of the run under way. */
  get run(): number {
    return Atomics.load(this.#words, RUN)
  }

  /** Sends the worker out of its loop, to its messages. */
  interrupt(): number {
    const run = Atomics.add(this.#words, RUN, 1) + 1
    Atomics.add(this.#words, POSTED_COUNT, 1)
    Atomics.notify(this.#words, POSTED_COUNT)
    return run
  }

  /** The slot the next job of the lane goes to. */
  nextSlot(urgent: boolean): number {
    const lane = urgent ? 0 : 1
    return lane * LANE_SLOTS + (this.#next[lane] as number)
  }

  state(slot: number): number {
    return Atomics.load(this.#words, at(slot))
  }

  /** Fills the free slot {@link nextSlot} named and tells the worker. */
  post(job: RingJob): void {
    const lane = job.urgent === true ? 0 : 1
    const slot = this.nextSlot(job.urgent === true)
    this.#next[lane] = (slot + 1) % LANE_SLOTS
    const kind = job.kind === 'xxh3' ? 0 : 1
    const words = this.#words
    const word = at(slot)
    words[word + 1] = job.engine
    words[word + 2] = kind
    words[word + 3] = job.src
    words[word + 4] = job.byteLength
    words[word + 5] = job.copyTo
    words[word + 6] = job.out
    Atomics.store(words, word, SlotState.POSTED)
    Atomics.add(words, POSTED_COUNT, 1)
    if (Atomics.load(words, ASLEEP) === 1) Atomics.notify(words, POSTED_COUNT)
  }

  /** Takes the oldest posted job, urgent ones first; its slot, or -1 when there is none. */
  take(): number {
    for (let lane = 0; lane < LANES; lane++) {
      const from = this.#search[lane] as number
      for (let n = 0; n < LANE_SLOTS; n++) {
        const slot = lane * LANE_SLOTS + ((from + n) % LANE_SLOTS)
        // A look first: the exchange would take the cache line away from the other thread.
        if (this.state(slot) !== SlotState.POSTED) continue
        if (!this.#turn(slot, SlotState.POSTED, SlotState.TAKEN)) continue
        this.#search[lane] = (slot + 1) % LANE_SLOTS
        return slot
      }
    }
    return -1
  }

  /** Takes the next job, asleep while there is none; -1 when the run is over. */
  takeInRun(run: number): number {
    for (;;) {
      const posted = Atomics.load(this.#words, POSTED_COUNT)
      if (this.run !== run) return -1
      const slot = this.take()
      if (slot >= 0) return slot
      let spins = 0
      while (spins < SPINS && Atomics.load(this.#words, POSTED_COUNT) === posted) spins++
      if (spins === SPINS) this.#sleep(posted)
    }
  }

  /** Until the count is another; who posts after the flag was set sees it, who posted before changed the count. */
  #sleep(posted: number): void {
    Atomics.store(this.#words, ASLEEP, 1)
    Atomics.wait(this.#words, POSTED_COUNT, posted)
    Atomics.store(this.#words, ASLEEP, 0)
  }

  /** The job of a taken slot. */
  job(slot: number): RingJob {
    const word = (index: number): number => (this.#words[at(slot) + index] as number) >>> 0
    return {
      engine: word(1),
      kind: word(2) === 0 ? 'xxh3' : 'crc32c',
      src: word(3),
      byteLength: word(4),
      copyTo: word(5),
      out: word(6),
    }
  }

  /** A taken job has ended. */
  end(slot: number, done: boolean): void {
    Atomics.store(this.#words, at(slot), done ? SlotState.DONE : SlotState.FAILED)
    this.wake()
  }

  /** Takes a posted job back; false when somebody has begun it. */
  withdraw(slot: number): boolean {
    return this.#turn(slot, SlotState.POSTED, SlotState.FREE)
  }

  /** A slot whose job's end was seen can be used again. */
  free(slot: number): void {
    Atomics.store(this.#words, at(slot), SlotState.FREE)
  }

  /** How many jobs have ended, for {@link changed}. */
  get settledCount(): number {
    return Atomics.load(this.#words, SETTLED_COUNT)
  }

  /** Wakes who waits for the end of a job. */
  wake(): void {
    Atomics.add(this.#words, SETTLED_COUNT, 1)
    if (Atomics.load(this.#words, WAITING) > 0) Atomics.notify(this.#words, SETTLED_COUNT)
  }

  /** Resolves when more than `count` jobs have ended; only where {@link canWaitAsync}. */
  async changed(count: number): Promise<void> {
    Atomics.add(this.#words, WAITING, 1)
    await (Atomics as AsyncAtomics).waitAsync?.(this.#words, SETTLED_COUNT, count).value
    Atomics.sub(this.#words, WAITING, 1)
  }

  #turn(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, at(slot), from, to) === from
  }
}

/** ES2024; hosts without it are told of each job's end by a message. */
interface AsyncAtomics {
  waitAsync?(words: Int32Array, index: number, value: number): { value: Promise<string> | string }
}

/** Whether a thread here can wait for a ring without blocking. */
export function canWaitAsync(): boolean {
  return (Atomics as AsyncAtomics).waitAsync !== undefined
}

function at(slot: number): number {
  return HEADER_WORDS + slot * SLOT_WORDS
}
