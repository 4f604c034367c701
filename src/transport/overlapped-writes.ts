/**
 * One write under way while the next one's leases are gathered, so that checksums and transport overlap.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ByteSink } from './byte-stream.ts'
import { settle } from './settle.ts'

/** Writes leases to a sink, one write at a time, and releases them oldest first when the sink let go of them. */
export class OverlappedWrites {
  readonly #release: () => Awaitable<void>
  readonly #sink: ByteSink
  #writing: Promise<number> | undefined
  #last: Promise<unknown> = Promise.resolve()

  /** @param session its `release` gives back the oldest lease */
  constructor(session: { release(): Awaitable<void> }, sink: ByteSink) {
    this.#release = () => session.release()
    this.#sink = sink
  }

  /** Whether a write was started that nobody waited for yet. */
  get pending(): boolean {
    return this.#writing !== undefined
  }

  /** Writes `leases`, `byteLength` bytes in all. The last write must have settled. */
  start(leases: Uint8Array[], byteLength: number): void {
    this.#writing = this.#write(leases, byteLength)
    // Who stopped gathering because of another error does not come back for this one.
    this.#writing.catch(() => {})
    this.#last = this.#writing
  }

  /** Bytes of the write under way, once they are written; undefined when there is none. */
  finish(): Promise<number> | undefined {
    const writing = this.#writing
    this.#writing = undefined
    return writing
  }

  /**
   * Releases `count` leases that were gathered and will not be written, and the one that was `asked` for when it
   * comes: after those that are being written, which are older.
   */
  releaseUnwritten(count: number, asked?: Promise<Uint8Array>): void {
    if (count === 0 && asked === undefined) return
    const release = (): Promise<void> =>
      settle(async () => {
        await this.#releaseOldest(count)
        if (asked !== undefined && (await asked).length > 0) await this.#releaseOldest(1)
      })
    void this.#last.then(release, release)
  }

  async #write(leases: Uint8Array[], byteLength: number): Promise<number> {
    try {
      await this.#sink.write(leases)
    } finally {
      await this.#releaseOldest(leases.length)
    }
    return byteLength
  }

  async #releaseOldest(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      const released = this.#release()
      if (released !== undefined) await released
    }
  }
}
