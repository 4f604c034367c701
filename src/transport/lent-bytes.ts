/**
 * Leases of a source that somebody may still be reading.
 *
 * @module
 */

import type { ByteSource } from './byte-stream.ts'

/** What a session took of some bytes, and whether it still reads them. */
export interface AbsorbedBytes {
  readonly byteLength: number
  readonly reading?: BytesRead | undefined
}

/** Bytes that are still read until this is settled. */
export interface BytesRead {
  readonly settled: boolean
  wait(): Promise<void>
}

/** Leases that are out, oldest first, each with who reads it. */
export class LentBytes {
  readonly #source: ByteSource
  readonly #readings: (readonly BytesRead[])[] = []

  constructor(source: ByteSource) {
    this.#source = source
  }

  /** The source's next lease; `readings` may grow while it is taken apart, and then no more. */
  add(readings: readonly BytesRead[]): void {
    this.#readings.push(readings)
  }

  /** Releases the oldest leases that nobody reads any more. */
  release(): void {
    while (this.#readings[0]?.every(({ settled }) => settled) === true) {
      this.#readings.shift()
      this.#source.release?.()
    }
  }

  /** Releases leases as they are settled until `next` is, and gives its result. */
  async releaseUntil<T>(next: Promise<T>): Promise<T> {
    const arrival = next.then(
      () => true,
      () => true,
    )
    for (let came = false; !came;) {
      this.release()
      if (this.#readings.length === 0) break
      // Settled since the release looked, when there is none.
      const reading = this.#unsettled
      if (reading !== undefined) came = await Promise.race([reading.wait().then(() => false), arrival])
    }
    return next
  }

  /** Releases all leases, each when nobody reads it any more. */
  async releaseAll(): Promise<void> {
    for (this.release(); this.#readings.length > 0; this.release()) await this.#unsettled?.wait()
  }

  get #unsettled(): BytesRead | undefined {
    return this.#readings[0]?.find(({ settled }) => !settled)
  }
}
